"""Every method of training: off it is in no key and the run is the baseline, on it changes the run or is refused by name.

One more method is one line in `METHODS`, which a test asks for.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from tasks.core.errors import ConfigError
from tasks.core.identity import reads_of
from tasks.core.params import validate
from tasks.core.results import Here
from tasks.mixture.published import Recipe, RecipeStage
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.training.config import ModelConfig, OptimizerConfig, TrainingConfig
from tasks.training.data_config import DataConfig
from tasks.training.params import TrainParams
from tasks.training.planned import train_planned
from tasks.training.recipes import PlannedRun, planned_runs
from tasks.training.result import RunResult
from tasks.training.run import train
from tests.training.conftest import LENGTH, VOCAB_SIZE, domain, prefix

STEP = 4 * LENGTH
STEPS = (4, 2)
DOMAINS = {"alpha": (1, 2000), "beta": (5, 1500), "gamma": (11, 600)}
MODEL = {"hidden_size": 16, "num_layers": 1, "num_heads": 4, "num_kv_heads": 2, "intermediate_size": 24}
TRAINING = {
    "model": {**MODEL, "sequence_length": LENGTH},
    "optimizer": {"learning_rate": 1e-2, "warmup_steps": 1},
    "num_tokens": sum(STEPS) * STEP,
    "sequences_per_step": 4,
    "micro_batches": 1,
    "precision": "float32",
}
WEIGHTS = [0.5, 0.3, 0.2]
ADAMW = {"kind": "adamw", "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8}
WSD = {"kind": "wsd", "decay_fraction": 0.4, "decay_shape": "linear"}
GOLDFISH = {"kind": "goldfish", "context_tokens": 3}
DDK = {"kind": "ddk"}
BY_LOSS = {"kind": "by_loss", "power": 40.0, "tokens_per_domain": 64}
REWARM = {"step": 3, "warmup_steps": 1, "peak_fraction": 1.0, "schedule": {"kind": "cosine"}}
EXPERTS = {"kind": "top_k", "num_experts": 4, "num_active": 2}
INFINITE = {"kind": "infinite", "cooldown_steps": 3}
TEXTS = {"name": "facts", "file": "facts.jsonl", "treated_share": 0.5, "exposures": [1], "window": [0.0, 1.0]}
ENGINES = {"stack": None, "ddp": {"kind": "ddp"}}
UNNAMED = object()


@dataclass(frozen=True)
class Method:
    """An option: its place, its value when it is off, and an example of it on (None = no run is made of one here).

    A place begins with `train` (params of the stage), `recipe`, or `stage`, which is the second of two in the recipe.
    """

    place: str
    off: object
    on: object


METHODS = {
    "Adafactor": Method("train.training.optimizer.method", ADAMW, {"kind": "adafactor"}),
    "best-fit packing": Method("train.training.data.packing", None, "best_fit"),
    "cosine": Method("train.training.optimizer.schedule", WSD, {"kind": "cosine"}),
    "curriculum": Method("train.training.data.curriculum", None, "score"),
    "curriculum downwards": Method("train.training.data.curriculum_order", None, "descending"),
    "decay from a step": Method("train.training.optimizer.decay_from", None, {"step": 3, "trunk_steps": 20}),
    "distillation": Method("train.training.distillation", None, {"weight": 0.5}),
    "document mask": Method("train.training.data.document_mask", False, True),
    "document range": Method("stage.documents", None, {"low": 0.5}),
    "document weights": Method("train.training.data.document_weights", None, "score"),
    "elastic weight consolidation": Method("train.training.ewc", None, {"strength": 1.0, "tokens": 4 * LENGTH}),
    "embedding decay": Method("train.training.optimizer.embedding_weight_decay", None, 0.5),
    "epoch cap of a stage": Method("stage.max_epochs", None, 0.01),
    "FRUGAL": Method("train.training.optimizer.method", ADAMW, {"kind": "frugal", "every_steps": 2}),
    "goldfish": Method("train.training.data.transform", None, GOLDFISH),
    "hook by loss": Method("stage.hook", None, BY_LOSS),
    "hook DDK": Method("stage.hook", None, DDK),
    "infinite schedule": Method("train.training.optimizer.schedule", WSD, INFINITE),
    "interleaved chunks": Method("stage.interleave", None, {"chunk_tokens": 7, "documents": 3}),
    "inverse sqrt": Method("train.training.optimizer.schedule", WSD, {"kind": "inverse_sqrt"}),
    "LinUpper": Method("train.training.objective", None, {"kind": "lin_upper", "burn_in_steps": 2}),
    "longer samples of a stage": Method("stage.sequence_length", None, 2 * LENGTH),
    "loss weights": Method("train.training.data.loss_weights", None, "score"),
    "low rank": Method("train.training.optimizer.method", ADAMW, {"kind": "low_rank", "rank": 3}),
    "metadata": Method("stage.metadata", False, True),
    "further tokens by heads": Method(
        "train.training.multi_token", None, {"kind": "heads", "num_tokens": 3, "shared_layers": 1}
    ),
    "further tokens by modules": Method("train.training.multi_token", None, {"kind": "sequential"}),
    "further tokens from one vector": Method("train.training.multi_token", None, {"kind": "future"}),
    "muP": Method("train.training.mup", None, {"base_hidden_size": 8}),
    "Muon": Method("train.training.optimizer.method", ADAMW, {"kind": "muon"}),
    "norm decay": Method("train.training.optimizer.norm_weight_decay", None, 0.5),
    "sparse experts": Method("train.training.model.experts", None, EXPERTS),
    "start from other weights": Method("train.start", {"kind": "scratch"}, None),
    "planted experiments": Method("train.planted", [], None),
    "power": Method("train.training.optimizer.schedule", WSD, {"kind": "power"}),
    "power in steps": Method("train.training.optimizer.schedule", WSD, {"kind": "power_steps"}),
    "ramp of weights": Method("stage.end_weights", None, [0.1, 0.1, 0.8]),
    "replay": Method("stage.replay", None, {"share": 0.5, "weights": [0.0, 0.0, 1.0]}),
    "reweighted losses": Method("train.training.objective", None, {"kind": "reweighted", "shape": "upper"}),
    "rewarms": Method("train.training.optimizer.rewarms", [], [REWARM]),
    "RoPE base of a stage": Method("stage.rope_base", None, 50_000.0),
    "schedule of a stage": Method("stage.schedule", None, {"kind": "cosine"}),
    "skipped spikes": Method(
        "train.training.optimizer.skip_spikes", None, {"window_steps": 8, "standard_deviations": 1e-3}
    ),
    "static mask": Method("train.training.static_mask", None, {"sparsity": 0.5}),
    "teachers": Method("train.teachers", [], None),
    "UL2": Method("train.training.data.transform", None, {"kind": "ul2", "denoisers": [{"share": 0.5, "rate": 0.25}]}),
    "untied embeddings": Method("train.training.model.untied_embeddings", False, True),
    "z-loss": Method("train.training.loss", None, {"kind": "z_loss", "weight": 0.1}),
}

# What is in the key of the baseline, and what it gives. An option that is new and off changes none of it.
OPTIMIZER_KEY = {
    "method": ADAMW,
    "learning_rate": 0.01,
    "warmup_steps": 1,
    "schedule": WSD,
    "weight_decay": 0.1,
    "gradient_clip": 1.0,
}
MODEL_KEY = {**TRAINING["model"], "rope_base": 1e4, "norm_eps": 1e-5, "initializer_range": 0.02}  # type: ignore[dict-item]
TRAINING_KEY = {**TRAINING, "model": MODEL_KEY, "optimizer": OPTIMIZER_KEY}
KEY = {
    "phases": [{"num_tokens": steps * STEP, "weights": WEIGHTS} for steps in STEPS],
    "seed": 0,
    "training": TRAINING_KEY,
}
LOSSES = (4.13994, 4.12758, 4.0965, 4.04836, 4.06082, 3.98723)
DIGESTS = ((-8060200258489110165, 8431076683642901684, -2316786415334374541),)


@pytest.fixture(scope="module")
def rich_pool(tmp_path_factory: pytest.TempPathFactory) -> TokenPool:
    """A pool of three domains whose documents have metadata and a score."""
    tokens = {name: {"train": domain(name, step, size)} for name, (step, size) in DOMAINS.items()}
    sizes = {name: -(-size // 50) for name, (_, size) in DOMAINS.items()}
    return write_pool(
        tmp_path_factory.mktemp("pool"),
        tokens,
        vocab_size=VOCAB_SIZE,
        document_end=VOCAB_SIZE - 1,
        columns={name: {"score": [(7 * number) % 5 / 2 for number in range(size)]} for name, size in sizes.items()},
        prefixes={name: [prefix(number) for number in range(size)] for name, size in sizes.items()},
    )


def planned(pool: TokenPool, place: str | None = None, value: object = UNNAMED, engine: str = "stack") -> PlannedRun:
    """Return the run of a recipe of two stages alike, with a value at a place; UNNAMED = none, but what it stands in."""
    stages: list[dict[str, Any]] = [{"tokens": steps * STEP, "weights": WEIGHTS} for steps in STEPS]
    recipe: dict[str, Any] = {
        "format": 4,
        "name": "by-hand",
        "domains": list(DOMAINS),
        "stages": stages,
        "max_epochs": 9.0,
    }
    train: dict[str, Any] = {"training": deepcopy(TRAINING), "num_seeds": 1}
    if ENGINES[engine] is not None:
        train["training"]["parallel"] = ENGINES[engine]
    if place is not None:
        root, *names, last = place.split(".")
        at: dict[str, Any] = {"train": train, "recipe": recipe, "stage": stages[1]}[root]
        for name in names:
            at = at.setdefault(name, {})
        if value is not UNNAMED:
            at[last] = value
    params = validate(TrainParams, train, "by hand")
    (run,) = planned_runs(params, validate(Recipe, recipe, "by hand"), pool, "digest", "by hand").runs
    return run


def key_of(run: PlannedRun) -> Any:
    """Return what of a run is in the key of its unit."""
    return reads_of(run.spec) | ({} if run.hooks is None else {"hooks": reads_of(run.hooks)})


def trained(run: PlannedRun, pool: TokenPool, scratch: Path) -> RunResult:
    if run.hooks is None:
        return train(run.spec, pool)
    return train_planned(run.spec, run.hooks, pool, Here(folder=scratch, scratch=scratch), None)[0]


def same_weights(one: RunResult, other: RunResult) -> bool:
    mine, own = one.model.weights, other.model.weights
    return mine.keys() == own.keys() and all(mine[name].equal(weight) for name, weight in own.items())


@pytest.fixture(scope="module")
def baselines(rich_pool: TokenPool, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunResult]:
    """The run that names no method, by engine."""
    folder = tmp_path_factory.mktemp("baselines")
    return {engine: trained(planned(rich_pool, engine=engine), rich_pool, folder / engine) for engine in ENGINES}


@pytest.mark.parametrize("name", METHODS)
def test_off_a_method_is_in_no_key_and_the_run_is_the_baseline(rich_pool: TokenPool, name: str) -> None:
    place, off = METHODS[name].place, METHODS[name].off
    run = planned(rich_pool, place, off)
    # An equal spec is an equal run: there is nothing else that an engine is told.
    assert run == planned(rich_pool, place)
    assert key_of(run) == ({**KEY, "training": {**TRAINING_KEY, "data": {"seed": 0}}} if ".data." in place else KEY)


# Options that are null or nothing by default and are no methods: where and when a run is worked on, saved and measured.
OTHER = {
    *("train.training." + name for name in ("parallel", "checkpoint_every_steps", "keep_checkpoints", "evaluations")),
    *("train.training." + name for name in ("milestone_every_steps", "data", "model.architecture", "model.head_dim")),
    *("train.training.optimizer." + name for name in ("warmup_steps", "gradient_clip")),
    *("stage." + name for name in ("warmup_steps", "peak_fraction")),
}
OPTIONS = {
    "train.training": TrainingConfig,
    "train.training.model": ModelConfig,
    "train.training.optimizer": OptimizerConfig,
    "train.training.data": DataConfig,
    "stage": RecipeStage,
}


def kinds(annotation: Any) -> Iterator[str]:
    """Yield the kinds of a union of configs."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and "kind" in annotation.model_fields:
        yield from get_args(annotation.model_fields["kind"].annotation)
    for one in get_args(annotation):
        yield from kinds(one)


def test_every_option_and_kind_of_a_run_has_a_line_here() -> None:
    there = {method.place for method in METHODS.values()}
    examples = [method.on for method in METHODS.values()]
    shown = {one["kind"] for one in examples if isinstance(one, dict) and "kind" in one} | {"adamw", "wsd"}
    for owner, model in OPTIONS.items():
        for name, field in model.model_fields.items():
            place = f"{owner}.{name}"
            default = field.get_default(call_default_factory=True)
            assert not (default is None or default is False or default == ()) or place in there | OTHER, (
                f"add a line for {place} to METHODS"
            )
            if place not in OTHER:
                assert {*kinds(field.annotation)} <= shown, f"add a line for each kind of {place} to METHODS"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_section_of_data_that_names_no_method_changes_no_bit(
    rich_pool: TokenPool, baselines: dict[str, RunResult], tmp_path: Path, engine: str
) -> None:
    run = trained(planned(rich_pool, "train.training.data.seed", engine=engine), rich_pool, tmp_path)
    assert run.losses == baselines[engine].losses and same_weights(run, baselines[engine])


@pytest.mark.parametrize("engine", ENGINES)
def test_the_baseline_is_what_it_was(baselines: dict[str, RunResult], engine: str) -> None:
    run = baselines[engine]
    assert run.losses == pytest.approx(LOSSES, abs=2e-5)
    assert run.ledger.digests == DIGESTS


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.on is not None])
def test_on_a_method_changes_key_and_run_or_is_refused(
    rich_pool: TokenPool, baselines: dict[str, RunResult], tmp_path: Path, name: str, engine: str
) -> None:
    method, plain = METHODS[name], baselines[engine]
    try:
        run = planned(rich_pool, method.place, method.on, engine)
        assert key_of(run) != key_of(planned(rich_pool, engine=engine))
        made = trained(run, rich_pool, tmp_path)
    except ConfigError as error:
        assert method.place.rpartition(".")[2] in str(error)
        return
    assert not same_weights(made, plain)
