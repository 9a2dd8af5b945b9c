"""What is told of the steps of a run on its way."""

from tasks.tokenize.pool import TokenPool
from tasks.training.planned import told_of
from tasks.training.run import train
from tasks.training.schedules.rates import learning_rate
from tasks.training.types import StepNumbers
from tests.training.conftest import small_spec


def test_a_step_is_told_with_its_loss_its_rate_and_the_norm_before_clipping(pool: TokenPool) -> None:
    spec, heard = small_spec(gradient_clip=0.01), list[StepNumbers]()
    result = train(spec, pool, on_step=lambda step, seen: heard.append(seen))
    assert tuple(seen.loss for seen in heard) == result.losses
    assert all(seen.norm > 0.01 for seen in heard)
    told = told_of(spec.training, 12, heard[-1])
    rate = learning_rate(spec.training, 11)
    assert told == {"loss": result.losses[-1], "learning_rate": rate, "gradient_norm": heard[-1].norm}
