"""Tokens further ahead than the next: what predicting them while training does to a small model, and what it costs.

    python -m benchmarks.studies.multi_token FOLDER [--seeds 3] [--tokens 131072]

Heads on a shared trunk (arXiv 2404.19737), a module that follows the model (2412.19437) and tokens from one vector
(2410.18160) beside the same model trained on the next token alone: same initial weights, data and learning rate. The first
paper found losses for small models and gains in code from 3B on; what is found at this size says nothing of those.
"""

import time
from collections.abc import Mapping, Sequence

from benchmarks.measure import spread_of
from benchmarks.studies.bytes_of_text import byte_pool, measured, trained, training
from benchmarks.studies.study import SEEDS, Option, Study, difference, interval, run, table
from tasks.core.text_table import markdown_table
from tasks.training.config import TrainingConfig
from tasks.training.model_size import num_flops, num_parameters
from tasks.training.multi_token.cost import num_further_parameters

PLAIN = "next token alone"
# The paper's 0.3 for 10 of its 14.8 trillion tokens, then 0.1.
THEN = {"from_fraction": 10 / 14.8, "weight": 0.1}
TO_ZERO = {"from_fraction": 0.5, "over_fraction": 0.25, "weight": 0.0}
ARMS: Mapping[str, Mapping[str, object] | None] = {
    PLAIN: None,
    "2 heads": {"kind": "heads", "num_tokens": 2},
    "4 heads": {"kind": "heads", "num_tokens": 4},
    "2 heads, to 0 by 3/4 of the steps": {"kind": "heads", "num_tokens": 2, "changes": [TO_ZERO]},
    "module, 0.3 then 0.1": {"kind": "sequential", "changes": [THEN]},
    "4 from one vector, each half of the one before": {"kind": "future", "num_tokens": 4, "decay": 0.5},
}


def compared(study: Study) -> str:
    """Train all arms with each seed, and return what came out and what it cost."""
    tokens, seeds = study.options.tokens, range(study.options.seeds)
    pool = byte_pool(study.data, study.scratch() / "pool", tokens)
    arms = {name: training(tokens, multi_token=config) for name, config in ARMS.items()}
    bits: dict[str, list[float]] = {name: [] for name in arms}
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for seed in seeds:
        for name, config in arms.items():
            began = time.process_time()
            model = trained(config, pool, seed)
            seconds[name].append(time.process_time() - began)
            bits[name].append(measured(model, pool))
        print(seed, {name: round(values[-1], 4) for name, values in bits.items()}, flush=True)
    parameters = num_parameters(arms[PLAIN].model, pool.vocab_size)[0] / 1e6
    return (
        f"{tokens:,} bytes of English, once, {parameters:.2f}M parameters, {arms[PLAIN].num_steps} steps, {len(seeds)} "
        f"paired seeds.\n\n{table({name: {'bits per byte': own} for name, own in bits.items()}, PLAIN)}\n\n"
        f"{costs(arms, seconds, pool.vocab_size)}\n\n{verdicts(bits)}"
    )


def costs(arms: Mapping[str, TrainingConfig], seconds: Mapping[str, Sequence[float]], vocab_size: int) -> str:
    """Return what each arm costs beside the plain one: weights for training alone, operations, CPU seconds by seed."""
    flops, rows = num_flops(arms[PLAIN], vocab_size), list[list[str]]()
    for name, config in arms.items():
        times = spread_of([own / plain for own, plain in zip(seconds[name], seconds[PLAIN], strict=True)])
        more, operations = num_further_parameters(config), num_flops(config, vocab_size) / flops
        told = f"{times.median:.2f} ({times.low:.2f} to {times.high:.2f})"
        rows.append([name, f"{more:,}", f"{operations:.2f}", told])
    return "\n".join(markdown_table(["arm", "more weights", "times the operations", "times the CPU seconds"], rows))


def verdicts(bits: Mapping[str, Sequence[float]]) -> str:
    """Return which arms differ from the plain one, in words."""
    found = []
    for name, values in bits.items():
        ends = interval(values, bits[PLAIN]).ends
        if name == PLAIN or ends is None:
            continue
        told = "a gain is shown" if ends[1] < 0 else "a loss is shown" if ends[0] > 0 else "no difference is shown"
        found.append(f"{name}: {told} ({difference(values, bits[PLAIN])})")
    return f"At equal tokens, intervals not corrected for the number of arms: {'; '.join(found) or 'too few seeds'}."


if __name__ == "__main__":
    run("multi_token", __doc__, compared, SEEDS, Option("tokens", 131_072, "of each run, none twice"))
