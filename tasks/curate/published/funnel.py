"""What happened to the documents, in numbers: `funnel.json`, for the report, `audit`, and whoever asks."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from tasks.core.account import Account, Count
from tasks.core.published import Model, Published


class FateCounts(Model):
    """Accounts per source and per language, and per source what each filter dropped.

    Per profile, `judged` says how many documents it judged and `failures` how many fail each rule: a document counts
    under every rule it fails there; in the accounts and filters only under the first, which dropped it.
    """

    sources: Mapping[str, Account] = {}
    languages: Mapping[str, Account] = {}
    filters: Mapping[str, Mapping[str, Count]] = {}
    judged: Mapping[str, int] = {}
    failures: Mapping[str, Mapping[str, int]] = {}

    def __add__(self, other: "FateCounts") -> "FateCounts":
        profiles = sorted({*self.failures, *other.failures})
        return FateCounts(
            sources=_accounts(self.sources, other.sources),
            languages=_accounts(self.languages, other.languages),
            filters=_filters(self.filters, other.filters),
            judged=_numbers(self.judged, other.judged),
            failures={name: _numbers(self.failures.get(name, {}), other.failures.get(name, {})) for name in profiles},
        )

    @property
    def account(self) -> Account:
        """The account over all sources."""
        return sum(self.sources.values(), Account())


class RepeatedPieces(Model):
    """Paragraphs or lines that were cut because they repeat across documents: how many, their bytes, in how many."""

    pieces: int
    bytes: int
    documents: int


class DuplicateCounts(Model):
    """Of `compared` documents `removed` are duplicates: `exact` or `near`, some of documents `of_earlier_versions`.

    `clusters` have more than one document. `paragraphs` and `lines`: what was cut (None: not looked for); `emptied`
    documents were left with nothing.
    """

    compared: int
    removed: int
    exact: int
    near: int
    of_earlier_versions: int
    clusters: int
    largest_cluster: int
    paragraphs: RepeatedPieces | None = None
    lines: RepeatedPieces | None = None
    emptied: int = 0


class OperationCounts(Model):
    """What one operation of refining did, in UTF-8 bytes of text over all documents, changed or not."""

    operation: str
    documents: int
    documents_changed: int
    bytes_before: int
    bytes_removed: int
    bytes_added: int
    bytes_after: int


class EditSample(Model):
    """An excerpt of a document before and after an operation, personal data masked. Samples are shown by `rank`."""

    rank: str
    id: str
    before: str
    after: str


class Refinement(Model):
    """The operations of refining in their order, and samples of each."""

    operations: tuple[OperationCounts, ...]
    samples: Mapping[str, tuple[EditSample, ...]]


class BenchmarkCounts(Model):
    """How much of a benchmark can be found, and in how many documents it was.

    `texts_whole`: shorter than an n-gram, looked for as a whole. `items_unseen`: nothing of an item is looked for.
    `ngrams_of_numbers`: not looked for, for most of their words have no letter.
    """

    benchmark: str
    items: int
    items_unseen: int
    texts: int
    texts_whole: int
    texts_too_short: int
    ngrams: int
    ngrams_of_numbers: int
    documents_hit: int


class ContaminationCounts(Model):
    """The benchmarks that were looked for, and how many documents hold something of any."""

    benchmarks: tuple[BenchmarkCounts, ...]
    documents_hit: int


class Funnel(Published):
    """What became of all documents, what a reader must be told first, and what every optional step did (None: off).

    `lost_sources` has a sentence per source of which nothing was kept; they are the first of `warnings`.
    """

    FILE: ClassVar[str] = "funnel.json"
    format: Literal[1] = 1
    counts: FateCounts
    warnings: tuple[str, ...]
    lost_sources: tuple[str, ...]
    duplicates: DuplicateCounts | None
    refined: Refinement | None
    contaminated: ContaminationCounts | None


def _accounts(left: Mapping[str, Account], right: Mapping[str, Account]) -> dict[str, Account]:
    return {name: left.get(name, Account()) + right.get(name, Account()) for name in sorted({*left, *right})}


def _filters(
    left: Mapping[str, Mapping[str, Count]], right: Mapping[str, Mapping[str, Count]]
) -> dict[str, dict[str, Count]]:
    found: dict[str, dict[str, Count]] = {}
    for name in sorted({*left, *right}):
        one, other = left.get(name, {}), right.get(name, {})
        found[name] = {key: one.get(key, Count()) + other.get(key, Count()) for key in sorted({*one, *other})}
    return found


def _numbers(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in sorted({*left, *right})}
