"""Planned runs, trained by units of work: each is kept by what it is, whichever stage asks for it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from infra.executors import Resources
from infra.progress import UnitReport
from tasks.core.handles import Tree
from tasks.runtime.context import Workshop
from tasks.runtime.costs import unit_metrics
from tasks.runtime.records import UnitRecord
from tasks.runtime.step import Step
from tasks.tokenize.pool import POOL_FILES
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.ewc.stage import anchors
from tasks.training.published_experts import ExpertsUsed
from tasks.training.published_run import read_evaluations, read_losses
from tasks.training.recipes import PlannedRun
from tasks.training.starts.start import Start
from tasks.training.trunks import as_decided, milestone_of, num_trunks
from tasks.training.types import Device, RunSpec
from tasks.training.unit import RunArgs, train_run
from tasks.training.worlds import (
    require_segments_shared,
    require_shared,
    shares_segments,
    smaller_worlds,
    workers_words,
)


def tokens_trained(args: RunArgs) -> int:
    """Return the tokens that a run trains on, without those of its trunk."""
    return args.spec.training.num_tokens - args.spec.tokens_before


TRAIN = Step("train.run", "train", train_run, distributed=True, stops=True, tokens=tokens_trained)


def train_all(planned: Sequence[PlannedRun], read: Tree, start: Start | None, workshop: Workshop) -> list[UnitRecord]:
    """Make all runs, trunks before their branches; what is the same work (uniform was searched) once."""
    made, records = dict[RunSpec, UnitRecord](), dict[int, UnitRecord]()
    worlds, depths = _smaller(planned, workshop), [num_trunks(one.spec) for one in planned]
    for depth in sorted({*depths}):
        places = [place for place, own in enumerate(depths) if own == depth]
        runs = [planned[place] for place in places]
        found = _trained(runs, read, start, made, workshop, worlds)
        made |= {one.spec: record for one, record in zip(runs, found, strict=True)}
        records |= dict(zip(places, found, strict=True))
    return [records[place] for place in range(len(planned))]


def _trained(
    runs: Sequence[PlannedRun],
    read: Tree,
    start: Start | None,
    made: Mapping[RunSpec, UnitRecord],
    workshop: Workshop,
    worlds: Sequence[int],
) -> list[UnitRecord]:
    """Make runs that begin at the start, or runs that are branches of what is `made`."""

    def tell(index: int, record: UnitRecord) -> None:
        spec = runs[index].spec
        workshop.observer.unit(_report(spec, record, unit_metrics(workshop.store, TRAIN.name, record.key)))
        if len(workers := record.summary.get("workers", ())) > 1:
            workshop.observer.say(f"{spec.name} was trained {workers_words(workers)}")

    device: Device = "cuda" if workshop.gpus_per_trainer else "cpu"
    branches = runs[0].spec.trunk is not None
    held = anchors([one.spec for one in runs], made, read, start, workshop)
    return TRAIN.map(
        workshop,
        [
            RunArgs(
                replace(as_decided(one.spec, made), anchor=own),
                read_by(one.spec, read),
                None if branches else start,
                milestone_of(one.spec.trunk, made),
                one.hooks,
                device,
            )
            for one, own in zip(runs, held, strict=True)
        ],
        label="train: branches" if branches else None,
        on_finished=tell,
        names=[one.spec.name for one in runs],
        resources=Resources(gpus=workshop.gpus_per_trainer),
        smaller_worlds=worlds,
    )


def read_by(spec: RunSpec, read: Tree) -> Tree:
    """Return what a run reads of the pool: metadata only where a part of it has some."""
    if any(segment.metadata for segment in spec.segments):
        return read
    return read.under(*POOL_FILES, "tokens/", TOKENIZER_FILE)


def _smaller(runs: Sequence[PlannedRun], workshop: Workshop) -> tuple[int, ...]:
    """Return with how many workers the runs may go on where there is no longer room for all."""
    least = workshop.min_world_size
    if least is None:
        return ()
    fits = [smaller_worlds(one.spec.training, workshop.world_size, least) for one in runs]
    return tuple(size for size in fits[0] if all(size in each for each in fits) and _share(runs, size))


def _share(runs: Sequence[PlannedRun], size: int) -> bool:
    """Return whether so many workers share the steps of every length of samples."""
    return all(one.spec.training.engine is None or shares_segments(one.spec.segments, size) for one in runs)


def require_worlds(specs: Sequence[RunSpec], workshop: Workshop) -> None:
    """Refuse runs whose steps the workshop's workers cannot share, before any of them starts.

    Raises:
        ConfigError: which numbers cannot be shared, and what would do.
    """
    for spec in specs:
        require_shared(spec.training, workshop.world_size)
        if spec.training.engine is not None:
            require_segments_shared(spec.segments, workshop.world_size)


def _report(spec: RunSpec, record: UnitRecord, costs: Mapping[str, float]) -> UnitReport:
    weights = [
        phase.weights if phase.end_weights is None else [phase.weights, phase.end_weights] for phase in spec.phases
    ]
    # By steps made, as while it was under way.
    curves = {"loss": list(enumerate(read_losses(record.folder), start=1))}
    for row in read_evaluations(record.folder):
        curves.setdefault(f"bits_per_byte/{row.domain}", []).append((row.step, row.bits_per_byte))
    return UnitReport(
        name=spec.name,
        key=record.key,
        params={"seed": spec.seed, "tokens": spec.training.num_tokens, "weights": json.dumps(weights)},
        metrics={"final_loss": record.summary["final_loss"], **_skipped(record), **_of_experts(record), **costs},
        curves=curves,
    )


def _skipped(record: UnitRecord) -> dict[str, float]:
    """Return how many steps were left out, where a run may leave out some."""
    steps = record.summary.get("skipped_steps")
    return {} if steps is None else {"skipped_steps": len(steps)}


def _of_experts(record: UnitRecord) -> dict[str, float]:
    """Return how a run used its experts, means over its layers, where it has some."""
    if not (record.folder / ExpertsUsed.FILE).is_file():
        return {}
    layers = ExpertsUsed.read(record.folder).layers
    told = {
        "balance": [layer.balance for layer in layers],
        "drop_rate": [layer.whole_drop_rate for layer in layers],
        "information": [layer.information for layer in layers],
    }
    return {f"experts/{name}": fmean(values) for name, values in told.items()}
