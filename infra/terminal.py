"""What a person sees in the terminal while a stage works: sentences and progress bars, on standard error."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from infra.progress import UnitReport


class _Rate(ProgressColumn):
    """Units per second, over the whole time: the last few alone would jump with every large one."""

    def render(self, task: Task) -> Text:
        """Return the rate, or nothing before the first unit."""
        spent = task.elapsed
        return Text(f"{task.completed / spent:.1f}/s" if spent and task.completed else "", style="progress.data.speed")


class TerminalObserver:
    """Shows one bar per label, with rate, time spent and time left; a sentence stands above the bars."""

    def __init__(self, quiet: bool = False) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=quiet,
        )
        self._bars: dict[str, TaskID] = {}
        self._quiet = quiet

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, message: str) -> None:
        """Print one sentence."""
        if not self._quiet:
            self._progress.console.print(message, markup=False, highlight=False)

    def progress(self, label: str, done: int, total: int) -> None:
        """Move the bar of this label."""
        if label not in self._bars:
            # The first bar starts the display: a stage that has nothing to do leaves no empty line.
            self._progress.start()
            self._bars[label] = self._progress.add_task(label, total=total)
        self._progress.update(self._bars[label], completed=done, total=total)

    def unit(self, report: UnitReport) -> None:
        """Show nothing: proxies and runs are looked at in the tracker."""
