"""Training configs refuse what does not fit, and say what would."""

import pytest
from pydantic import ValidationError

from tasks.training.model import weight_shapes
from tasks.training.model_size import num_flops, num_parameters
from tasks.training.params import TrainParams, demo_full, demo_proxy
from tests.training.conftest import small_training


def test_tokens_that_are_no_whole_steps_are_refused_with_the_nearest_values() -> None:
    with pytest.raises(ValidationError, match="the nearest values are 640 or 704"):
        small_training(num_tokens=650)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_heads": 3}, "not a multiple of num_heads 3"),
        ({"num_kv_heads": 3}, "not a multiple of num_kv_heads 3"),
        ({"num_heads": 16, "num_kv_heads": 16}, "odd"),
        ({"micro_batches": 3, "sequences_per_step": 3, "num_tokens": 3 * 16 * 12}, "not a power of two"),
        ({"micro_batches": 8}, "not a multiple of micro_batches 8"),
        ({"warmup_steps": 9}, "do not fit"),
        ({"learning_rate": 0.0}, "greater than 0"),
        ({"learning_rate": float("nan")}, "finite"),
        ({"precision": "float16"}, "float32"),
        ({"num_layer": 2}, "Extra inputs"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        small_training(**changes)


def test_a_mixture_named_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="twice"):
        TrainParams(mixtures=("natural", "natural"))


@pytest.mark.parametrize("training", [demo_proxy(), demo_full(), small_training()])
def test_parameters_are_counted_as_the_model_has_them(training: object) -> None:
    model = training.model  # type: ignore[attr-defined]
    shapes = weight_shapes(model, 4096).values()
    total = sum(shape[0] * (shape[1] if len(shape) > 1 else 1) for shape in shapes)
    assert num_parameters(model, 4096) == (total, total - 4096 * model.hidden_size)


def test_the_demos_models_have_the_sizes_they_are_said_to_have() -> None:
    assert 0.2e6 < num_parameters(demo_proxy().model, 4096)[0] < 0.3e6
    assert 0.55e6 < num_parameters(demo_full().model, 4096)[0] < 0.65e6


def test_flops_follow_the_rule_of_palm() -> None:
    training = small_training()
    parameters = num_parameters(training.model, 64)[0]
    assert num_flops(training, 64) == training.num_tokens * (6 * parameters + 12 * 2 * 16 * 16)
