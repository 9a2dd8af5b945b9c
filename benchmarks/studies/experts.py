"""Whether experts become specialists of sources: balance over the global batch beside balance over each micro-batch.

    python -m benchmarks.studies.experts FOLDER [--seeds 3] [--steps 160] [--coefficients 0.1 1]

Text: the shared corpus as bytes, a domain for each kind of source. A micro-batch is one sample, and so of one source: where
it is balanced by itself every source must use all experts alike; over the step's samples sources may have experts of
their own (arXiv 2501.11873). Of each seed both runs have the same initial weights and the same data. Told are the mutual
information of expert and source, bits per byte of held-out text, and the balance over all sources.
"""

from pathlib import Path
from statistics import fmean

from benchmarks.studies.bytes_of_text import END, stacked, stream
from benchmarks.studies.study import SEEDS, Option, Study, difference, run
from benchmarks.studies.workspace import sampled
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.training.config import ModelConfig, OptimizerConfig, TrainingConfig
from tasks.training.experts.top_k import Balance, TopK
from tasks.training.measure import bits_per_byte
from tasks.training.model_size import num_parameters

_MOST_BYTES, HELD_OUT, _SAMPLES = 1_000_000, 8192, 4
ARMS = ("global_batch", "micro_batch")
# What is told of a run: mutual information in bits, bits per byte, balance (1 = all experts alike).
Told = tuple[float, float, float]


def compared(study: Study) -> str:
    """Train both arms with each seed, and return a table for each coefficient."""
    steps, seeds = study.options.steps, study.options.seeds
    pool = pool_of(study.data, study.folder, study.options.every)
    parameters = num_parameters(training_of(ARMS[0], 1.0, steps).model, pool.vocab_size)[0] / 1e6
    parts = [
        f"{parameters:.2f}M parameters, 8 experts, 2 active, {seeds} seeds of {steps} steps of {_SAMPLES} samples of 128 "
        f"bytes, a micro-batch each, sources {', '.join(pool.names)}."
    ]
    for coefficient in study.options.coefficients:
        arms = {over: training_of(over, coefficient, steps) for over in ARMS}
        found = {over: told_of(pool, training, seeds) for over, training in arms.items()}
        parts.append(f"coefficient {coefficient:g}\n{table(found)}")
        print(parts[-1], flush=True)
    return "\n\n".join(parts)


def training_of(over: str, coefficient: float, steps: int) -> TrainingConfig:
    """Return the config of an arm: a micro-batch is one sample."""
    balance = Balance.model_validate({"over": over, "coefficient": coefficient})
    model = ModelConfig(
        hidden_size=48,
        num_layers=1,
        num_heads=2,
        num_kv_heads=1,
        intermediate_size=64,
        sequence_length=128,
        initializer_range=0.1,
        experts=TopK(num_experts=8, num_active=2, balance=balance),
    )
    return TrainingConfig(
        model=model,
        optimizer=OptimizerConfig(learning_rate=7e-3),
        num_tokens=steps * _SAMPLES * 128,
        sequences_per_step=_SAMPLES,
        micro_batches=_SAMPLES,
        precision="float32",
    )


def told_of(pool: TokenPool, training: TrainingConfig, seeds: int) -> list[Told]:
    """Return what is told of a run with each seed, all sources alike; information and balance are means over layers."""
    found = list[Told]()
    for ended in stacked(training, pool, range(seeds)):
        assert ended.experts is not None, "the model has experts"
        layers = ended.experts.layers
        bits = fmean(bits_per_byte(ended.model, pool, "test", HELD_OUT).values())
        found.append((fmean(one.information for one in layers), bits, fmean(one.balance for one in layers)))
    return found


def table(found: dict[str, list[Told]]) -> str:
    """Return each arm's means, and the paired differences with intervals of 95 %."""
    columns = ("information (bits)", "bits per byte", "balance")
    lines = [f"{'over':<14}" + "".join(f"{column:>34}" for column in columns)]
    for over, runs in found.items():
        lines.append(f"{over:<14}" + "".join(f"{fmean(values):>34.4f}" for values in zip(*runs, strict=True)))
    pairs = zip(*(zip(*found[over], strict=True) for over in ARMS), strict=True)
    lines.append(f"{'difference':<14}" + "".join(f"{difference(*pair):>34}" for pair in pairs))
    return "\n".join(lines)


def pool_of(data: Path, folder: Path, every: int) -> TokenPool:
    """Return the corpus as bytes, a domain for each kind of source (books, code, ...); every eighth document is held out."""
    texts: dict[str, list[str]] = {}
    for record in sampled(data, every):
        texts.setdefault(record["source"].partition("_")[0], []).append(record["text"])
    domains = {
        kind: {
            "train": stream([text for number, text in enumerate(some) if number % 8], _MOST_BYTES),
            "test": stream(some[::8], _MOST_BYTES),
        }
        for kind, some in sorted(texts.items())
    }
    return write_pool(folder / "pool", domains, vocab_size=END + 1, document_end=END)


if __name__ == "__main__":
    coefficients = Option("coefficients", (0.1, 1.0), "of the balance loss")
    every = Option("every", 10, "one document in so many")
    run("experts", __doc__, compared, SEEDS, Option("steps", 160), coefficients, every)
