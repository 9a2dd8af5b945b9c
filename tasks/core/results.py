"""What a unit of work is given besides its args, and what it returns. Light: every unit imports it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tasks.core.account import Account


@dataclass(frozen=True)
class UnitResult:
    """What a unit's function returns besides the files it wrote: its account and a small JSON summary."""

    account: Account | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)


class Blocks(Protocol):
    """What a long unit keeps on its way, so that a crash costs one block: files, and the state behind them."""

    def keep(self, number: int, files: Sequence[Path], state: str) -> None:
        """Keep finished files as block `number`, with what the unit needs to go on behind them."""

    def restore(self, folder: Path) -> list[str]:
        """Put the files of all kept blocks into `folder`; return their states, in order."""

    def discard(self, first: int = 0) -> None:
        """Remove the blocks from a number on."""


class NoBlocks:
    """Keeps nothing."""

    def keep(self, number: int, files: Sequence[Path], state: str) -> None:
        """Forget the block."""

    def restore(self, folder: Path) -> list[str]:
        """Return no states."""
        return []

    def discard(self, first: int = 0) -> None:
        """Remove nothing."""


def _unheard(done: int, total: int) -> None:
    pass


def _unmeasured(step: int, values: Mapping[str, float]) -> None:
    pass


def never() -> bool:
    """Return that nobody asks for an end."""
    return False


@dataclass(frozen=True)
class Here:
    """Where a unit works; nothing in here may change its result.

    `folder`: empty, for its files. `scratch`: what it leaves there is there when it is called again after a crash.
    `blocks`: the same, block by block. `held`: what the worker loaded once for many units. `rank` of `size` processes
    that work on this unit together, joined by torch's process group `group`; only rank 0's files are kept.
    `progress(done, total)` and `measured(step, values)` are for people; of the values `tokens` and `flops`, totals so far,
    they see the rates. `asked_to_stop()`: time is up; who keeps what he has in `scratch` does so and
    raises `StoppedError`.
    """

    folder: Path
    scratch: Path | None = None
    blocks: Blocks = NoBlocks()  # noqa: RUF009 (holds nothing)
    held: Any = None
    size: int = 1
    rank: int = 0
    group: Any = None
    progress: Callable[[int, int], None] = _unheard
    measured: Callable[[int, Mapping[str, float]], None] = _unmeasured
    asked_to_stop: Callable[[], bool] = never
