"""Whether experts become specialists of sources: balance over the global batch beside balance over each micro-batch.

    python -m benchmarks.studies.experts FOLDER [--seeds 3] [--steps 160] [--coefficients 0.1 1]

Text: the shared corpus as bytes, a domain for each kind of source. A micro-batch is one sample, and so of one source: where
it is balanced by itself every source must use all experts alike; over the step's samples sources may have experts of
their own (arXiv 2501.11873). Of each seed both runs have the same initial weights and the same data. Told are the mutual
information of expert and source, bits per byte of held-out text, and the balance over all sources.
"""

import argparse
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import fmean

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.inputs import shared
from benchmarks.measure import machine
from benchmarks.studies.workspace import RESULTS, sampled
from tasks.evaluation.compare import paired_interval
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.training.config import ModelConfig, OptimizerConfig, TrainingConfig, num_parameters
from tasks.training.experts.top_k import Balance, TopK
from tasks.training.measure import bits_per_byte
from tasks.training.result import RunResult
from tasks.training.stacked import train_stacked
from tasks.training.types import Phase, RunSpec

_END, _MOST_BYTES, _HELD_OUT, _SAMPLES = 256, 1_000_000, 8192, 4
ARMS = ("global_batch", "micro_batch")
# What is told of a run: mutual information in bits, bits per byte, balance (1 = all experts alike).
Told = tuple[float, float, float]


def main() -> None:
    """Train both arms with each seed, print and write down the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.experts", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("folder", type=Path, help="where the tokens are written")
    parser.add_argument("--seeds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--steps", type=int, default=160, help="(%(default)s)")
    parser.add_argument(
        "--coefficients", type=float, nargs="+", default=[0.1, 1.0], help="of the balance loss (%(default)s)"
    )
    parser.add_argument("--every", type=int, default=10, help="one document in so many (%(default)s)")
    options = parser.parse_args()
    if (data := shared()) is None:
        print("skipped: no shared data here. MIXWRIGHT_SHARED names its folder; by default ../shared is looked for.")
        return
    torch.set_num_threads(1)
    pool = pool_of(data, options.folder, options.every)
    parameters = num_parameters(training_of(ARMS[0], 1.0, options.steps).model, pool.vocab_size)[0] / 1e6
    head = (
        f"experts, {date.today()}: {machine()}: {parameters:.2f}M parameters, 8 experts, 2 active, {options.seeds} seeds "
        f"of {options.steps} steps of {_SAMPLES} samples of 128 bytes, a micro-batch each, sources "
        f"{', '.join(pool.names)}. `python -m benchmarks.studies.experts FOLDER`"
    )
    parts = [head]
    for coefficient in options.coefficients:
        arms = {over: training_of(over, coefficient, options.steps) for over in ARMS}
        found = {over: told_of(pool, training, options.seeds) for over, training in arms.items()}
        parts.append(f"coefficient {coefficient:g}\n{table(found)}")
        print(parts[-1], flush=True)
    (RESULTS / "experts.txt").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


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
    weights = (1 / len(pool.names),) * len(pool.names)
    specs = [RunSpec(f"seed {seed}", (Phase(training.num_tokens, weights),), seed, training) for seed in range(seeds)]
    found = list[Told]()
    for ended in train_stacked(specs, pool):
        assert isinstance(ended, RunResult) and ended.experts is not None, ended
        layers = ended.experts.layers
        bits = fmean(bits_per_byte(ended.model, pool, "test", _HELD_OUT).values())
        found.append((fmean(one.information for one in layers), bits, fmean(one.balance for one in layers)))
    return found


def table(found: dict[str, list[Told]]) -> str:
    """Return each arm's means, and the paired differences with intervals of 95 %."""
    columns = ("information (bits)", "bits per byte", "balance")
    lines = [f"{'over':<14}" + "".join(f"{column:>34}" for column in columns)]
    for over, runs in found.items():
        lines.append(f"{over:<14}" + "".join(f"{fmean(values):>34.4f}" for values in zip(*runs, strict=True)))
    ours, theirs = (np.array(found[over]) for over in ARMS)
    gaps = [paired_interval(ours[:, column] - theirs[:, column], 0.95) for column in range(len(columns))]
    cells = [f"{one.gain:+.4f} ({one.lower:+.4f} to {one.upper:+.4f})" for one in gaps]
    lines.append(f"{'difference':<14}" + "".join(f"{cell:>34}" for cell in cells))
    return "\n".join(lines)


def pool_of(data: Path, folder: Path, every: int) -> TokenPool:
    """Return the corpus as bytes, a domain for each kind of source (books, code, ...); every eighth document is held out."""
    texts: dict[str, list[str]] = {}
    for record in sampled(data, every):
        texts.setdefault(record["source"].partition("_")[0], []).append(record["text"])
    domains = {
        kind: {
            "train": _bytes([text for number, text in enumerate(some) if number % 8]),
            "test": _bytes(some[::8]),
        }
        for kind, some in sorted(texts.items())
    }
    return write_pool(folder / "pool", domains, vocab_size=_END + 1, document_end=_END)


def _bytes(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    parts = [np.append(np.frombuffer(text.encode(), np.uint8).astype(np.int64), _END) for text in texts]
    return np.concatenate(parts)[:_MOST_BYTES]


if __name__ == "__main__":
    main()
