"""Distillation on pruned data: whether a teacher that saw all of it makes up for what was pruned.

    python -m benchmarks.studies.distillation_pruned FOLDER [--seeds 3] [--unique 131072 32768] [--tokens 262144]

Runs see a quarter of the rows, chosen at random, as many tokens as the run on all of them: once with cross-entropy alone,
once with most of the loss from a teacher that was trained on all rows. The claim (of images; the paper was rejected, so it
is a hypothesis): the second is nearer to the run on all data.
"""

from benchmarks.studies.bytes_of_text import as_teacher, byte_pool, measured, trained, training
from benchmarks.studies.study import SEEDS, Option, Study, difference, run, table, verdict

KEPT, WEIGHT = 0.25, 0.75
ALL, PART, TAUGHT = "all rows", "a quarter", "a quarter, with a teacher of all"


def compared(study: Study) -> str:
    """Return a table for each number of tokens."""
    return "\n\n".join(_told(study, unique) for unique in study.options.unique)


def _told(study: Study, unique: int) -> str:
    """Train the three arms with each seed on so many tokens, and return what came out."""
    folder, tokens = study.scratch(), study.options.tokens
    pool = byte_pool(study.data, folder / "pool", unique)
    plain = training(tokens)
    taught = training(tokens, distillation={"weight": WEIGHT})
    found: dict[str, list[float]] = {ALL: [], PART: [], TAUGHT: []}
    for seed in range(study.options.seeds):
        # Another seed than the run it is compared with, so that the teacher is not that very model.
        teacher = as_teacher(trained(plain, pool, seed + 100), folder / f"teacher-{seed}")
        found[ALL].append(measured(trained(plain, pool, seed), pool))
        found[PART].append(measured(trained(plain, pool, seed, row_share=KEPT), pool))
        found[TAUGHT].append(measured(trained(taught, pool, seed, [teacher], KEPT), pool))
        print({name: values[-1] for name, values in found.items()}, flush=True)
    return (
        f"{unique:,} bytes of English, {tokens:,} tokens a run, 0.1M parameters, {study.options.seeds} paired seeds, weight "
        f"{WEIGHT}.\n\n{table({name: {'bits per byte': bits} for name, bits in found.items()}, ALL)}\n\n"
        f"The teacher's worth on a quarter of the rows: {difference(found[TAUGHT], found[PART])}: "
        f"{verdict(found[TAUGHT], found[PART])}."
    )


if __name__ == "__main__":
    unique = Option("unique", (131_072, 32_768), "tokens that there are, a table each")
    run("distillation_pruned", __doc__, compared, SEEDS, unique, Option("tokens", 262_144, "of each run"))
