"""What is told of the steps of a run on its way."""

from statistics import fmean

import pytest

from tasks.tokenize.pool import TokenPool
from tasks.training.data import run_data
from tasks.training.parallel.ddp import Ddp
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
    told = told_of(spec.training, 12, StepNumbers(2.0, 3.0, {"alpha": 1.5}))
    rate = learning_rate(spec.training, 11)
    assert told == {"loss": 2.0, "learning_rate": rate, "gradient_norm": 3.0, "loss/alpha": 1.5}


@pytest.mark.parametrize("parallel", [None, Ddp()])
@pytest.mark.parametrize("parts", [1, 2])
def test_the_losses_by_domain_weighted_by_their_samples_are_the_loss(
    pool: TokenPool, parts: int, parallel: Ddp | None
) -> None:
    spec, heard = small_spec(micro_batches=parts, parallel=parallel), list[StepNumbers]()
    train(spec, pool, on_step=lambda step, seen: heard.append(seen))
    data = run_data(spec, pool)
    for step, seen in enumerate(heard):
        domains = [pool.names[domain] for domain in data.read(4 * step, 4 * step + 4).samples.domains]
        assert {*seen.loss_by_domain} == {*domains}
        assert fmean(seen.loss_by_domain[name] for name in domains) == pytest.approx(seen.loss, rel=1e-5)
