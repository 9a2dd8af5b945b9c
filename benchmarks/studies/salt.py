"""SALT: whether a smaller teacher in the first steps helps a larger model, and more so with the samples that it selects.

    python -m benchmarks.studies.salt FOLDER [--seeds 3] [--tokens 262144]

The teacher has a fifth of the parameters and was trained on the same tokens. In the first quarter of the steps two thirds of
the loss are the divergence from its ten likeliest tokens; behind that the loss is cross-entropy alone. With SALT-DS half of
each step's samples count in the first quarter, those that are challenging but learnable; all are read, and all count as
tokens. The paper's claims are about models of billions of parameters: the same quality in fewer steps, in fewer still with
the selection.
"""

from benchmarks.studies.bytes_of_text import STEP, as_teacher, byte_pool, measured, stacked, trained, training
from benchmarks.studies.study import SEEDS, Option, Study, difference, run, table, verdict

WEIGHT, TOP_K, SHARE, SELECTED = 0.667, 10, 0.25, 0.5
PLAIN, TAUGHT, CHOSEN = "cross-entropy", "SALT", "SALT-DS"


def compared(study: Study) -> str:
    """Train all arms with each seed, and return what came out."""
    folder, tokens, seeds = study.scratch(), study.options.tokens, range(study.options.seeds)
    pool = byte_pool(study.data, folder / "pool", tokens)
    small = trained(training(tokens, hidden=32, layers=1), pool, 100)
    teacher = as_teacher(small, folder / "teacher")
    phase = {"weight": WEIGHT, "top_k": TOP_K, "first_steps": int(SHARE * tokens / STEP)}
    arms = {
        PLAIN: training(tokens),
        TAUGHT: training(tokens, distillation=phase),
        CHOSEN: training(tokens, distillation=phase | {"select_share": SELECTED}),
        "taught throughout": training(tokens, distillation=phase | {"first_steps": None}),
    }
    found = {}
    for name, config in arms.items():
        teachers = None if config.distillation is None else (teacher,)
        found[name] = [measured(one.model, pool) for one in stacked(config, pool, seeds, teachers=teachers)]
        print(name, found[name], flush=True)
    return (
        f"{tokens:,} bytes of English, once, 0.1M parameters, teacher 0.02M with {measured(small, pool):.4f} bits per byte, "
        f"{len(seeds)} paired seeds, weight {WEIGHT}, top {TOP_K}, first {SHARE:.0%} of the steps; SALT-DS selects "
        f"{SELECTED:.0%} of the samples.\n\n"
        f"{table({name: {'bits per byte': bits} for name, bits in found.items()}, PLAIN)}\n\n"
        f"What SALT gains at this scale: {difference(found[TAUGHT], found[PLAIN])}: {verdict(found[TAUGHT], found[PLAIN])}. "
        f"What its selection adds: {difference(found[CHOSEN], found[TAUGHT])}: {verdict(found[CHOSEN], found[TAUGHT])}. "
        "The teacher's own training is not counted."
    )


if __name__ == "__main__":
    run("salt", __doc__, compared, SEEDS, Option("tokens", 262_144, "of each run, none twice"))
