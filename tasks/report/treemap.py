"""A squarified treemap: areas in proportion to sizes, rectangles as close to squares as they get.

Bruls, Huizing and van Wijk, Squarified Treemaps (2000).
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A rectangle: lower left corner, width and height, in the units of the frame."""

    x: float
    y: float
    width: float
    height: float


def treemap(sizes: Sequence[float], frame: Box) -> list[Box]:
    """Return one rectangle per size, in the order of `sizes`; together they fill the frame.

    Raises:
        ValueError: a size is not positive.
    """
    if not all(size > 0 for size in sizes):
        raise ValueError("sizes of a treemap must be positive")
    order = sorted(range(len(sizes)), key=lambda index: (-sizes[index], index))
    scale = frame.width * frame.height / sum(sizes) if sizes else 0.0
    areas = [sizes[index] * scale for index in order]
    boxes: dict[int, Box] = {}
    start = 0
    while start < len(areas):
        side = min(frame.width, frame.height)
        stop = start + 1
        while stop < len(areas) and _worst(areas[start : stop + 1], side) <= _worst(areas[start:stop], side):
            stop += 1
        row, frame = _row(areas[start:stop], frame, last=stop == len(areas))
        boxes |= dict(zip(order[start:stop], row, strict=True))
        start = stop
    return [boxes[index] for index in range(len(sizes))]


def _worst(areas: Sequence[float], side: float) -> float:
    """Return the worst ratio of sides when these areas stand in one row along `side`."""
    depth = sum(areas) / side
    return max(max(depth * depth / area, area / (depth * depth)) for area in areas)


def _row(areas: Sequence[float], frame: Box, *, last: bool) -> tuple[list[Box], Box]:
    """Return the boxes of one row along the shorter side, and what is left of the frame."""
    upright = frame.width >= frame.height
    side, length = (frame.height, frame.width) if upright else (frame.width, frame.height)
    depth = length if last else sum(areas) / side
    boxes, along = [], 0.0
    for area in areas:
        extent = side * area / sum(areas)
        if upright:
            boxes.append(Box(frame.x, frame.y + along, depth, extent))
        else:
            boxes.append(Box(frame.x + along, frame.y, extent, depth))
        along += extent
    if upright:
        return boxes, Box(frame.x + depth, frame.y, frame.width - depth, frame.height)
    return boxes, Box(frame.x, frame.y + depth, frame.width, frame.height - depth)
