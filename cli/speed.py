"""How fast a training run is on this machine: the only place where a clock says something about the science."""

import time

import numpy as np

from tasks.core.errors import ConfigError
from tasks.core.rng import generator
from tasks.tokenize.pool import DomainTokens, SplitTokens, TokenPool, token_bits, token_dtype
from tasks.training.config import TrainingConfig
from tasks.training.types import Phase, RunSpec


def measured_speed(training: TrainingConfig, vocab_size: int, seconds: float = 3.0) -> float:
    """Return tokens per second of a run on one thread, on random tokens: the first steps warm up, the rest count."""
    import torch

    from tasks.training.run import train

    optimizer = training.optimizer.model_copy(update={"warmup_steps": 0})
    steps, stamps = training.num_steps, list[float]()
    tokens = generator(0, "plan", "speed").integers(0, vocab_size, 64 * training.model.sequence_length + 1)
    ids = tokens.astype(token_dtype(token_bits(vocab_size)))
    split = SplitTokens(ids, np.zeros(1, dtype=np.uint64), tokens.size)
    domain = DomainTokens(0, "random", {"train": split, "search": split, "test": split})
    pool = TokenPool((domain,), vocab_size, 0, np.ones(vocab_size, dtype=np.uint16))
    config = training.model_copy(update={"optimizer": optimizer, "checkpoint_every_steps": None})

    def on_step(step: int, numbers: object) -> None:
        stamps.append(time.perf_counter())
        if stamps[-1] - stamps[0] > seconds and step > 2:
            raise _TimeIsUpError

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        train(RunSpec("speed", (Phase(steps * training.tokens_per_step, (1.0,)),), 0, config), pool, on_step=on_step)
    except _TimeIsUpError:
        pass
    finally:
        torch.set_num_threads(threads)
    if len(stamps) < 2:
        raise ConfigError("--measure: a run of one step cannot be timed. State --tokens-per-s instead.")
    return (len(stamps) - 1) * training.tokens_per_step / (stamps[-1] - stamps[0])


class _TimeIsUpError(Exception):
    """Ends a timed run."""
