"""Gradients shortened to a largest norm."""

from torch import Tensor


def clipped(gradient_P: Tensor, norm: float, limit: float | None) -> Tensor:
    """Return the gradient, shortened to the norm `limit` if it is longer; None = as it is."""
    return gradient_P if limit is None or norm <= limit else gradient_P * (limit / norm)


def clipped_rows(gradient_NP: Tensor, norms_N: Tensor, limit: float | None) -> Tensor:
    """Return gradients of several proxies, each shortened to the norm `limit` if it is longer; no wait for a device."""
    return gradient_NP if limit is None else gradient_NP * (limit / norms_N).clamp(max=1.0)[:, None]
