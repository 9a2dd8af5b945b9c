"""SALT: whether a smaller teacher in the first steps helps a larger model.

    python -m benchmarks.studies.salt FOLDER [--seeds 3] [--tokens 262144]

The teacher has a fifth of the parameters and was trained on the same tokens. In the first quarter of the steps two thirds of
the loss are the divergence from its ten likeliest tokens; behind that the loss is cross-entropy alone. The paper's claim is
about models of billions of parameters: the same quality in fewer steps.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.inputs import shared
from benchmarks.studies.bytes_of_text import (
    STEP,
    as_teacher,
    byte_pool,
    heading,
    interval,
    measured,
    rows,
    trained,
    training,
)

_RESULTS = Path(__file__).resolve().parents[1] / "results" / "salt.txt"
WEIGHT, TOP_K, SHARE = 0.667, 10, 0.25


def main() -> None:
    """Train both arms with each seed, print and write down what came out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.salt", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="for the pool and the teacher")
    parser.add_argument("--seeds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--tokens", type=int, default=262_144, help="of each run, none twice (%(default)s)")
    options = parser.parse_args()
    if (data := shared()) is None:
        print("skipped: no shared data here. MIXWRIGHT_SHARED names its folder; by default ../shared is looked for.")
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    pool = byte_pool(data, folder / "pool", options.tokens)
    small = trained(training(options.tokens, hidden=32, layers=1), pool, 100)
    teacher = as_teacher(small, folder / "teacher")
    phase = {"weight": WEIGHT, "top_k": TOP_K, "first_steps": int(SHARE * options.tokens / STEP)}
    arms = {
        "cross-entropy": training(options.tokens),
        "SALT": training(options.tokens, distillation=phase),
        "taught throughout": training(options.tokens, distillation=phase | {"first_steps": None}),
    }
    found: dict[str, list[float]] = {name: [] for name in arms}
    for seed in range(options.seeds):
        for name, config in arms.items():
            given = [] if config.distillation is None else [teacher]
            found[name].append(measured(trained(config, pool, seed, given), pool))
        print({name: values[-1] for name, values in found.items()}, flush=True)
    low, middle, high = interval(found["SALT"], found["cross-entropy"])
    verdict = "shown" if high < 0 else "not shown" if low <= 0 else "the opposite is shown"
    table = "\n".join(rows(found, "cross-entropy"))
    text = (
        f"{heading('SALT')}: {options.tokens:,} bytes of English, once, 0.1M parameters, teacher 0.02M with "
        f"{measured(small, pool):.4f} bits per byte, {options.seeds} paired seeds, weight {WEIGHT}, top {TOP_K}, first "
        f"{SHARE:.0%} of the steps. `python -m benchmarks.studies.salt FOLDER`\n\n"
        f"| run | bits per byte, held out | less cross-entropy alone (95 %) |\n|---|---|---|\n{table}\n\n"
        f"What SALT gains at this scale: {middle:+.4f} ({low:+.4f} to {high:+.4f}): {verdict}. The teacher's own training "
        "is not counted.\n"
    )
    print(text)
    _RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
