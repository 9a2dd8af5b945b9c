"""The unit of the train stage: one run, by one or several data-parallel processes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.handles import Tree
from tasks.core.identity import LABEL
from tasks.core.results import Here, UnitResult
from tasks.tokenize.pool import read_pool
from tasks.tokenize.published import TOKENIZER_FILE, Split
from tasks.training.branches import Milestone, begin
from tasks.training.checkpoint import publish_milestones
from tasks.training.config import TrainingConfig
from tasks.training.data import RunData, run_data
from tasks.training.export import write_model, write_tokenizer_files
from tasks.training.held_out import SPLIT as HELD_OUT
from tasks.training.ledger import ledger_rows
from tasks.training.planned import StageHook, milestones, train_planned
from tasks.training.planted.published import PlantedPlan
from tasks.training.published_run import (
    EVALUATIONS_FILE,
    LEDGER_FILE,
    LOSSES_FILE,
    EvaluationRow,
    evaluations_text,
    ledger_text,
    losses_text,
)
from tasks.training.result import RunResult
from tasks.training.rows import SPLIT
from tasks.training.starts.start import Start
from tasks.training.starts.upcycle import upcycled
from tasks.training.starts.weights import started_weights
from tasks.training.types import Device, RunSpec

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class RunArgs:
    """A run, what it reads of the token pool (index, its splits and tokenizer), and where it starts (None = scratch).

    A branch has the `milestone` of its trunk that it goes on from. `hooks` decide the mixtures of some phases on the way.
    `device` is placement here: its kind is a part of the key by itself.
    """

    spec: RunSpec
    pool: Tree
    start: Start | None = None
    milestone: Milestone | None = None
    hooks: tuple[StageHook, ...] | None = None
    device: Device = field(default="cpu", metadata=LABEL)


def splits_of(training: TrainingConfig) -> tuple[Split, ...]:
    """Return the splits that a run reads."""
    return (SPLIT,) if training.evaluations is None else (SPLIT, HELD_OUT)


def train_run(args: RunArgs, here: Here) -> UnitResult:
    """Make a run, alone or as one of several processes, from its last checkpoint on; the first writes its files."""
    folder = args.pool.local()
    pool = read_pool(folder, *splits_of(args.spec.training))
    if args.milestone is not None and here.rank == 0 and here.scratch is not None:
        begin(args.milestone, args.spec, run_data(args.spec, pool), here.scratch)
    initial = None if args.start is None else _initial(args.start, args.spec, pool.vocab_size)
    trained, spec = train_planned(args.spec, args.hooks or (), pool, here, initial, args.device)
    data = run_data(spec, pool)
    if here.rank == 0:
        _write(trained, data, folder / TOKENIZER_FILE, here.folder)
        if spec.planted is not None:
            (here.folder / PlantedPlan.FILE).write_text(spec.planted.text(), encoding="utf-8")
        if here.scratch is not None:
            made = milestones(args.spec, args.hooks or (), here.scratch)
            publish_milestones(made, here.scratch, here.folder)
    last = trained.losses[-max(1, len(trained.losses) // 10) :]
    summary: dict[str, object] = {
        "final_loss": sum(last) / len(last),
        "samples": list(trained.ledger.totals),
        "tokens": list(trained.ledger.token_totals),
        "epochs": data.epochs_before(data.num_samples).tolist(),
    }
    if args.spec.training.optimizer.skip_spikes is not None:
        summary["skipped_steps"] = list(trained.skipped)
    if data.plants is not None:
        summary["displaced"] = data.plants.tokens_by_domain(data.domain, len(pool.names))
    if args.hooks is not None:
        summary["weights"] = [list(phase.weights) for phase in spec.phases]
    if trained.workers:
        summary["workers"] = trained.workers
    return UnitResult(summary=summary)


def _initial(start: Start, spec: RunSpec, vocab_size: int) -> "dict[str, Tensor]":
    """Return the weights that a run starts from."""
    model = spec.training.model
    weights = started_weights(start, model, vocab_size)
    return upcycled(weights, model, vocab_size, spec.seed) if start.upcycle else weights


def _write(trained: RunResult, data: RunData, tokenizer: Path, folder: Path) -> None:
    end = data.pool.document_end
    write_model(trained.model, end, folder)
    write_tokenizer_files(tokenizer, end, trained.model.config.sequence_length, folder)
    (folder / LOSSES_FILE).write_text(losses_text(trained.losses), encoding="utf-8")
    (folder / LEDGER_FILE).write_text(ledger_text(ledger_rows(trained.ledger, data)), encoding="utf-8")
    if trained.experts is not None:
        trained.experts.write(folder)
    if trained.evaluations:
        rows = [
            EvaluationRow(step, name, value)
            for step, values in trained.evaluations
            for name, value in zip(data.pool.names, values, strict=True)
        ]
        (folder / EVALUATIONS_FILE).write_text(evaluations_text(rows), encoding="utf-8")
