"""The learning rate over a run: warm-up, stable, decay (WSD, arXiv 2404.06395)."""

from tasks.training.config import OptimizerConfig


def learning_rate(config: OptimizerConfig, step: int, num_steps: int) -> float:
    """Return the learning rate of step `step` of `num_steps`, both from 0.

    It rises linearly over the warm-up, stays, and falls linearly over the last `decay_fraction` of the steps, to 0
    at the step after the last, so that no step is spent on a rate of 0.
    """
    decay_steps = round(config.decay_fraction * num_steps)
    warmup_steps = config.warmup(num_steps)
    rising = (step + 1) / warmup_steps if step < warmup_steps else 1.0
    falling = (num_steps - step) / (decay_steps + 1) if step >= num_steps - decay_steps else 1.0
    return config.learning_rate * min(rising, falling)
