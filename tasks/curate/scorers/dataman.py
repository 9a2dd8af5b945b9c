"""DataMan: 14 criteria of quality and a domain for every document (Peng et al. 2025, arXiv 2502.19363).

Theirs are written by a language model of 1.5 billion parameters for each document. Here a rater (an endpoint, or files)
rates a sample, and a linear student (`students`) predicts each criterion and the domain of all documents; or, with
`student: false`, the ratings stand as they are, and documents without one have none.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import PositiveInt

from tasks.core.asking import Request
from tasks.core.errors import DataError, EvidenceError
from tasks.core.json_lines import write_together
from tasks.core.ranks import rank_correlation
from tasks.core.rng import seed_of
from tasks.core.tables import read_table, write_table
from tasks.curate.decontaminate.benchmarks import named_files
from tasks.curate.scorers.method import Documents, Files, Given, LearningPass, ScorerMethod
from tasks.curate.scorers.rated import LEARNED_FROM, RatedParams, looked_at, sample
from tasks.curate.scorers.ratings import CRITERIA, DOMAINS, question, read_ratings
from tasks.curate.scorers.students import Floats, Student, regress, shares
from tasks.curate.statistics.texts import Columns

_OVERALL = len(CRITERIA) - 1
# The score itself is `overall`; the others bear their names.
COLUMNS = ("", *tuple(CRITERIA)[:_OVERALL], "sum", "domain")
_RATINGS = "ratings.parquet"
# Documents on which a student is judged before it learns of all: one in so many, by hash.
_HELD_OUT = 10
_FEW_DOCUMENTS = 10


class DataMan(RatedParams):
    """The rating `overall`; `NAME_accuracy` and twelve more, their `NAME_sum` with it, and `NAME_domain` (1 to 15).

    Attributes:
        ratings: JSONL files of ratings, paths or globs (see `ratings`); answers that were published are one.
        student: whether all documents get what a student of the ratings predicts, or those that were rated their ratings.
    """

    kind: Literal["dataman"] = "dataman"
    ratings: tuple[str, ...] = ()
    excerpt_chars: PositiveInt = 8_000
    student: bool = True

    def mistakes(self) -> Iterable[str]:
        """Return what is wrong with where ratings come from."""
        yield from self.sources("ratings")


def _what(config: DataMan) -> str:
    return f"scorer {config.name}, ratings"


def _load_look(config: DataMan, given: Given) -> set[str] | None:
    """Return the ids of rated documents; None: a sample is to be rated."""
    return {*read_ratings(given.files.values(), _what(config)).by_id} if given.files else None


def _look(config: DataMan, documents: Documents, held: set[str] | None) -> pa.Table:
    return looked_at(documents, config.seed, config.num_documents, held)


def _questions(config: DataMan, looks: Iterable[pa.Table]) -> Iterator[Request]:
    for name, text in sample(looks, config.num_documents).items():
        yield question(name, text, config.excerpt_chars)


def _learn(config: DataMan, looks: Iterable[pa.Table], files: Files, folder: Path) -> Mapping[str, Any]:
    found = read_ratings(files.values(), _what(config))
    texts = {name: text for name, text in sample(looks, None).items() if name in found.by_id}
    counts = {
        "rated": len(texts),
        "not_in_pool": len(found.by_id) - len(texts),
        "without_answer": found.without,
        "unreadable": found.unreadable,
    }
    if not texts and found.by_id:
        raise DataError(
            f"scorer {config.name}: none of its {len(found.by_id):,} rated documents was ingested; the first is "
            f"{next(iter(found.by_id))}. Rate documents of this pool, by the ids of ingest."
        )
    if len(texts) < (_FEW_DOCUMENTS if config.student else 1):
        told = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items())
        raise EvidenceError(
            f"scorer {config.name}: {len(texts):,} documents are rated, and {_FEW_DOCUMENTS} are the least to learn from "
            f"({told}). Rate more, or ask another model."
        )
    write_together(files.values(), _what(config), folder / LEARNED_FROM)
    numbers_NC = np.array([[*found.by_id[name].criteria, found.by_id[name].domain] for name in texts])
    judged: dict[str, float] = {}
    if config.student:
        judged = _taught(config, texts, numbers_NC, folder)
    else:
        write_table(pa.table({"id": [*texts], "numbers": [*numbers_NC.tolist()]}), folder / _RATINGS)
    return {**counts, "missing": dict(found.missing), **judged}


def _taught(config: DataMan, texts: Mapping[str, str], numbers_NC: Floats, folder: Path) -> dict[str, float]:
    """Write the student of all rated documents; return how well one of nine in ten predicts the others."""
    shares_NB = shares([*texts.values()], config.num_buckets)
    targets_NK = np.hstack([numbers_NC[:, :-1], _indicators(numbers_NC[:, -1])])
    out_N = np.array([seed_of(config.seed, "held out", name) % _HELD_OUT == 0 for name in texts])
    judged = {}
    if 1 < out_N.sum() < len(out_N):
        first = regress(shares_NB[np.flatnonzero(~out_N)], targets_NK[~out_N])
        judged = _judged(first.of_shares(shares_NB[np.flatnonzero(out_N)]), numbers_NC[out_N])
    regress(shares_NB, targets_NK).write(folder)
    return judged


def _judged(predicted_NK: Floats, numbers_NC: Floats) -> dict[str, float]:
    """Return the rank correlation of `overall`, and the share of domains that are right, of documents held out."""
    found = {}
    known = ~np.isnan(numbers_NC[:, _OVERALL]) & ~np.isnan(predicted_NK[:, _OVERALL])
    both = [column[known, _OVERALL] for column in (predicted_NK, numbers_NC)]
    if known.any() and (rank := rank_correlation(*both)) is not None:
        found["held_out_rank_correlation"] = rank
    known = ~np.isnan(numbers_NC[:, -1])
    if known.any():
        right_N = _domains(predicted_NK[known, _OVERALL + 1 :]) == numbers_NC[known, -1]
        found["held_out_domain_accuracy"] = float(right_N.mean())
    return found


def _indicators(domain_N: Floats) -> Floats:
    """Return 1 for the domain of each document and 0 for others, float64 [N, 15]; NaN where no document has that domain."""
    found: Floats = (domain_N[:, None] == np.arange(1, len(DOMAINS) + 1)).astype(np.float64)
    found[np.isnan(domain_N)] = np.nan
    found[:, np.nansum(found, axis=0) == 0] = np.nan
    return found


def _domains(indicator_ND: Floats) -> Floats:
    """Return the number of the likeliest domain; NaN where none is told."""
    none_N = np.isnan(indicator_ND).all(axis=1)
    found: Floats = np.where(np.isnan(indicator_ND), -np.inf, indicator_ND).argmax(axis=1) + 1.0
    found[none_N] = np.nan
    return found


def _load(config: DataMan, given: Given) -> Student | dict[str, list[float]]:
    assert given.learned is not None
    if config.student:
        return Student.read(given.learned)
    table = read_table(given.learned / _RATINGS)
    return dict(zip(table["id"].to_pylist(), table["numbers"].to_pylist(), strict=True))


def _score(config: DataMan, documents: Documents, held: Student | dict[str, list[float]]) -> Columns:
    if isinstance(held, Student):
        found_NK = held.scores(documents.to_list())
        numbers_NC = np.hstack([found_NK[:, : _OVERALL + 1], _domains(found_NK[:, _OVERALL + 1 :])[:, None]])
    else:
        nothing = [float("nan")] * (_OVERALL + 2)
        numbers_NC = np.array([held.get(name, nothing) for name in documents.table["id"].to_pylist()])
        numbers_NC = numbers_NC.reshape(len(documents), _OVERALL + 2)
    criteria_NC = numbers_NC[:, : _OVERALL + 1]
    columns = (criteria_NC[:, _OVERALL], *criteria_NC[:, :_OVERALL].T, criteria_NC.sum(axis=1), numbers_NC[:, -1])
    return dict(zip(COLUMNS, columns, strict=True))


METHOD = ScorerMethod(
    COLUMNS,
    _score,
    _load,
    user_files=lambda config: named_files(config.ratings, _what(config)),
    file_fields=("ratings",),
    learning=LearningPass(
        _look,
        _learn,
        looks_at_files=True,
        load=_load_look,
        look_fields=("seed", "num_documents"),
        publishes=(LEARNED_FROM,),
        questions=_questions,
    ),
)
