"""The second size where none is named: the proxy on its way to the full run, both of which have a size in every part."""

from math import log

from tasks.training.config import TrainingConfig
from tasks.training.model_size import num_parameters

# The vocabulary is a property of the pool; here it only says how far apart two models are.
_VOCABULARY = 4096
_MULTIPLE = 8  # of the width of a feed-forward layer


def between(proxy: TrainingConfig, full: TrainingConfig, most_compute: float) -> TrainingConfig | None:
    """Return the proxy's config with sizes and rates half way to the full run's, on a logarithmic scale.

    Half way, because the step from there to the full run is then as long as the one that is measured; less where a run would
    take more than `most_compute` proxies. Parameters and tokens go together, as loss falls otherwise with each. None where
    the full run is no larger than the proxy, or so little that nothing lies between.
    """
    distance = log(_compute(full) / _compute(proxy))
    if not distance > 0 or not _no_smaller(full, proxy):
        return None
    share = min(0.5, log(most_compute) / distance)

    def part(one: float, other: float) -> float:
        return float(one ** (1 - share) * other**share)

    model = proxy.model
    width = 2 * model.num_heads if model.head_dim is None else 1
    sized = {
        "hidden_size": _whole(part(model.hidden_size, full.model.hidden_size), width),
        "num_layers": _whole(part(model.num_layers, full.model.num_layers)),
        "intermediate_size": _whole(part(model.intermediate_size, full.model.intermediate_size), _MULTIPLE),
        "sequence_length": _whole(part(model.sequence_length, full.model.sequence_length)),
        "initializer_range": part(model.initializer_range, full.model.initializer_range),
    }
    sequences = _whole(part(proxy.sequences_per_step, full.sequences_per_step), proxy.micro_batches)
    tokens_per_step = sequences * int(sized["sequence_length"])
    rate = part(proxy.optimizer.learning_rate, full.optimizer.learning_rate)
    values = proxy.model_dump()
    values["model"] |= sized
    values["optimizer"] |= {"learning_rate": rate}
    values["sequences_per_step"] = sequences
    values["num_tokens"] = _whole(part(proxy.num_tokens, full.num_tokens) / tokens_per_step) * tokens_per_step
    found = TrainingConfig.model_validate(values)
    return found if _compute(found) > _compute(proxy) and _no_smaller(found, proxy) else None


def _compute(training: TrainingConfig) -> float:
    """Return parameters x tokens: FLOPs up to a factor."""
    return float(num_parameters(training.model, _VOCABULARY)[0]) * training.num_tokens


def _no_smaller(one: TrainingConfig, other: TrainingConfig) -> bool:
    """Return whether one has no less of body, width and tokens: then no vocabulary makes it the smaller one."""
    (body, width, tokens), (other_body, other_width, other_tokens) = (
        (num_parameters(each.model, 0)[0], each.model.hidden_size, each.num_tokens) for each in (one, other)
    )
    return body >= other_body and width >= other_width and tokens >= other_tokens


def _whole(value: float, multiple: int = 1) -> int:
    return max(round(value / multiple), 1) * multiple
