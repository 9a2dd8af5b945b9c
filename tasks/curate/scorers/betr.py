"""BETR: documents that are near to examples of benchmarks (Mizrahi et al. 2025, arXiv 2507.12466).

For every example all documents are ranked by cosine, and the score of a document is the reciprocal of its best rank over
examples, so that it has to be near to one of them and not to their mean. The paper ranks a sample, and a fastText classifier
that tells its best tenth from the rest scores the pool; where all are ranked no classifier is needed. Every benchmark gives
as many examples. Axes: N documents, D dimensions.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, assert_never

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt, model_validator

from tasks.core.params import Params
from tasks.core.rng import seed_of
from tasks.curate.decontaminate.benchmarks import named_files
from tasks.curate.fasttext_model import load_model, probabilities
from tasks.curate.fasttext_training import POSITIVE, FastTextTraining, examples_of, train
from tasks.curate.fasttext_words import told_words
from tasks.curate.scorers import linear_head
from tasks.curate.scorers.examples import Examples, chosen_examples
from tasks.curate.scorers.linear_head import Floats
from tasks.curate.scorers.method import EmbeddedParams, EmbeddedPass, Files, Given, ScorerMethod, Target
from tasks.curate.scorers.targets import no_words
from tasks.curate.statistics.texts import Columns
from tasks.embedding.documents import EmbeddedDocuments
from tasks.embedding.kinds import Embed
from tasks.embedding.nearest import BestRanks, best_ranks

MODEL = "model.bin"
_RANKS = "ranks.json"
# An example whose nearest document is as near stands in the pool, in these words or almost.
_SAME = 0.999
# Of fewer examples people are told; a guess.
_FEW_EXAMPLES = 100
_BEST = 0.1


class _Student(Params):
    """What tells the best documents of the sample from as many of the others."""

    positives: Annotated[float, Field(gt=0, le=0.5, description="share of the sample that are the best")] = 0.1


class RidgeStudent(_Student):
    """A ridge regression on vectors."""

    kind: Literal["ridge"] = "ridge"
    ridge: Annotated[float, Field(gt=0)] = 0.01


class FastTextStudent(_Student):
    """The paper's: a fastText classifier of texts."""

    kind: Literal["fasttext"]
    training: FastTextTraining = FastTextTraining()
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


class Betr(EmbeddedParams):
    """How near a document is to the nearest example: 1 / rank, or the prediction of a `student`.

    Attributes:
        target: JSONL files (.jsonl, .jsonl.gz) of training splits, paths or globs; each is a benchmark.
        test: files of the splits by which models will be judged; what shares 13 words with them is no example.
        fields: the fields of an item that are its text; None: every string, of choices the right one.
        examples: how many of each benchmark, at most; None: as many as the smallest has.
        documents: how many documents are ranked, chosen by a hash of their ids; None: all. Others have the score that
            a `student` gives, and so have these.
    """

    kind: Literal["betr"] = "betr"
    target: Annotated[tuple[str, ...], Field(min_length=1)]
    test: tuple[str, ...] = ()
    fields: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    examples: PositiveInt | None = None
    documents: PositiveInt | None = None
    student: RidgeStudent | FastTextStudent | None = None

    @model_validator(mode="after")
    def _all_have_a_score(self) -> Self:
        if self.documents is not None and self.student is None:
            raise ValueError(
                "documents ranks a sample, and nothing scores the others. Set student, or rank all (null)."
            )
        return self


def _user_files(config: Betr) -> dict[str, Path]:
    where = f"scorer {config.name}"
    tests = named_files(config.test, f"{where}, test")
    targets = named_files(config.target, f"{where}, target")
    return {f"target.{name}": path for name, path in targets.items()} | {f"test.{k}": path for k, path in tests.items()}


def _learn(config: Betr, documents: EmbeddedDocuments, embed: Embed, files: Files, folder: Path) -> Mapping[str, Any]:
    where = f"scorer {config.name}"
    tests = _called("test", files)
    chosen = chosen_examples(_called("target", files), tests, config.fields, config.examples, where)
    examples_MD = embed(chosen.texts)
    known_M: npt.NDArray[np.bool_] = np.any(examples_MD != 0, axis=1)
    if not known_M.any():
        raise no_words(config, f"no word of its {len(known_M):,} examples")
    rows = _ranked_rows(config, documents)
    if not len(rows):
        raise no_words(config, f"no word of the {len(documents):,} documents")
    found = best_ranks(examples_MD[known_M], documents.vectors_ND[rows])
    ranks = {documents.ids[row]: rank for row, rank in zip(rows.tolist(), found.rank_N.tolist(), strict=True)}
    (folder / _RANKS).write_text(json.dumps(ranks, ensure_ascii=False), encoding="utf-8")
    learned = {} if config.student is None else _teach(config.student, documents, rows, found, folder, where)
    benchmarks = [name for name, known in zip(chosen.benchmarks, known_M.tolist(), strict=True) if known]
    told = _told(chosen, int((~known_M).sum()), benchmarks, found) | learned
    warnings = [] if len(benchmarks) >= _FEW_EXAMPLES else [f"the target has {len(benchmarks):,} examples"]
    warnings += [] if tests else ["no test split is named, so nothing says whether examples stand in one"]
    return told | ({"warning": "; ".join(warnings)} if warnings else {})


def _told(chosen: Examples, unknown: int, benchmarks: list[str], found: BestRanks) -> dict[str, Any]:
    best_N = np.argsort(found.rank_N, kind="stable")[: max(1, int(_BEST * len(found.rank_N)))]
    nearest = Counter(benchmarks[example] for example in found.example_N[best_N].tolist())
    return {
        "benchmarks": dict(chosen.told),
        "examples": len(benchmarks),
        "examples_without_vector": unknown,
        "examples_in_pool": int((found.nearest_M > _SAME).sum()),
        "documents_ranked": len(found.rank_N),
        "best_tenth_nearest_to": {name: nearest[name] for name in sorted(chosen.told)},
    }


def _ranked_rows(config: Betr, documents: EmbeddedDocuments) -> npt.NDArray[np.int64]:
    """Return the rows of documents that are ranked, in the order of ids: those of which something is known."""
    rows = np.flatnonzero(documents.vectors_ND.any(axis=1))
    if config.documents is None or len(rows) <= config.documents:
        return rows
    hashes = [seed_of(0, "betr", documents.ids[row]) for row in rows.tolist()]
    return np.sort(rows[sorted(range(len(rows)), key=hashes.__getitem__)[: config.documents]])


def _teach(
    student: RidgeStudent | FastTextStudent,
    documents: EmbeddedDocuments,
    rows: npt.NDArray[np.int64],
    found: BestRanks,
    folder: Path,
    where: str,
) -> dict[str, str]:
    """Write the student of the best documents against as many of the others; of equal ranks, those with the smaller hash."""
    hashes = [seed_of(0, "student", documents.ids[row]) for row in rows.tolist()]
    order = sorted(range(len(rows)), key=lambda i: (found.rank_N[i], hashes[i]))
    number = max(1, int(student.positives * len(rows)))
    others = sorted(order[number:], key=hashes.__getitem__)[:number]
    chosen = rows[order[:number] + others]
    best_C = np.repeat([True, False], [number, len(others)])
    match student:
        case RidgeStudent():
            vectors_CD = documents.vectors_ND[chosen]
            linear_head.save(linear_head.fit(vectors_CD, best_C.astype(np.float64), student.ridge), folder)
            return {}
        case FastTextStudent():
            ids = [documents.ids[row] for row in chosen.tolist()]
            examples = examples_of(ids, documents.texts(ids), best_C.tolist(), student.seed)
            train(examples, student.training, student.seed, folder / MODEL, f"{where}, student")
            return told_words(folder / MODEL)
        case _ as other:
            assert_never(other)


def _called(part: str, files: Files) -> dict[str, Path]:
    return {name.removeprefix(f"{part}."): path for name, path in files.items() if name.startswith(f"{part}.")}


@dataclass(frozen=True)
class _Held:
    """The ranks of documents by id, and the student's scores of documents; None: their ranks are their scores."""

    ranks: Mapping[str, int]
    predict: Callable[[EmbeddedDocuments], Floats] | None


def _load(config: Betr, given: Given) -> _Held:
    assert given.learned is not None
    ranks = json.loads((given.learned / _RANKS).read_text(encoding="utf-8"))
    match config.student:
        case None:
            return _Held(ranks, None)
        case RidgeStudent():
            head = linear_head.load(given.learned)
            return _Held(ranks, lambda documents: linear_head.predict(head, documents.vectors_ND))
        case FastTextStudent():
            model = load_model(given.learned / MODEL, f"scorer {config.name}, student")
            return _Held(ranks, lambda documents: probabilities(model, POSITIVE, documents.texts(documents.ids)))
        case _ as other:
            assert_never(other)


def _score(config: Betr, documents: EmbeddedDocuments, held: _Held) -> Columns:
    rank_N = np.array([held.ranks.get(name, np.nan) for name in documents.ids], np.float64)
    return {"": 1 / rank_N if held.predict is None else held.predict(documents), "rank": rank_N}


METHOD = ScorerMethod(
    ("", "rank"),
    _score,
    _load,
    user_files=_user_files,
    file_fields=("target", "test"),
    target=lambda config, files: Target(tuple(name for name in files if name.startswith("target.")), config.fields),
    learning=EmbeddedPass(_learn, publishes=(MODEL,)),
)
