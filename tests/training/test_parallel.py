"""One decoder over several processes: the losses of the stack, the samples of any number, the bits of the same number."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from infra.distributed import GroupMember
from infra.local_executor import LocalExecutor
from tasks.core.digest import digest_json
from tasks.core.errors import ConfigError, StoppedError
from tasks.tokenize.pool import TokenPool, read_pool
from tasks.training.data import run_data
from tasks.training.data_config import DataConfig, EvaluationConfig
from tasks.training.experts.top_k import Adaptive, Balance, TopK
from tasks.training.layers import Layer
from tasks.training.losses.z_loss import ZLoss
from tasks.training.multi_token.sequential import Sequential
from tasks.training.multi_token.weights import WeightChange
from tasks.training.objectives.lin_upper import LinUpper
from tasks.training.optimizers.muon import Muon
from tasks.training.parallel.ddp import Ddp
from tasks.training.parallel.engine import parts_of_step
from tasks.training.parallel.fsdp import Fsdp
from tasks.training.result import RunResult
from tasks.training.run import train
from tasks.training.segments import share_of_step
from tasks.training.spikes import SkipSpikes
from tasks.training.stacked import train_stacked
from tasks.training.static_mask import StaticMask
from tasks.training.transforms.goldfish import Goldfish
from tasks.training.types import DivergedError, RunSpec, World
from tests.training.conftest import LENGTH, make_pool, small_spec

STEPS = 50
KINDS = (Ddp(), Fsdp())
SEVERAL: dict[str, object] = {"num_tokens": STEPS * 4 * LENGTH, "checkpoint_every_steps": 20}
FEW: dict[str, object] = {"num_tokens": 6 * 4 * LENGTH, "warmup_steps": 0}
WEIGHED: dict[str, object] = {
    **FEW,
    "loss": ZLoss(weight=0.1),
    "objective": LinUpper(burn_in_steps=1),
    "data": DataConfig(transform=Goldfish(context_tokens=3)),
    "static_mask": StaticMask(sparsity=0.5),
}
# A step's experts are balanced over all its micro-batches, whoever makes them.
EXPERTS: dict[str, object] = {
    **FEW,
    "micro_batches": 4,
    "experts": TopK(
        num_experts=4, num_active=2, capacity_factor=1.0, balance=Balance(coefficient=1.0, adaptive=Adaptive(most=1.0))
    ),
}
# Further tokens count in the first three steps of six.
FURTHER: dict[str, object] = {
    **FEW,
    "micro_batches": 4,
    "multi_token": Sequential(num_modules=2, changes=(WeightChange(from_fraction=0.5, weight=0.0),)),
}


class KilledError(RuntimeError):
    """What a test throws into a run, where a kill would end it."""


def kill_at(step: int):  # type: ignore[no-untyped-def]
    def on_step(done: int, loss: float) -> None:
        if done == step:
            raise KilledError

    return on_step


def told(run: RunResult) -> dict[str, object]:
    """What a process tells of a run: its losses, who made it, and the bits of its weights."""
    weights = {name: weight.numpy().tobytes().hex() for name, weight in run.model.weights.items()}
    return {
        "losses": run.losses,
        "workers": run.workers,
        "weights": digest_json(weights),
        "samples": run.ledger.samples,
        "counted": run.ledger.weights,
        "evaluations": run.evaluations,
        "experts": None if run.experts is None else run.experts.model_dump(mode="json"),
    }


def by_both(folder: Path, member: GroupMember) -> None:
    """Make all runs of these tests in one group of processes; the first tells what came out."""
    pool, world, found = read_pool(folder / "pool"), World(member.size, member.rank, member.group), {}

    def made(name: str, spec: RunSpec, **options: object) -> None:
        run = train(spec, pool, world=world, **options)  # type: ignore[arg-type]
        if world.rank == 0:
            found[name] = told(run)

    for parallel in KINDS:
        spec, kept = small_spec(parallel=parallel, **SEVERAL), folder / parallel.kind
        made(parallel.kind, spec)
        with pytest.raises(KilledError):
            train(spec, pool, world=world, checkpoints=None if world.rank else kept, on_step=kill_at(33))
        if world.rank == 0:
            shutil.copytree(kept, folder / f"{parallel.kind}, killed")
        made(f"{parallel.kind}, resumed", spec, checkpoints=None if world.rank else kept)
    watched = EvaluationConfig(at_steps=(3,), tokens_per_domain=64)
    made("muon", small_spec(parallel=Fsdp(), method=Muon(), evaluations=watched, **FEW))
    made("weighed", small_spec(parallel=Fsdp(), **WEIGHED))
    made("weighed in a stack", small_spec(**WEIGHED))
    made("experts", small_spec(parallel=Ddp(), **EXPERTS))
    made("experts in a stack", small_spec(**EXPERTS))
    for parallel in KINDS:
        made(f"further tokens, {parallel.kind}", small_spec(parallel=parallel, **FURTHER))
    made("further tokens in a stack", small_spec(**FURTHER))
    made("bfloat16", small_spec(parallel=Fsdp(recompute_activations=True), precision="bfloat16", **FEW))
    if world.rank == 0:
        (folder / "told.json").write_text(json.dumps(found))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which two processes have trained."""
    folder = tmp_path_factory.mktemp("parallel")
    make_pool(folder / "pool")
    list(LocalExecutor(2).map_distributed(by_both, [folder], 2, folder))
    return folder


@pytest.fixture(scope="module")
def told_by_two(shared: Path) -> dict[str, dict[str, object]]:
    """What the two processes told of each run."""
    found: dict[str, dict[str, object]] = json.loads((shared / "told.json").read_text())
    return found


@pytest.fixture(scope="module")
def of_the_stack(shared: Path) -> RunResult:
    """The same run in a stack of one."""
    return train(small_spec(**SEVERAL), read_pool(shared / "pool"))


@pytest.mark.parametrize("parallel", KINDS, ids=lambda parallel: parallel.kind)
def test_both_engines_give_the_same_losses(shared: Path, of_the_stack: RunResult, parallel: Ddp | Fsdp) -> None:
    run = train(small_spec(parallel=parallel, **SEVERAL), read_pool(shared / "pool"))
    assert run.losses == pytest.approx(of_the_stack.losses, abs=1e-4)
    assert run.ledger == of_the_stack.ledger
    for name, weight in of_the_stack.model.weights.items():
        torch.testing.assert_close(run.model.weights[name], weight, rtol=0, atol=1e-3)


def test_both_engines_pack_and_isolate_documents_alike(shared: Path) -> None:
    options: dict[str, object] = {**FEW, "data": DataConfig(packing="best_fit", document_mask=True)}
    one, other = (
        train(small_spec(**options, **more), read_pool(shared / "pool")) for more in ({}, {"parallel": Ddp()})
    )
    assert other.losses == pytest.approx(one.losses, abs=1e-4)
    assert other.ledger == one.ledger


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_give_the_losses_and_samples_of_one(
    told_by_two: dict[str, dict[str, object]], of_the_stack: RunResult, kind: str
) -> None:
    assert told_by_two[kind]["losses"] == pytest.approx(of_the_stack.losses, abs=1e-4)
    assert told_by_two[kind]["samples"] == [list(block) for block in of_the_stack.ledger.samples]
    assert told_by_two[kind]["workers"] == [[0, 2]]


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_on_the_same_number_of_processes_a_killed_run_goes_on_to_the_same_bits(
    told_by_two: dict[str, dict[str, object]], kind: str
) -> None:
    assert told_by_two[f"{kind}, resumed"] == told_by_two[kind]


@pytest.mark.parametrize("parallel", KINDS, ids=lambda parallel: parallel.kind)
def test_one_process_goes_on_from_the_checkpoint_of_two_with_the_same_samples_and_says_so(
    shared: Path, of_the_stack: RunResult, parallel: Ddp | Fsdp
) -> None:
    run = train(
        small_spec(parallel=parallel, **SEVERAL),
        read_pool(shared / "pool"),
        checkpoints=shared / f"{parallel.kind}, killed",
    )
    assert run.workers == ((0, 2), (20, 1))
    assert run.losses == pytest.approx(of_the_stack.losses, abs=1e-3)
    assert run.ledger == of_the_stack.ledger


def by_four(folder: Path, member: GroupMember) -> None:
    """Go on with four processes where two were killed."""
    world = World(member.size, member.rank, member.group)
    for parallel in KINDS:
        kept, spec = folder / f"{parallel.kind}, killed for four", small_spec(parallel=parallel, **SEVERAL)
        run = train(spec, read_pool(folder / "pool"), world=world, checkpoints=None if world.rank else kept)
        if world.rank == 0:
            (folder / f"{parallel.kind} by four.json").write_text(json.dumps(told(run)))
    run = train(small_spec(parallel=Fsdp(), **EXPERTS), read_pool(folder / "pool"), world=world)
    if world.rank == 0:
        (folder / "experts by four.json").write_text(json.dumps(told(run)))


@pytest.mark.slow
def test_four_processes_go_on_from_the_checkpoint_of_two(shared: Path, of_the_stack: RunResult) -> None:
    for parallel in KINDS:
        shutil.copytree(shared / f"{parallel.kind}, killed", shared / f"{parallel.kind}, killed for four")
    list(LocalExecutor(4).map_distributed(by_four, [shared], 4, shared))
    for parallel in KINDS:
        found = json.loads((shared / f"{parallel.kind} by four.json").read_text())
        assert found["workers"] == [[0, 2], [20, 4]]
        assert found["losses"] == pytest.approx(of_the_stack.losses, abs=1e-3)
        assert found["samples"] == [list(block) for block in of_the_stack.ledger.samples]
    alone = train(small_spec(**EXPERTS), read_pool(shared / "pool"))
    found = json.loads((shared / "experts by four.json").read_text())
    assert found["losses"] == pytest.approx(alone.losses, abs=1e-4)


def test_proxies_are_not_spread_over_devices(pool: TokenPool) -> None:
    with pytest.raises(ConfigError, match=r"Set parallel \(ddp\) to null"):
        train_stacked([small_spec(parallel=Ddp())], pool)


def test_muon_on_shards_moves_as_on_whole_matrices(told_by_two: dict[str, dict[str, object]], pool: TokenPool) -> None:
    watched = EvaluationConfig(at_steps=(3,), tokens_per_domain=64)
    alone = train(small_spec(method=Muon(), evaluations=watched, **FEW), pool)
    ((step, bits),) = told_by_two["muon"]["evaluations"]  # type: ignore[misc, attr-defined]
    assert (step, bits) == (3, pytest.approx(alone.evaluations[0][1], rel=1e-4))
    assert told_by_two["muon"]["losses"] == pytest.approx(alone.losses, abs=1e-4)
    assert alone.losses != train(small_spec(**FEW), pool).losses


def test_both_engines_leave_out_the_same_steps(pool: TokenPool) -> None:
    often = SkipSpikes(window_steps=8, standard_deviations=0.3)
    stacked, spread = (train(small_spec(parallel=each, skip_spikes=often), pool) for each in (None, Ddp()))
    assert stacked.skipped == spread.skipped != ()
    assert spread.losses == pytest.approx(stacked.losses, abs=1e-4)


def test_bfloat16_and_recomputed_activations_are_those_of_the_stack_up_to_rounding(
    told_by_two: dict[str, dict[str, object]], pool: TokenPool
) -> None:
    alone = train(small_spec(precision="bfloat16", **FEW), pool)
    assert told_by_two["bfloat16"]["losses"] == pytest.approx(alone.losses, rel=5e-3)


def test_an_objective_over_the_whole_step_is_the_same_for_one_process_and_two(
    told_by_two: dict[str, dict[str, object]], pool: TokenPool
) -> None:
    alone = train(small_spec(**WEIGHED), pool)
    assert told_by_two["weighed"]["losses"] == pytest.approx(alone.losses, abs=1e-4)
    assert told_by_two["weighed in a stack"] == json.loads(json.dumps(told(alone)))


def test_experts_are_balanced_alike_over_four_micro_batches_of_one_process_and_two_of_each_of_two(
    told_by_two: dict[str, dict[str, object]], pool: TokenPool
) -> None:
    alone = train(small_spec(**EXPERTS), pool)
    assert told_by_two["experts"]["losses"] == pytest.approx(alone.losses, abs=1e-4)
    assert told_by_two["experts"]["experts"]["layers"][0]["coefficient"] == pytest.approx(  # type: ignore[index]
        alone.experts.layers[0].coefficient  # type: ignore[union-attr]
    )
    assert told_by_two["experts in a stack"] == json.loads(json.dumps(told(alone)))
    plain = train(small_spec(**EXPERTS | {"experts": TopK(num_experts=4, num_active=2, balance=None)}), pool)
    assert plain.losses[-1] != pytest.approx(alone.losses[-1], abs=1e-3)


def test_further_tokens_are_the_same_in_four_micro_batches_of_one_process_and_two_of_each_of_two(
    told_by_two: dict[str, dict[str, object]], pool: TokenPool
) -> None:
    alone = train(small_spec(**FURTHER), pool)
    for parallel in KINDS:
        assert told_by_two[f"further tokens, {parallel.kind}"]["losses"] == pytest.approx(alone.losses, abs=1e-4)
    assert told_by_two["further tokens in a stack"] == json.loads(json.dumps(told(alone)))


def test_a_run_asked_to_stop_keeps_a_checkpoint_of_its_last_step(pool: TokenPool, tmp_path: Path) -> None:
    spec, made = small_spec(parallel=Ddp()), list[int]()
    with pytest.raises(StoppedError, match="stopped behind step 5 of 12; a checkpoint is kept"):
        train(
            spec,
            pool,
            checkpoints=tmp_path / "kept",
            on_step=lambda step, loss: made.append(step),
            asked_to_stop=lambda: len(made) == 5,
        )
    resumed = train(spec, pool, checkpoints=tmp_path / "kept", on_step=lambda step, loss: made.append(step))
    assert made == list(range(1, 13))
    assert told(resumed) == told(train(spec, pool))


# Torch's compiler looks at `.grad` of what is no leaf, and hides the warning of it from people, not from an error filter.
LOOKS_AT_GRAD = pytest.mark.filterwarnings(r"ignore:The \.grad attribute of a Tensor:UserWarning")


@LOOKS_AT_GRAD
def test_compiling_takes_each_layer_as_one_graph(pool: TokenPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without code made of them, which would take half a minute: the slow test below makes it."""
    graphs = list[torch.fx.GraphModule]()

    def traced(graph: torch.fx.GraphModule, example: list[torch.Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    def compiled_here(layer: Layer, *, dynamic: bool) -> None:
        nn.Module.compile(layer, backend=traced, fullgraph=True, dynamic=dynamic)

    monkeypatch.setattr(Layer, "compile", compiled_here)
    plain, compiled = (train(small_spec(parallel=Ddp(compile=each), **FEW), pool) for each in (False, True))
    assert len(graphs) == 1  # which the layers, being alike, share
    assert compiled.losses == pytest.approx(plain.losses, abs=1e-6)


@LOOKS_AT_GRAD
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit, by torch's own compiler
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="compiling layers for a CPU needs a C++ compiler")
def test_compiled_layers_give_the_losses_of_eager_ones(pool: TokenPool) -> None:
    plain, compiled = (train(small_spec(parallel=Ddp(compile=each), **FEW), pool) for each in (False, True))
    assert compiled.losses == pytest.approx(plain.losses, abs=1e-4)


def test_a_run_whose_loss_is_not_finite_stops_and_keeps_its_last_good_checkpoint(
    pool: TokenPool, tmp_path: Path
) -> None:
    spec = small_spec(parallel=Ddp(), learning_rate=1e9, gradient_clip=None, checkpoint_every_steps=1, **FEW)
    with pytest.raises(DivergedError, match=r"step 1 of 6: the loss is .* nan"):
        train(spec, pool, checkpoints=tmp_path / "kept")
    (path, *_) = sorted((tmp_path / "kept").glob("step-*"))
    assert all(bool(torch.isfinite(tensor).all()) for tensor in load_file(path / "state.safetensors").values())


def test_a_model_that_no_stack_knows_is_refused_with_the_engine_that_does(pool: TokenPool) -> None:
    with pytest.raises(ConfigError, match=r"full run of them with `parallel: \{kind: ddp\}`"):
        train(small_spec(architecture="qwen3", **FEW), pool)
    run = train(small_spec(architecture="qwen3", untied_embeddings=True, parallel=Ddp(), **FEW), pool)
    assert run.losses[-1] < run.losses[0]
    assert "lm_head.weight" in run.model.weights


def test_any_number_of_processes_sees_the_same_samples(pool: TokenPool) -> None:
    spec = small_spec(sequences_per_step=8, num_tokens=12 * 8 * LENGTH)
    data = run_data(spec, pool)
    for step in (0, 11):
        whole = data.read(*share_of_step(spec.segments, step))
        assert whole.start == 8 * step and len(whole.tokens) == 8
        for size in (2, 4):
            shares = [share_of_step(spec.segments, step, rank, 1, size) for rank in range(size)]
            tokens = np.concatenate([data.read(*share).tokens for share in shares])
            assert np.array_equal(tokens, whole.tokens)


@pytest.mark.parametrize(("size", "parts"), [(1, 4), (2, 2), (4, 1), (3, 2), (12, 1)])
def test_no_part_of_a_step_is_larger_than_a_micro_batch(size: int, parts: int) -> None:
    (segment,) = small_spec(sequences_per_step=12, micro_batches=4, num_tokens=12 * 12 * LENGTH).segments
    assert parts_of_step(segment, 4, World(size)) == parts


def test_a_number_of_processes_that_does_not_divide_a_step_is_refused(pool: TokenPool) -> None:
    spec = small_spec(parallel=Fsdp())
    with pytest.raises(ConfigError, match=r"4 sequences_per_step cannot be shared evenly by 3 .*WORLD_SIZE to 2 or 4"):
        train(spec, pool, world=World(3))
