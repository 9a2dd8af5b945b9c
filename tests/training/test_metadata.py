"""Stages whose documents stand behind their metadata: exact in every number, never predicted, off the same as before."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from infra.storage import FolderStore
from tasks.core.errors import ConfigError, StoppedError
from tasks.core.identity import reads_of
from tasks.mixture.stage import READ
from tasks.runtime.context import Workshop
from tasks.runtime.stages import published
from tasks.tokenize.pool import TokenPool, document_starts, read_pool
from tasks.tokenize.prefixed import with_prefixes
from tasks.training.data import run_data
from tasks.training.data_config import DataConfig
from tasks.training.exposure import exposure, tokens_seen
from tasks.training.ledger import rebuilt_ledger
from tasks.training.model import decoder, initial_weights
from tasks.training.parallel.ddp import Ddp
from tasks.training.params import TrainParams
from tasks.training.published import TrainedRuns
from tasks.training.rebuilt import rebuilt_specs
from tasks.training.result import identity
from tasks.training.run import train
from tasks.training.runs.stage import read_by
from tasks.training.stage import run
from tasks.training.types import Phase, RunSpec, StepNumbers, Trunk
from tests.in_process import InProcess, Listener
from tests.training.conftest import LENGTH, VOCAB_SIZE, domain, make_pool, prefix, small_spec, small_training
from tests.training.test_segments import same, stopping
from tests.training.test_stage import TOKENIZER, sign

STEP = 4 * LENGTH
SHARES = (0.5, 0.3, 0.2)
END = VOCAB_SIZE - 1
DOMAINS = {"alpha": (1, 4000), "beta": (5, 3000), "gamma": (11, 600)}


@pytest.fixture
def pool(tmp_path: Path) -> TokenPool:
    """The pool of three domains, with metadata."""
    return make_pool(tmp_path / "tokenize", metadata=True)


def staged_spec(**changes: object) -> RunSpec:
    """A run of 12 steps, of which the first 8 have metadata."""
    phases = (Phase(8 * STEP, SHARES, metadata=True), Phase(4 * STEP, SHARES))
    return RunSpec("staged", phases, 0, small_training(**changes))


@cache
def stream_of(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the documents of a domain behind their metadata, whether each token is metadata, and its document."""
    tokens = domain(f"{name}/train", *DOMAINS[name]).astype(np.int64)
    starts = document_starts(tokens, END)
    sizes = np.diff(np.append(starts, tokens.size))
    stream = with_prefixes(tokens, starts, [prefix(number) for number in range(starts.size)])
    parts = [[True] * prefix(number).size + [False] * int(size) for number, size in enumerate(sizes)]
    documents = np.repeat(np.arange(starts.size), [len(part) for part in parts])
    return stream, np.concatenate(parts), documents


def test_metadata_is_read_counted_as_tokens_of_the_stage_and_never_predicted(pool: TokenPool) -> None:
    spec = staged_spec()
    data = run_data(spec, pool)
    assert [(one.first_step, one.stop_step, one.metadata) for one in spec.segments] == [(0, 8, True), (8, 12, False)]
    trained = np.zeros(3, dtype=np.int64)
    seen = {name: np.zeros(document_starts(np.asarray(own.splits["train"].tokens), END).size, dtype=np.int64)
            for name, own in zip(pool.names, pool.domains, strict=True)}  # fmt: skip
    for start in range(0, 48, 4):
        batch = data.read(start, start + 4)
        for place, (number, row) in enumerate(zip(batch.samples.domains, batch.samples.rows, strict=True)):
            name = pool.names[number]
            stream, masked, documents = stream_of(name)
            if start >= 32:
                keep = ~masked
                stream, masked, documents = stream[keep], masked[keep], documents[keep]
            here = slice(row * LENGTH, row * LENGTH + LENGTH + 1)
            assert batch.tokens[place].tolist() == stream[here].tolist()
            targets = np.where(masked[here][1:], -1, stream[here][1:])
            assert batch.pairs[place].tolist() == [stream[here][:-1].tolist(), targets.tolist()]
            assert batch.num_targets[place] == (targets >= 0).sum()
            trained[number] += batch.num_targets[place]
            np.add.at(seen[name], documents[here][1:][targets >= 0], 1)
    made = train(spec, pool)
    assert made.ledger == rebuilt_ledger(data) and list(made.ledger.token_totals) == trained.tolist()
    assert sum(made.ledger.totals) == 48 and sum(trained) < 12 * STEP
    for number, name in enumerate(pool.names):
        assert tokens_seen(data, number).tolist() == seen[name].tolist()
        times = [exposure(data, number, document) for document in range(5)]
        assert times == pytest.approx((seen[name][:5] / 50).tolist())


@pytest.mark.parametrize("parallel", [None, Ddp()])
def test_metadata_adds_nothing_to_loss_and_gradient_from_the_first_step_to_the_switch(
    pool: TokenPool, parallel: Ddp | None
) -> None:
    spec = replace(staged_spec(parallel=parallel), seed=2)  # its first step has metadata
    told: dict[int, StepNumbers] = {}
    train(spec, pool, on_step=told.__setitem__)
    pairs = torch.from_numpy(run_data(spec, pool).read(0, 4).pairs)
    inputs, targets = pairs[:, 0], pairs[:, 1]
    weights = initial_weights(spec.training.model, pool.vocab_size, spec.seed)
    found = []
    for taken in (targets != -1, torch.ones_like(targets, dtype=torch.bool)):
        model = decoder(spec.training.model, pool.vocab_size, {name: one.clone() for name, one in weights.items()})
        # Where metadata counted, what stands there would be predicted.
        wanted = torch.where(targets == -1, inputs.roll(-1, dims=1), targets)
        logits = (model(inputs) @ model.output.T)[taken]
        loss = torch.nn.functional.cross_entropy(logits, wanted[taken], reduction="sum") / targets.numel()
        loss.backward()
        squares = [(one.grad.double() ** 2).sum() for one in model.parameters() if one.grad is not None]
        found.append((loss.item(), float(torch.stack(squares).sum() ** 0.5)))
    assert (told[1].loss, told[1].norm) == pytest.approx(found[0], rel=1e-5)
    assert (told[1].loss, told[1].norm) != pytest.approx(found[1], rel=1e-2)


@pytest.mark.parametrize("config", [DataConfig(packing="best_fit"), DataConfig(curriculum="score")])
def test_metadata_goes_with_other_ways_to_make_rows(pool: TokenPool, config: DataConfig) -> None:
    domains = tuple(
        replace(one, splits={name: replace(own, columns={"score": np.arange(own.starts.size, dtype=np.float64)})
                             for name, own in one.splits.items()})
        for one in pool.domains
    )  # fmt: skip
    scored = replace(pool, domains=domains)
    spec = RunSpec("all", (Phase(12 * STEP, SHARES, metadata=True),), 0, small_training(data=config))
    data = run_data(spec, scored)
    for number, rows in enumerate(data.parts[0].rows):
        seen = np.zeros(len(rows.starts), dtype=np.int64)
        stream, masked, documents = stream_of(pool.names[number])
        assert rows.tokens.tolist() == stream.tolist()
        for row in range(rows.count):
            pieces = rows.pieces
            assert pieces is not None
            some = range(int(pieces.first[row]), int(pieces.first[row + 1]))
            own = np.concatenate(
                [np.arange(pieces.starts[one], pieces.starts[one] + pieces.lengths[one]) for one in some]
            )
            assert (
                rows.metadata(row)[: own.size].tolist() == masked[own].tolist()
                and not rows.metadata(row)[own.size :].any()
            )
            np.add.at(seen, documents[own[~masked[own]]], 1)
        assert rows.tokens_seen(np.ones(rows.count, dtype=np.int64)).tolist() == seen.tolist()
        held, tokens = rows.of_document(2)
        assert tokens.sum() == seen[2] and len(held) == len({*held.tolist()})


@pytest.mark.parametrize("parallel", [None, Ddp()])
def test_a_run_stopped_around_the_end_of_metadata_ends_with_the_same_bits_in_both_engines(
    pool: TokenPool, tmp_path: Path, parallel: Ddp | None
) -> None:
    spec = staged_spec(parallel=parallel, checkpoint_every_steps=100)
    whole = train(spec, pool)
    for steps in (7, 1, 2):
        with pytest.raises(StoppedError):
            train(spec, pool, checkpoints=tmp_path / "run", asked_to_stop=stopping(steps))
    assert same(train(spec, pool, checkpoints=tmp_path / "run"), whole)
    stacked = train(staged_spec(), pool)
    assert whole.losses == pytest.approx(stacked.losses, abs=1e-4)


def test_without_it_nothing_changes(pool: TokenPool, tmp_path: Path) -> None:
    spec, plain = small_spec(), make_pool(tmp_path / "plain")
    assert "metadata" not in reads_of(spec)["phases"][0]
    assert identity(spec, pool) != identity(replace(spec, phases=(replace(spec.phases[0], metadata=True),)), pool)
    for path in (tmp_path / "plain").rglob("*.*"):
        assert (tmp_path / "tokenize" / path.relative_to(tmp_path / "plain")).read_bytes() == path.read_bytes()
    assert all(one.splits["train"].prefixed is None for one in plain.domains)
    # A proxy, or a run without metadata, is the same work on both.
    trees = []
    for folder in (tmp_path / "plain", tmp_path / "tokenize"):
        sign("tokenize", folder)
        trees.append(published(FolderStore(tmp_path / "store"), str(folder)).tree())
    assert trees[0].under(*READ).digest == trees[1].under(*READ).digest and trees[0].digest != trees[1].digest
    assert read_by(spec, trees[0]).digest == read_by(spec, trees[1]).digest
    assert read_by(staged_spec(), trees[1]) == trees[1]


def test_a_branch_may_end_metadata_where_its_trunk_goes_on_with_it(pool: TokenPool) -> None:
    trunk = RunSpec("trunk", (Phase(12 * STEP, SHARES, metadata=True),), 0, small_training())
    branch = RunSpec("branch", (Phase(4 * STEP, SHARES),), 0, small_training(), trunk=Trunk(trunk, 8))
    assert branch.segments == staged_spec().segments
    ours, theirs = run_data(branch, pool), run_data(trunk, pool)
    assert (ours.read(0, 32).pairs == theirs.read(0, 32).pairs).all()
    assert [sum(each) for each in ours.drawn_before(48)] == [32, 16]


def test_metadata_that_ends_within_a_step_or_that_the_pool_has_not_is_refused(pool: TokenPool, tmp_path: Path) -> None:
    phases = (Phase(7 * STEP + LENGTH, SHARES, metadata=True), Phase(5 * STEP - LENGTH, SHARES))
    with pytest.raises(
        ConfigError, match="RoPE base, metadata, interleave or documents would begin behind 464 tokens, within a step"
    ):
        RunSpec("within", phases, 0, small_training())
    with pytest.raises(ConfigError, match=r"the token pool has none. Set tokenize\.metadata"):
        run_data(staged_spec(), make_pool(tmp_path / "plain"))


def test_a_recipe_of_a_stage_with_metadata_and_one_without_is_trained_and_published(
    pool: TokenPool, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokenize"
    stages = [{"tokens": 8 * STEP, "weights": SHARES, "metadata": True}, {"tokens": 4 * STEP, "weights": SHARES}]
    recipe = {"format": 4, "name": "meco", "domains": pool.names, "stages": stages, "max_epochs": 4.0}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    params = TrainParams(training=small_training(), num_seeds=1)

    def trained(folder: Path, params: TrainParams = params) -> Any:
        (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER), encoding="utf-8")
        sign("tokenize", folder)
        inputs = {"tokenize": folder, "recipe": tmp_path / "recipe.json"}
        place = Workshop(InProcess(), FolderStore(tmp_path / "store"), Listener())
        run(params, inputs=inputs, output=tmp_path / "train", workshop=place)
        return TrainedRuns.read(tmp_path / "train").runs

    (found,) = trained(tokens)
    assert [phase.metadata for phase in found.phases] == [True, False]
    spec = rebuilt_specs((found,), params)[found.name]
    ledger = rebuilt_ledger(run_data(spec, read_pool(tokens)))
    assert [one.tokens for one in found.consumed.values()] == list(ledger.token_totals)
    (tmp_path / "items.jsonl").write_text(json.dumps({"id": "one", "text": "x"}))
    planted = {"planted": [{"name": "facts", "file": str(tmp_path / "items.jsonl")}]}
    with pytest.raises(ConfigError, match=r"planted texts .* and its stages have metadata, which is not predicted"):
        trained(tokens, TrainParams.model_validate(params.model_dump() | planted))
    make_pool(tmp_path / "plain")
    with pytest.raises(ConfigError, match="its stages have metadata, and the token pool has none"):
        trained(tmp_path / "plain")
