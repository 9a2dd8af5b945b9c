"""The driver of a ladder: every run is trained and measured; what was run before is taken."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core.handles import Tree
from tasks.core.manifest import Manifest
from tasks.evaluation.measured import bits_per_byte_of, held_out_of
from tasks.ladder.config import LadderParams
from tasks.ladder.forecast import COLUMNS
from tasks.ladder.plan import LadderRun, planned, require_affordable
from tasks.ladder.published import RUNS_FILE, Ladder, LadderRunResult
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord, finished
from tasks.runtime.stages import StageInput, StageRun, environment_over, stage_input
from tasks.tokenize.pool import POOL_FILES, TokenPool, read_pool
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.recipes import PlannedRun
from tasks.training.runs.stage import TRAIN, require_worlds, train_all
from tasks.training.trunks import milestone_of
from tasks.training.types import Device, RunSpec
from tasks.training.unit import RunArgs

STAGE = "ladder"


def run(
    params: LadderParams,
    *,
    inputs: Mapping[str, Path],
    output: Path,
    workshop: Workshop,
    budget_flops: float | None = None,
) -> Manifest:
    """Train all runs and measure them on the test split. A budget refuses a ladder that takes more; it changes no result."""
    tokenized = stage_input(workshop, inputs, "tokenize")
    stage = StageRun(
        workshop, STAGE, __name__, params, {"tokenize": tokenized.digest}, output, gpus=workshop.gpus_per_trainer
    )
    if (found := stage.unchanged()) is not None:
        return found
    read, held_out = _read(tokenized), held_out_of(tokenized)
    pool = read_pool(read.local(), "train")
    runs = planned(params, pool)
    require_affordable(runs, pool.vocab_size, budget_flops)
    require_worlds([one.spec for one in runs], workshop)
    records = train_all([PlannedRun(one.size, one.spec) for one in runs], read, None, workshop)
    limit = params.test_tokens_per_domain
    bpb = bits_per_byte_of(records, held_out, limit, workshop, label="ladder: bits per byte")
    results = [_result(one, record, own, pool.vocab_size) for one, record, own in zip(runs, records, bpb, strict=True)]
    results.sort(key=lambda one: (one.params, one.tokens, one.seed))
    told = Ladder(
        weights=dict(zip(pool.names, runs[0].spec.phases[0].weights, strict=True)),
        spent_flops=sum(one.spent(pool.vocab_size) for one in runs),
        runs=tuple(results),
    )
    return stage.publish(
        {Ladder.FILE: told, RUNS_FILE: runs_text(results)},
        summary={"runs": len(results), "spent_flops": told.spent_flops},
        environment=environment_over(records),
    )


@dataclass(frozen=True)
class Planned:
    """A run as `mixwright ladder plan` tells it."""

    run: LadderRun
    flops: int
    spent: int
    finished: bool


def plan(params: LadderParams, *, inputs: Mapping[str, Path], workshop: Workshop) -> tuple[list[Planned], TokenPool]:
    """Return all runs, whether each is in the store already, and the pool."""
    read = _read(stage_input(workshop, inputs, "tokenize"))
    pool = read_pool(read.local(), "train")
    runs = planned(params, pool)
    found: dict[RunSpec, UnitRecord] = {}
    for one in runs:
        if one.spec.trunk is not None and one.spec.trunk.spec not in found:
            continue
        record = _finished(one.spec, read, found, workshop)
        if record is not None:
            found[one.spec] = record
    vocab_size = pool.vocab_size
    return [Planned(one, one.flops(vocab_size), one.spent(vocab_size), one.spec in found) for one in runs], pool


def runs_text(results: Sequence[LadderRunResult]) -> str:
    """Return the runs as a table that laws read: a row for every run and set."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in results:
        sizes = (one.params, one.tokens, one.flops, one.seed)
        writer.writerows([*sizes, name, repr(value)] for name, value in one.bits_per_byte.items())
    return stream.getvalue()


def _read(tokenized: StageInput) -> Tree:
    return tokenized.tree(*POOL_FILES, "tokens/train/", TOKENIZER_FILE)


def _finished(spec: RunSpec, read: Tree, found: Mapping[RunSpec, UnitRecord], workshop: Workshop) -> UnitRecord | None:
    device: Device = "cuda" if workshop.gpus_per_trainer else "cpu"
    args = RunArgs(spec, read, milestone=milestone_of(spec.trunk, found), device=device)
    key = TRAIN.identity(args, workshop.device(workshop.gpus_per_trainer)).key
    return finished(workshop.store, TRAIN.name, key, workshop.observer.say)


def _result(one: LadderRun, record: UnitRecord, bpb: Mapping[str, float], vocab_size: int) -> LadderRunResult:
    return LadderRunResult(
        name=one.spec.name,
        size=one.size,
        seed=one.spec.seed,
        params=one.parameters,
        tokens=one.spec.training.num_tokens,
        flops=one.flops(vocab_size),
        trunk_step=None if one.spec.trunk is None else one.spec.trunk.step,
        bits_per_byte=bpb,
        device=record.identity["device"],
        instruction_set=record.environment["instruction_set"],
    )
