"""Measured models made by hand."""

from collections.abc import Sequence

from tasks.evaluation.published import MeasuredModel


def measured(
    mixture: str, seed: int, bpb: Sequence[float], instruction_set: str = "AVX2", domains: Sequence[str] | None = None
) -> MeasuredModel:
    """Return a model with these bits per byte; the objective is their mean."""
    names = domains or [f"d{number}" for number in range(len(bpb))]
    values = dict(zip(names, bpb, strict=True))
    mean = sum(bpb) / len(bpb)
    return MeasuredModel(
        mixture=mixture, seed=seed, bpb=values, mean=mean, device="cpu", instruction_set=instruction_set
    )
