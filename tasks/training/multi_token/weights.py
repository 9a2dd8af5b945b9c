"""What every way of predicting tokens further ahead has: how much each of them counts, and how that changes."""

from collections.abc import Iterator

from pydantic import Field, NonNegativeFloat

from tasks.core.params import Params


class WeightChange(Params):
    """Another weight from a step on, at once or by a straight line."""

    from_fraction: float = Field(gt=0, lt=1, description="of the run's steps, behind which the weight changes")
    weight: NonNegativeFloat = Field(description="0 = further tokens are trained on no more")
    over_fraction: float | None = Field(
        default=None, gt=0, lt=1, description="of the run's steps, over which it goes there linearly; null = at once"
    )

    def steps(self, num_steps: int) -> tuple[int, int]:
        """Return the first step with another weight than before, and the first with this one."""
        first = round(self.from_fraction * num_steps)
        return first, first + max(1, round((self.over_fraction or 0.0) * num_steps)) - 1


class FurtherTokens(Params):
    """The loss of each further token, as a sum over positions like that of the next one, counts `weight` beside it."""

    weight: NonNegativeFloat = 1.0
    decay: float = Field(
        default=1.0, gt=0, le=1, description="a token counts this much less than the one before it; 1 = all alike"
    )
    changes: tuple[WeightChange, ...] = Field(default=(), description="other weights on the way, in order")

    def weight_at(self, step: int, num_steps: int) -> float:
        """Return what a further token counts in a step, from 0, of a run of so many; 0 = it is not predicted."""
        weight = self.weight
        for change in self.changes:
            first, last = change.steps(num_steps)
            if step >= last:
                weight = change.weight
            elif step >= first:
                weight += (step - first + 1) / (last - first + 1) * (change.weight - weight)
        return weight

    def trained_steps(self, num_steps: int, first: int, stop: int) -> int:
        """Return in how many of the steps `first` to `stop` (excluded) further tokens count."""
        begins = [(0, self.weight), *((one.steps(num_steps)[1], one.weight) for one in self.changes)]
        ends = [*(one.steps(num_steps)[0] for one in self.changes), stop]
        left_out = sum(
            max(min(end, stop) - max(begin, first), 0)
            for (begin, weight), end in zip(begins, ends, strict=True)
            if not weight
        )
        return stop - first - left_out

    def mistakes(self) -> Iterator[str]:
        """Yield which changes do not follow each other."""
        before = 0.0
        for number, one in enumerate(self.changes):
            if one.from_fraction < before:
                yield (
                    f"multi_token.changes.{number} begins at {one.from_fraction:g} of the run, within or before the change "
                    f"that ends at {before:g}; put them in order, none within another"
                )
            before = one.from_fraction + (one.over_fraction or 0.0)
            if before > 1 + 1e-9:
                yield f"multi_token.changes.{number} ends at {before:g} of the run, behind its end; begin or end it earlier"
