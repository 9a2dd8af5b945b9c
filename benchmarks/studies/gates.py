"""Skywork-MoE's gate and adaptive coefficients, against a plain softmax and a fixed coefficient.

    python -m benchmarks.studies.gates FOLDER [--seeds 3] [--steps 160]

Sparse experts as in the study of experts: the shared corpus as bytes, a domain for each kind of source, 8 experts of which 2
are active. `gate`: logits normalised for each token or not (arXiv 2406.06563, which finds less loss and experts that are
told apart), nothing dropped. `coefficient`: experts take 1.25 times their share of a sample, and the balance loss weighs
0.01 throughout, or follows each layer's drop rate from there on. All runs of a seed begin with the same weights and data.
"""

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from benchmarks.studies.bytes_of_text import stacked
from benchmarks.studies.experts import HELD_OUT, pool_of, training_of
from benchmarks.studies.study import SEEDS, Option, Study, Values, run, table, verdict
from tasks.tokenize.pool import TokenPool
from tasks.training.config import TrainingConfig
from tasks.training.experts.top_k import TopK
from tasks.training.measure import bits_per_byte

CAPACITY, COEFFICIENT = 1.25, 0.01
BALANCE = {"coefficient": COEFFICIENT}
PLAIN, SKYWORK, FIXED, ADAPTIVE = "plain softmax", "normalised", "fixed", "adaptive"
QUESTIONS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "gate": {
        PLAIN: {"gate": {"normalised": False}, "balance": BALANCE},
        SKYWORK: {"balance": BALANCE},
    },
    "coefficient": {
        FIXED: {"capacity_factor": CAPACITY, "balance": BALANCE},
        ADAPTIVE: {"capacity_factor": CAPACITY, "balance": BALANCE | {"adaptive": {}}},
    },
}


def compared(study: Study) -> str:
    """Train the arms of both questions with each seed, and return what came out."""
    steps, seeds = study.options.steps, study.options.seeds
    pool = pool_of(study.data, study.scratch(), study.options.every)
    parts = [f"0.09M parameters, {seeds} paired seeds of {steps} steps of 4 samples of 128 bytes, 14 kinds of sources."]
    for question, arms in QUESTIONS.items():
        found = {name: told_of(pool, config_of(own, steps), seeds) for name, own in arms.items()}
        base, other = arms
        lower = verdict(*(found[name]["bits per byte"] for name in (other, base)))
        parts.append(f"{question}\n\n{table(found, base)}\n\nFewer bits per byte {other} than {base}: {lower}.")
        print(parts[-1], flush=True)
    return "\n\n".join(parts)


def config_of(experts: Mapping[str, Any], steps: int) -> TrainingConfig:
    """Return the config of an arm: that of the study of experts, with other experts."""
    plain = training_of("global_batch", COEFFICIENT, steps)
    own = TopK.model_validate({"num_experts": 8, "num_active": 2, **experts})
    # A step is one micro-batch: balance over the whole step then costs nothing more.
    return plain.model_copy(update={"model": plain.model.model_copy(update={"experts": own}), "micro_batches": 1})


def told_of(pool: TokenPool, training: TrainingConfig, seeds: int) -> Values:
    """Return what is told of runs with each seed; means over layers and sources."""
    found: dict[str, list[float]] = {"bits per byte": [], "balance": [], "dropped": [], "first gate / second": []}
    for ended in stacked(training, pool, range(seeds)):
        assert ended.experts is not None, "the model has experts"
        layers = ended.experts.layers
        ratios = [one.first_to_second for layer in layers for one in layer.domains.values()]
        bits = fmean(bits_per_byte(ended.model, pool, "test", HELD_OUT).values())
        drops = fmean(one.whole_drop_rate for one in layers)
        told = bits, fmean(one.balance for one in layers), drops, fmean(ratios)
        for values, value in zip(found.values(), told, strict=True):
            values.append(value)
    return found


if __name__ == "__main__":
    run("gates", __doc__, compared, SEEDS, Option("steps", 160), Option("every", 10, "one document in so many"))
