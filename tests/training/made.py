"""What the train stage publishes, made by hand for the tests of those who read it."""

from collections.abc import Sequence
from typing import Any

from tasks.mixture.published import MixtureName
from tasks.training.published import Consumed, TrainedPhase, TrainedRun


def trained_run(
    mixture: MixtureName, seed: int, domains: Sequence[str] = ("d0", "d1", "d2"), **changes: Any
) -> TrainedRun:
    """Return the entry of one run in `runs.json`."""
    name = f"{mixture}-seed{seed}"
    values: dict[str, Any] = {
        "name": name,
        "mixture": mixture,
        "seed": seed,
        "folder": f"models/{name}",
        "phases": (TrainedPhase(tokens=512, weights=(1 / len(domains),) * len(domains)),),
        "tokens": 512,
        "parameters": 5000,
        "flops": 10**8,
        "final_loss": 3.0,
        "consumed": {domain: Consumed(samples=3, tokens=96, epochs=0.5) for domain in domains},
        "weights_digest": "0" * 64,
        "device": "cpu",
        "instruction_set": "AVX2",
    }
    return TrainedRun(**values | changes)
