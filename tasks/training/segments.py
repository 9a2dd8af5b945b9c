"""Segments of a run: steps in a row whose samples have one layout, and whose model has one RoPE base.

Every step of a run has the same number of tokens, and so a step of longer samples has fewer of them. Samples are numbered
over the whole run, whatever their length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tasks.training.chunks import Interleave
from tasks.training.config import ModelConfig
from tasks.training.document_range import DocumentRange
from tasks.training.model_size import flops_per_token
from tasks.training.multi_token.cost import further_flops

if TYPE_CHECKING:
    from tasks.training.types import RunSpec


@dataclass(frozen=True)
class Layout:
    """How the tokens of a pool become rows: their length, and which documents stand there: behind metadata, interleaved.

    None = as they are, and all.
    """

    length: int
    metadata: bool = False
    interleave: Interleave | None = None
    documents: DocumentRange | None = None


@dataclass(frozen=True)
class Segment:
    """Steps `first_step` to `stop_step` (excluded), the number of their first sample, and model and layout there.

    With `metadata` every document stands behind tokens that say where it comes from, which are not predicted.
    """

    first_step: int
    stop_step: int
    first_sample: int
    sequences_per_step: int
    model: ModelConfig
    layout: Layout

    @property
    def metadata(self) -> bool:
        """Whether documents stand behind their metadata."""
        return self.layout.metadata

    def samples_before(self, step: int) -> int:
        """Return how many samples of the run come before a step of the segment, or before the one behind it."""
        return self.first_sample + (step - self.first_step) * self.sequences_per_step

    @property
    def stop_sample(self) -> int:
        """The number of the first sample behind the segment."""
        return self.samples_before(self.stop_step)


Segments = tuple[Segment, ...]


def joined(parts: Sequence[tuple[int, ModelConfig, Layout]], tokens_per_step: int) -> Segments:
    """Return the segments of parts of a run that follow each other: each its tokens, its model, and its layout.

    A part may end within a step where the next is the same in both.
    """
    found, tokens = list[Segment](), 0
    for num_tokens, model, layout in parts:
        first, stop = tokens // tokens_per_step, (tokens + num_tokens) // tokens_per_step
        if found and (found[-1].model, found[-1].layout) == (model, layout):
            before = found.pop()
            first, sample = before.first_step, before.first_sample
        else:
            sample = found[-1].stop_sample if found else 0
        found.append(Segment(first, stop, sample, tokens_per_step // layout.length, model, layout))
        tokens += num_tokens
    return tuple(found)


def segment_of(segments: Segments, step: int) -> Segment:
    """Return the segment that a step of the run, counted from 0, belongs to."""
    return next(one for one in reversed(segments) if one.first_step <= step or one is segments[0])


def model_behind(segments: Segments, num_steps: int) -> ModelConfig:
    """Return the model as it is when so many steps are made: that of the last of them."""
    return segment_of(segments, num_steps - 1).model


def samples_before(segments: Segments, step: int) -> int:
    """Return how many samples of the run come before a step."""
    return segment_of(segments, step).samples_before(step)


def share_of_step(segments: Segments, step: int, first: int = 0, count: int = 1, of: int = 1) -> tuple[int, int]:
    """Return first and last sample (excluded) of `count` parts of a step from part `first` on, when it has `of` parts."""
    own = segment_of(segments, step)
    size, start = own.sequences_per_step // of, own.samples_before(step)
    return start + first * size, start + (first + count) * size


def shares_of_steps(
    segments: Segments, first_step: int, first: int = 0, count: int = 1, of: int = 1
) -> Iterator[tuple[int, int]]:
    """Yield `share_of_step` of every step from `first_step` on."""
    for step in range(first_step, segments[-1].stop_step):
        yield share_of_step(segments, step, first, count, of)


def steps_of_samples(segments: Segments, samples_S: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the step that each sample of a run belongs to, by their numbers, [S]."""
    columns = [(one.first_sample, one.first_step, one.sequences_per_step) for one in segments]
    first_G, steps_G, sizes_G = np.array(columns, dtype=np.int64).T
    own_S = np.searchsorted(first_G, samples_S, "right") - 1
    steps_S: npt.NDArray[np.int64] = steps_G[own_S] + (samples_S - first_G[own_S]) // sizes_G[own_S]
    return steps_S


def flops_of(spec: "RunSpec", vocab_size: int, first_step: int, stop_step: int) -> int:
    """Return the floating-point operations of steps `first_step` to `stop_step` (excluded) of a run."""
    total = 0
    for one in spec.segments:
        first, stop = max(first_step, one.first_step), min(stop_step, one.stop_step)
        if first < stop:
            total += (stop - first) * spec.training.tokens_per_step * flops_per_token(one.model, vocab_size)
            total += further_flops(spec.training, one.model, vocab_size, first, stop)
    return total
