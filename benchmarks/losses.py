"""Which pages lose much of their main text against the better single reading: a good mean can hide them.

The pages are those of the benchmark of extraction, and those that the tests hold with the main text a person would keep.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Note

LABELLED = Path(__file__).parents[1] / "tests" / "ingest" / "pages"
# What a page may lose, in F1.
MAX_LOSS = 0.15

Overlap = tuple[float, float, float]


@dataclass(frozen=True)
class Loss:
    """A page's F1 by the default, the best by a single reading, and which one that is."""

    page: str
    ours: float
    best: float
    reading: str

    @property
    def too_much(self) -> bool:
        """Whether the page loses more than `MAX_LOSS`."""
        return self.best - self.ours > MAX_LOSS


def single_readings() -> dict[str, Callable[[str], str]]:
    """Return the readings that the default could have used alone, each as its library reads the page as it is."""
    import trafilatura
    from resiliparse.extract.html2text import extract_plain_text

    def reading(**focus: bool) -> Callable[[str], str]:
        return lambda html: trafilatura.extract(html, include_comments=False, **focus) or ""

    return {
        "trafilatura": reading(),
        "trafilatura, favor_recall": reading(favor_recall=True),
        "trafilatura, favor_precision": reading(favor_precision=True),
        "resiliparse": lambda html: str(extract_plain_text(html, main_content=True, alt_texts=False)),
    }


def labelled(folder: Path = LABELLED) -> dict[str, tuple[str, str]]:
    """Return by name the HTML and the main text of each labelled page."""
    return {
        path.stem: (path.read_text(encoding="utf-8"), path.with_suffix(".txt").read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.html"))
    }


def f1(found: Overlap) -> float:
    """Return the F1 of one page, of its shares or counts in (both, only what was found, only the truth).

    >>> f1((0.5, 0.25, 0.25)), f1((0, 1, 1))
    (0.6666666666666666, 0.0)
    """
    both, extra, missed = found
    return 2 * both / (2 * both + extra + missed) if both else 0.0


def loss(page: str, ours: Overlap, others: Mapping[str, Overlap]) -> Loss:
    """Return what a page loses against the best of the others."""
    best, reading = max((f1(found), name) for name, found in others.items())
    return Loss(page, f1(ours), best, reading)


def told(title: str, losses: Sequence[Loss]) -> Iterator[Note]:
    """Name the pages that lose more than `MAX_LOSS`, the worst first."""
    over = sorted((one for one in losses if one.too_much), key=lambda one: one.ours - one.best)
    points = round(100 * MAX_LOSS)
    yield Note(
        f"{title}: {len(over)} of {len(losses)} lose more than {points} points of F1 against the better single reading"
    )
    for one in over:
        yield Note(f"  {one.ours:.2f} against {one.best:.2f} by {one.reading}: {one.page[:90]}")
