"""QuRating: which of two documents is better, judged for pairs; a rater that explains it gives every document a score.

Wettig et al. 2024, arXiv 2402.09739. Their rater is a language model of 1.3 billion parameters; ours is linear over words
and pairs of words (`students`), fitted to the same Bradley-Terry likelihood. Its score of a document is the mean of those
of its chunks, weighted by their words, as theirs is by tokens.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from tasks.core.asking import Request
from tasks.core.errors import DataError, EvidenceError
from tasks.core.json_lines import write_together
from tasks.core.rng import seed_of
from tasks.curate.decontaminate.benchmarks import named_files
from tasks.curate.scorers.judgements import Judged, Judgements, pairs_of, questions, read_judgements
from tasks.curate.scorers.method import Documents, Files, Given, LearningPass, ScorerMethod
from tasks.curate.scorers.rated import LEARNED_FROM, RatedParams, looked_at, sample
from tasks.curate.scorers.students import Floats, Ints, Student, compare, shares
from tasks.curate.statistics.texts import Columns

# What the four criteria of the paper ask, in our words.
CRITERIA = {
    "writing_style": "Which text has the more polished and beautiful writing?",
    "facts_and_trivia": "Which text contains more facts and trivia? Specific and little known ones count for more.",
    "educational_value": "Which text has more educational value, such as clear explanations, reasoning step by step, or "
    "questions with their answers?",
    "required_expertise": "Which text requires more expertise and prior knowledge to be understood?",
}
# The authors learn from pairs of which one document is better with a chance of at least 3/4.
_CONFIDENT = 0.25
# Documents whose pairs choose the penalty: one in so many, by hash.
_HELD_OUT = 10
_PENALTIES = (0.1, 1.0, 10.0)
_FEW_PAIRS = 10


class QuRating(RatedParams):
    """The score by which documents win comparisons on one criterion.

    Attributes:
        judgements: JSONL files of judged pairs, paths or globs (see `judgements`); answers that were published are one.
        criterion: what an endpoint is asked of pairs; `question` asks something else.
        num_pairs: how many pairs it is asked about, each in both orders.
        generations: how often each order is asked; more than one needs a temperature.
    """

    kind: Literal["qurating"] = "qurating"
    judgements: tuple[str, ...] = ()
    criterion: Literal["writing_style", "facts_and_trivia", "educational_value", "required_expertise"] = (
        "educational_value"
    )
    question: str | None = None
    num_pairs: Annotated[int, Field(ge=1, le=10_000_000)] = 2_000
    generations: Annotated[int, Field(ge=1, le=100)] = 1

    def mistakes(self) -> Iterable[str]:
        """Return what is wrong with where judgements come from."""
        yield from self.sources("judgements")
        if self.generations > 1 and self.endpoint is not None and not self.endpoint.temperature:
            yield "generations above 1 are the same answer again at temperature 0; raise endpoint.temperature"


def _load_look(config: QuRating, given: Given) -> set[str] | None:
    """Return the ids of judged documents; None: a sample is to be judged."""
    if not given.files:
        return None
    found = read_judgements(given.files.values(), _what(config))
    return {name for pair in found.pairs for name in (pair.a, pair.b)}


def _look(config: QuRating, documents: Documents, held: set[str] | None) -> pa.Table:
    return looked_at(documents, config.seed, config.num_documents, held)


def _questions(config: QuRating, looks: Iterable[pa.Table]) -> Iterator[Request]:
    texts = {name: _excerpt(config, name, text) for name, text in sample(looks, config.num_documents).items()}
    question = config.question or CRITERIA[config.criterion]
    yield from questions(texts, question, pairs_of(list(texts), config.num_pairs, config.seed), config.generations)


def _excerpt(config: QuRating, name: str, text: str) -> str:
    """Return a part of a text, its place chosen by a hash of the id, so that beginnings do not decide alone."""
    spare = len(text) - config.excerpt_chars
    start = seed_of(config.seed, "excerpt", name) % (spare + 1) if spare > 0 else 0
    return text[start : start + config.excerpt_chars]


def _learn(config: QuRating, looks: Iterable[pa.Table], files: Files, folder: Path) -> Mapping[str, Any]:
    found = read_judgements(files.values(), _what(config))
    texts = sample(looks, None)
    there = [pair for pair in found.pairs if pair.a in texts and pair.b in texts]
    clear = [pair for pair in there if abs(pair.chance - 0.5) >= _CONFIDENT]
    told: dict[str, Any] = {
        "pairs": len(clear),
        "undecided": len(there) - len(clear),
        "not_in_pool": len(found.pairs) - len(there),
        "without_answer": found.without,
        "unreadable": found.unreadable,
        "one_order_only": found.half,
        "decided_by_place": found.by_place,
    }
    if len(clear) < _FEW_PAIRS:
        raise _too_few(config, found, told)
    names = sorted({name for pair in clear for name in (pair.a, pair.b)})
    excerpts = [_excerpt(config, name, texts[name]) for name in names]
    student, accuracy = _fitted(shares(excerpts, config.num_buckets), names, clear, config.seed)
    student.write(folder)
    write_together(files.values(), _what(config), folder / LEARNED_FROM)
    return {"documents": len(names), **told} | ({} if accuracy is None else {"held_out_accuracy": accuracy})


def _too_few(config: QuRating, found: Judgements, told: Mapping[str, Any]) -> Exception:
    counts = ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in told.items())
    if found.pairs and told["not_in_pool"] == len(found.pairs):
        return DataError(
            f"scorer {config.name}: none of its {len(found.pairs):,} judged pairs is of documents that were ingested; the "
            f"first is of {found.pairs[0].a} and {found.pairs[0].b}. Judge documents of this pool, by the ids of ingest."
        )
    return EvidenceError(
        f"scorer {config.name}: {told['pairs']:,} pairs say which document is better; {_FEW_PAIRS} are the least to learn "
        f"from ({counts}). Judge more pairs, or ask another model or question."
    )


def _fitted(shares_NB: Any, names: list[str], pairs: list[Judged], seed: int) -> tuple[Student, float | None]:
    """Return the student of all pairs, and the accuracy of one of the others on pairs with a document it has not seen.

    The penalty is that with the least cross-entropy there.
    """
    row = {name: i for i, name in enumerate(names)}
    first_P, second_P = (
        np.array([row[name] for name in side], np.int64) for side in zip(*((p.a, p.b) for p in pairs), strict=True)
    )
    chance_P = np.array([pair.chance for pair in pairs])
    out_N = np.array([seed_of(seed, "held out", name) % _HELD_OUT == 0 for name in names])
    out_P = out_N[first_P] | out_N[second_P]
    penalty, accuracy = _PENALTIES[1], None
    if out_P.any() and not out_P.all():
        seen = ~out_P
        losses = []
        for one in _PENALTIES:
            student = compare(shares_NB, first_P[seen], second_P[seen], chance_P[seen], one)
            losses.append((*_judged(student, shares_NB, first_P[out_P], second_P[out_P], chance_P[out_P]), one))
        _, wrong, penalty = min(losses)
        accuracy = 1 - wrong
    return compare(shares_NB, first_P, second_P, chance_P, penalty), accuracy


def _judged(student: Student, shares_NB: Any, first_P: Ints, second_P: Ints, chance_P: Floats) -> tuple[float, float]:
    """Return the cross-entropy of pairs under a student, and the share of them that it orders the other way (ties: half)."""
    score_N = (shares_NB @ student.weights_BK.astype(np.float64))[:, 0]
    logit_P = score_N[first_P] - score_N[second_P]
    wrong_P = np.where(logit_P == 0, 0.5, (logit_P > 0) != (chance_P > 0.5))
    return float(np.mean(np.logaddexp(0, logit_P) - chance_P * logit_P)), float(wrong_P.mean())


def _what(config: QuRating) -> str:
    return f"scorer {config.name}, judgements"


def _load(config: QuRating, given: Given) -> Student:
    assert given.learned is not None
    return Student.read(given.learned)


def _score(config: QuRating, documents: Documents, held: Student) -> Columns:
    return {"": held.scores(documents.to_list())[:, 0]}


METHOD = ScorerMethod(
    ("",),
    _score,
    _load,
    user_files=lambda config: named_files(config.judgements, _what(config)),
    file_fields=("judgements",),
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
