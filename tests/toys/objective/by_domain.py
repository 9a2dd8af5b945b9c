"""Tokens weighed by their domain, and only the harder half of them: a known prior, and a rule about the token's own loss."""

from typing import TYPE_CHECKING, Literal

from tasks.training.objectives.objective import ObjectiveParams, StepLosses

if TYPE_CHECKING:
    from torch import Tensor


class ByDomain(ObjectiveParams):
    """Weigh the tokens above the step's median by a number for each domain, in the pool's order."""

    kind: Literal["by_domain"] = "by_domain"
    of_domains: tuple[float, ...]


def weights(config: ByDomain, losses: StepLosses) -> "Tensor":
    """Return a weight for each token, [S, T]."""
    of_domains = losses.nats_ST.new_tensor(config.of_domains)[losses.domains_S]
    middle = losses.nats_ST[losses.counted_ST].median()
    return of_domains[:, None] * (losses.nats_ST >= middle)
