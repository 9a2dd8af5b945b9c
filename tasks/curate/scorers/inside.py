"""The unit that counts which documents are texts of a target: they have the scores of the target itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from tasks.core.handles import Handle
from tasks.core.results import Here, UnitResult
from tasks.curate.decontaminate.benchmarks import read_benchmark
from tasks.curate.statistics.shards import TextSource

# Texts are compared whole only where they begin alike.
_BEGINNING = 24


@dataclass(frozen=True)
class InsideArgs:
    """A shard, after the steps that change texts, and a target: its files, and which fields are its text (None: all)."""

    texts: TextSource
    target: tuple[Handle, ...]
    fields: tuple[str, ...] | None


@dataclass(frozen=True)
class TargetTexts:
    """The texts of a target, blanks as one: how they begin, and their digests."""

    beginnings: frozenset[str]
    digests: frozenset[bytes]

    def __contains__(self, text: str) -> bool:
        # Several times as long, for blanks that count as one.
        begins = " ".join(text[: 8 * _BEGINNING].split())[:_BEGINNING]
        return begins in self.beginnings and _digest(" ".join(text.split())) in self.digests


def target_texts(records: Iterable[tuple[str, ...]]) -> TargetTexts:
    """Return the texts of records: each string of one, and all of it together.

    >>> "What is  it? A test." in target_texts([("What is it?", "A test.")])
    True
    """
    texts = {" ".join(text.split()) for record in records for text in (*record, " ".join(record))} - {""}
    return TargetTexts(frozenset(text[:_BEGINNING] for text in texts), frozenset(map(_digest, texts)))


def count_inside(args: InsideArgs, here: Here) -> UnitResult:
    """Count the documents of a shard that are texts of the target."""
    inside: TargetTexts = here.held
    texts = args.texts.read(("text",))["text"].to_pylist()
    return UnitResult(summary={"documents": sum(text in inside for text in texts)})


def held_target(args: InsideArgs) -> tuple[tuple[Handle, ...], tuple[str, ...] | None]:
    """Return what a worker keeps something for."""
    return args.target, args.fields


def load_target(of: tuple[tuple[Handle, ...], tuple[str, ...] | None]) -> TargetTexts:
    """Return what a worker keeps: the texts of the target."""
    files, fields = of
    return target_texts(item for file in files for item in read_benchmark(file.stem, file.local(), fields).items)


def _digest(text: str) -> bytes:
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
