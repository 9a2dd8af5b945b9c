"""Few tokens and all the compute one likes: epochs x weight decay, ensembles, and students of what they write.

    python -m benchmarks.studies.infinite_compute FOLDER --part sweep|ensemble|teacher|continual [options]

The recipe of arXiv 2509.14786 at the smallest size, in four parts. `sweep`: is the lowest loss with a large weight decay at
more epochs, and lower, than with the usual one? `ensemble`: four models as one, each as dear as the single one beside it,
and what that is worth in tokens of the usual recipe, nothing beyond those measured. `teacher`: students of text that a
model, or an ensemble, wrote. `continual`: the sweep and the ensemble where a model of English goes on with code. Cells are
chosen with some seeds and compared with others; each seed of an ensemble has members of its own.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from benchmarks.studies.bytes_of_text import (
    END,
    LENGTH,
    Integers,
    byte_pool,
    measured,
    stacked,
    stream,
    texts_of,
    training,
)
from benchmarks.studies.study import SEEDS, Option, Study, Values, difference, run, table, verdict
from tasks.core.text_table import markdown_table
from tasks.laws.multiplier import COLUMNS, multipliers
from tasks.laws.table import read_law_table
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.training.config import TrainingConfig
from tasks.training.generate import continuations
from tasks.training.model import Decoder
from tasks.training.stacked import train_stacked
from tasks.training.types import DivergedError, Phase, RunSpec

# Epochs and weight decay.
Cell = tuple[int, float]
USUAL, MEMBERS, APART, BUDGETS = 0.1, 4, 1_000, (1, 2, 4)
# Seeds that no cell was chosen with.
FRESH = 100
SELF, JOINT = 0.75, 0.9
HELD_OUT, _SEQUENCES, _DOCUMENTS = 8_192, 4, 32


def asked(study: Study) -> str:
    """Return what came out of a part."""
    parts = {"sweep": sweep, "ensemble": ensemble, "teacher": teacher, "continual": continual}
    tokens = study.options.tokens
    told = (
        f"{tokens:,} bytes to train on, 0.06M parameters, {study.options.seeds} seeds; bits per byte of held-out text."
    )
    return f"{told}\n\n" + parts[study.options.part](
        study, byte_pool(study.data, study.scratch() / "pool", tokens, HELD_OUT)
    )


def sweep(study: Study, pool: TokenPool) -> str:
    """Compare the best cell of the usual weight decay with the best of the larger ones."""
    seeds, tokens = study.options.seeds, study.options.tokens
    found = {cell: losses(pool, tokens, cell, range(seeds)) for cell in _cells(study)}
    usual, best = (_best(found, usual=usual) for usual in (True, False))
    own, base = (losses(pool, tokens, cell, range(FRESH, FRESH + seeds)) for cell in (best, usual))
    return "\n\n".join(
        [
            _grid(found),
            f"Lowest with {USUAL}: {usual[0]} epochs; with a larger one: {best[0]} epochs with {best[1]:g}. With {seeds} "
            f"other seeds: {fmean(own):.4f} less {fmean(base):.4f} = {difference(own, base)}: lower is "
            f"{verdict(own, base)}.",
        ]
    )


def ensemble(study: Study, pool: TokenPool) -> str:
    """Compare ensembles with single models of the cost of a member, and tell what they are worth in tokens."""
    options, tokens, seeds = study.options, study.options.tokens, range(FRESH, FRESH + study.options.seeds)
    best, usual = (options.best_epochs, options.best_decay), (options.usual_epochs, USUAL)
    wide = (2 * best[0], best[1] / 2)
    alone, joint = _joint(pool, tokens, best, seeds)
    wide_alone, wide_joint = _joint(pool, tokens, wide, seeds)
    arms = {
        _called(usual): losses(pool, tokens, usual, seeds),
        _called(best): alone,
        _called(wide): wide_alone,
        f"{MEMBERS} as one, {_called(best)}": joint,
        f"{MEMBERS} as one, {_called(wide)}": wide_joint,
    }
    law = []
    for times in BUDGETS:
        more = byte_pool(study.data, study.scratch() / f"pool-{times}", times * tokens, HELD_OUT)
        law += [(times * tokens, value) for value in losses(more, times * tokens, usual, seeds)]
    worth = _worth(study.scratch(), tokens, [fmean(values) for values in arms.values()], law)
    rows = [(name, f"{fmean(own):.4f}", times) for (name, own), times in zip(arms.items(), worth, strict=True)]
    budgets = ", ".join(
        f"{times * tokens:,}: {fmean(value for size, value in law if size == times * tokens):.4f}" for times in BUDGETS
    )
    return "\n\n".join(
        [
            table({name: {"bits per byte": own} for name, own in arms.items()}, _called(best)),
            f"{MEMBERS} as one less the first of them alone: {verdict(joint, alone)} ({_called(best)}), "
            f"{verdict(wide_joint, wide_alone)} ({_called(wide)}).",
            f"Tokens that the usual recipe needs, times those there are, on a law fitted to its {len(BUDGETS)} budgets:",
            "\n".join(markdown_table(("arm", "bits per byte", "times"), rows)),
            f"The usual recipe by tokens: {budgets}.",
        ]
    )


def teacher(study: Study, pool: TokenPool) -> str:
    """Compare students of what one model and an ensemble wrote with a run on the real text alone."""
    options, tokens = study.options, study.options.tokens
    best, found = (options.best_epochs, options.best_decay), dict[str, list[float]]()
    for seed in range(FRESH, FRESH + options.seeds):
        members = [one.model for one in stacked(config(tokens, best), pool, _members(seed))]
        found.setdefault("teacher", []).append(measured(members[0], pool))
        found.setdefault(f"{MEMBERS} teachers as one", []).append(measured(members, pool))
        for share, models in ((0.0, members[:1]), (SELF, members[:1]), (JOINT, members)):
            name = "real text alone" if not share else f"{share:g} of what {len(models)} wrote"
            found.setdefault(name, []).append(_student(study, pool, models, share, seed))
            print(name, seed, found[name][-1], flush=True)
    return (
        table({name: {"bits per byte": own} for name, own in found.items()}, "real text alone")
        + f"\n\nTeachers: {_called(best)}. Students: {best[0]} epochs' tokens with {USUAL}, and {options.written:,} tokens "
        "written at temperature 1 behind the end of a document."
    )


def continual(study: Study, pool: TokenPool) -> str:
    """Compare one epoch with the best cell and an ensemble, where a model of English goes on with code."""
    seeds, tokens = study.options.seeds, study.options.tokens
    new = _code(study, study.scratch() / "code")
    english = byte_pool(study.data, study.scratch() / "english", study.options.before, HELD_OUT)

    def gone_on(cell: Cell, seed: int, members: int = 1) -> list[Decoder]:
        return _trained(
            config(tokens, cell, learning_rate=study.options.rate), new, _members(seed)[:members], starts[seed]
        )

    starts = {
        seed: stacked(training(study.options.before, layers=1, sequences_per_step=_SEQUENCES), english, [seed])[0].model
        for seed in (*range(seeds), *range(FRESH, FRESH + seeds))
    }
    found = {cell: [measured(gone_on(cell, seed)[0], new) for seed in range(seeds)] for cell in _cells(study)}
    best, fresh = min(found, key=lambda cell: fmean(found[cell])), range(FRESH, FRESH + seeds)
    together = [gone_on(best, seed, MEMBERS) for seed in fresh]
    arms: dict[str, Values] = {
        "the start": {"code": [measured(starts[seed], new) for seed in fresh]},
        "once": {"code": [measured(gone_on((1, USUAL), seed)[0], new) for seed in fresh]},
        _called(best): {"code": [measured(models[0], new) for models in together]},
        f"{MEMBERS} as one": {"code": [measured(models, new) for models in together]},
    }
    single, joint = arms[_called(best)]["code"], arms[f"{MEMBERS} as one"]["code"]
    return "\n\n".join(
        [
            f"Starts: {study.options.before:,} bytes of English, one for each seed; the rate is {study.options.rate:g}.",
            _grid(found),
            f"The best with {seeds} seeds, {_called(best)}, with {seeds} others:",
            table(arms, "once"),
            f"{MEMBERS} as one less the first of them: {difference(joint, single)}: {verdict(joint, single)}.",
        ]
    )


def config(tokens: int, cell: Cell, **changes: float) -> TrainingConfig:
    """Return the run of a cell."""
    return training(tokens * cell[0], layers=1, weight_decay=cell[1], sequences_per_step=_SEQUENCES, **changes)


def losses(pool: TokenPool, tokens: int, cell: Cell, seeds: Iterable[int]) -> list[float]:
    """Return bits per byte of a cell with each seed."""
    found = [measured(one.model, pool) for one in stacked(config(tokens, cell), pool, seeds)]
    print(cell, found, flush=True)
    return found


def _cells(study: Study) -> Iterator[Cell]:
    yield from ((epochs, decay) for decay in study.options.decays for epochs in study.options.epochs)


def _best(found: dict[Cell, list[float]], *, usual: bool) -> Cell:
    return min((cell for cell in found if (cell[1] == USUAL) == usual), key=lambda cell: fmean(found[cell]))


def _called(cell: Cell) -> str:
    return f"{cell[0]} epochs with {cell[1]:g}"


def _members(seed: int) -> list[int]:
    """Return the seeds of an ensemble's members; no two ensembles share one."""
    return [seed + APART * member for member in range(MEMBERS)]


def _joint(pool: TokenPool, tokens: int, cell: Cell, seeds: Sequence[int]) -> tuple[list[float], list[float]]:
    """Return bits per byte of the first member alone, and of all members as one, with each seed."""
    every = [one for seed in seeds for one in _members(seed)]
    models = [one.model for one in stacked(config(tokens, cell), pool, every)]
    some = [models[first : first + MEMBERS] for first in range(0, len(models), MEMBERS)]
    found = [measured(each[0], pool) for each in some], [measured(each, pool) for each in some]
    print(cell, *found, flush=True)
    return found


def _student(study: Study, pool: TokenPool, models: Sequence[Decoder], share: float, seed: int) -> float:
    """Return bits per byte of a model that has a share of its tokens from what teachers wrote."""
    train = pool.domains[0].splits["train"].tokens
    text = _written(models, study.options.written, seed) if share else np.array([END])
    both = write_pool(
        study.scratch() / "both",
        {"text": {"train": train}, "teacher": {"train": text}},
        vocab_size=pool.vocab_size,
        document_end=END,
    )
    run_of = config(study.options.tokens, (study.options.best_epochs, USUAL))
    (made,) = stacked(run_of, both, [seed], [Phase(run_of.num_tokens, (1 - share, share))])
    return measured(made.model, pool)


def _written(models: Sequence[Decoder], tokens: int, seed: int) -> Integers:
    """Return what models write as one, each document with its end behind it, as `mixwright generate` draws it."""
    parts, size = list[Integers](), 0
    while size < tokens:
        prompts = [np.array([END])] * _DOCUMENTS
        told = continuations(
            models, prompts, num_tokens=LENGTH, temperature=1.0, seed=seed * APART + len(parts), end=END
        )
        parts.append(np.concatenate([np.array([*one, END], dtype=np.int64) for one in told]))
        size += parts[-1].size
    return np.concatenate(parts)[:tokens]


def _code(study: Study, folder: Path) -> TokenPool:
    """Return a pool of one domain, code, as small as the English one of the other parts."""
    found = stream(texts_of(study.data, "code_prefect-*"), HELD_OUT + study.options.tokens)
    return write_pool(
        folder,
        {"text": {"test": found[:HELD_OUT], "train": found[HELD_OUT:]}},
        vocab_size=END + 1,
        document_end=END,
    )


def _trained(given: TrainingConfig, pool: TokenPool, seeds: Sequence[int], start: Decoder) -> list[Decoder]:
    """Return models that begin with the weights of another."""
    phases = (Phase(given.num_tokens, (1.0,)),)
    specs = [RunSpec(f"seed {seed}", phases, seed, given) for seed in seeds]
    made = train_stacked(specs, pool, initial={name: weight.clone() for name, weight in start.weights.items()})
    models = [one.model for one in made if not isinstance(one, DivergedError)]
    if len(models) < len(seeds):
        raise SystemExit(f"{len(seeds) - len(models)} of {len(seeds)} runs diverged: lower --rate")
    return models


def _grid(found: dict[Cell, list[float]]) -> str:
    """Return means over seeds by weight decay and epochs, and the spread of a cell."""
    epochs, decays = (sorted({cell[place] for cell in found}) for place in (0, 1))
    rows = [(f"{decay:g}", *(f"{fmean(found[some, decay]):.4f}" for some in epochs)) for decay in decays]
    spread = fmean(max(values) - min(values) for values in found.values())
    lines = markdown_table(("decay", *(f"{some} epochs" for some in epochs)), rows)
    return "\n".join([*lines, "", f"Seeds of a cell spread over {spread:.3f} on average."])


def _worth(folder: Path, tokens: int, arms: Sequence[float], law: Sequence[tuple[int, float]]) -> list[str]:
    """Return how many times the tokens the usual recipe would need, for each arm; in words where it is not known."""
    for name, values in (("arms", [(tokens, value) for value in arms]), ("usual", law)):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("tokens", "loss"), *values])
    read = [read_law_table(folder / f"{name}.csv", COLUMNS) for name in ("arms", "usual")]
    found = multipliers(read[0], read[1], "tokens", 0.95)
    return [one.range if one.value is None else f"{one.value:.2f}" for one in found]


if __name__ == "__main__":
    run(
        "infinite_compute",
        __doc__,
        asked,
        Option("part", None, "which question", ("sweep", "ensemble", "teacher", "continual")),
        Option("tokens", 2_048, "that there are"),
        Option("epochs", (8, 16, 32, 64), "of sweep and continual"),
        Option("decays", (USUAL, 1.6), "of sweep and continual"),
        Option("best_epochs", 16, "of a member, and of a teacher"),
        Option("best_decay", 0.8, "of a member, and of a teacher"),
        Option("usual_epochs", 16, "with the usual decay, of ensemble"),
        Option("written", 4_096, "tokens, of teacher"),
        Option("before", 65_536, "bytes of English, of continual"),
        Option("rate", 3e-3, "of continual"),
        SEEDS,
        result="{name}_{part}",
    )
