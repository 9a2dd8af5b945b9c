"""PreSelect: documents whose losses order models as a benchmark does (Shum et al. 2025, arXiv 2503.00808).

The losses of a sample of documents are taken under several models whose scores on a benchmark are known. The predictive
strength of a document is the number of pairs of models in which the better one has the lower loss. Documents of full
strength are positives, as many of the lowest strength negatives, and a fastText classifier that tells them apart scores
the pool.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from tasks.core.errors import DataError
from tasks.core.tables import read_table, write_table
from tasks.curate.fasttext_model import load_model, probabilities
from tasks.curate.fasttext_training import POSITIVE, FastTextTraining, examples_of, lowest, train
from tasks.curate.fasttext_words import told_words
from tasks.curate.scorers.method import Documents, Files, Given, LearningPass, ScorerMethod, ScorerParams
from tasks.curate.scorers.transformer import model_files, one_thread
from tasks.curate.statistics.texts import Columns

MODEL = "model.bin"
_STRENGTHS = "strengths.parquet"
# Orders are numbers in [0, 2^63).
_ORDERS = 2.0**63
_LOSSES = "loss_"

Folder = Annotated[str, Field(min_length=1)]
Floats = NDArray[np.float64]
Pairs = tuple[tuple[int, int], ...]


class PreSelect(ScorerParams):
    """P(the losses of a document order models as the benchmark does).

    Attributes:
        models: folders of causal language models.
        benchmark: the score of each on the benchmark, higher is better (of a loss, its negative).
        tie: models whose scores differ by no more than this count as equal: the noise of the benchmark.
        sample: the share of documents whose losses are taken, chosen by a hash of their ids.
        window, stride: a long document is read in windows of so many tokens, each so many tokens further; a model that reads
            fewer has smaller ones.
        training: of the classifier.
        seed: of the sample and of the training.
    """

    kind: Literal["preselect"] = "preselect"
    models: Annotated[tuple[Folder, ...], Field(min_length=2)]
    benchmark: Annotated[tuple[float, ...], Field(min_length=2)]
    sample: Annotated[float, Field(gt=0, le=1)]
    tie: Annotated[float, Field(ge=0)] = 0.0
    window: Annotated[int, Field(ge=2)] = 1_900
    stride: Annotated[int, Field(ge=1)] = 512
    training: FastTextTraining = FastTextTraining(epochs=3)
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    def mistakes(self) -> Iterator[str]:
        """Return what does not fit together."""
        if len(self.models) != len(self.benchmark):
            yield f"{len(self.models)} models and {len(self.benchmark)} scores in benchmark: name one for each"
        if not self.pairs:
            yield f"no two scores in benchmark differ by more than {self.tie:g} (tie): they order no models"
        if self.stride >= self.window:
            yield f"stride {self.stride} is not smaller than window {self.window}: nothing would stand before a token"

    @property
    def pairs(self) -> Pairs:
        """The pairs of models whose scores differ: (better, worse)."""
        scores = self.benchmark
        ordered = (
            (one, other) if scores[one] > scores[other] else (other, one)
            for one, other in combinations(range(len(scores)), 2)
        )
        return tuple((better, worse) for better, worse in ordered if scores[better] - scores[worse] > self.tie)


@dataclass(frozen=True)
class Judges:
    """The models, in the order of the config, and where they compute."""

    models: Sequence[Any]
    device: str


def strengths(losses_NM: Floats, pairs: Pairs) -> NDArray[np.int64]:
    """Return in how many pairs (better, worse) the better model has the lower loss, int64 [N]; equal losses count 0.

    >>> strengths(np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [2.0, 2.0, 3.0]]), ((0, 1), (0, 2), (1, 2))).tolist()
    [3, 0, 2]
    """
    found: NDArray[np.int64] = np.sum(
        [losses_NM[:, better] < losses_NM[:, worse] for better, worse in pairs], axis=0, dtype=np.int64
    )
    return found


def windows(num_tokens: int, window: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """Yield (first token that is read, first token whose loss counts, end) of each window; every token counts once.

    >>> [*windows(10, 5, 2)]
    [(0, 0, 5), (2, 5, 7), (4, 7, 9), (5, 9, 10)]
    """
    counted = 0
    while counted < num_tokens:
        end = min(counted + (stride if counted else window), num_tokens)
        yield max(0, end - window), counted, end
        counted = end


def loss(model: Any, text: str, window: int, stride: int) -> float:
    """Return the loss of a text under a model in nats, all of its tokens together; NaN where it has none."""
    from tasks.evaluation.tasks.encode import Pair

    tokens, size = tuple(model.encode(text)), min(window, model.context_length)
    total = 0.0 if tokens else float("nan")
    for begin, counted, end in windows(len(tokens), size, min(stride, max(1, size // 2))):
        given = tokens[begin:counted] or (model.beginning,)
        total -= model.likelihoods([Pair(given, tokens[counted:end])])[0].log_p
    return total


def _load_models(config: PreSelect, given: Given) -> Judges:
    from tasks.evaluation.tasks.models import open_model

    by_model: dict[str, list[Path]] = {}
    for name, path in given.files.items():
        by_model.setdefault(name.partition("/")[0], []).append(path)
    models = [
        open_model(paths[0].parent, sorted(path.name for path in paths), given.device)
        for _, paths in sorted(by_model.items())
    ]
    return Judges(models, given.device)


def _look(config: PreSelect, documents: Documents, held: Judges) -> pa.Table:
    names = documents.table["id"].to_pylist()
    every = examples_of(names, documents.table["text"], [False] * len(names), config.seed)
    chosen = every.append_column("id", pa.array(names, pa.string()))
    chosen = chosen.filter(pc.less(every["order"], int(config.sample * _ORDERS) if config.sample < 1 else 2**63 - 1))
    texts = chosen["text"].to_pylist()
    with one_thread(held.device):
        for place, model in enumerate(held.models):
            found = [loss(model, text, config.window, config.stride) for text in texts]
            chosen = chosen.append_column(f"{_LOSSES}{place}", pa.array(found, pa.float64()))
    return chosen


def _learn(config: PreSelect, looks: Iterable[pa.Table], files: Files, folder: Path) -> Mapping[str, Any]:
    every = pa.concat_tables(looks)
    sample = lowest(every, every.num_rows)
    losses_NM = np.stack([sample[f"{_LOSSES}{place}"].to_numpy() for place in range(len(config.benchmark))], axis=1)
    rows = np.flatnonzero(~np.isnan(losses_NM).any(axis=1))
    strength_N, full = strengths(losses_NM[rows], config.pairs), len(config.pairs)
    positives, others = rows[strength_N == full], rows[strength_N < full]
    # The weakest first; of equal strength those of the lowest hash.
    negatives = others[np.argsort(strength_N[strength_N < full], kind="stable")][: len(positives)]
    counts = {str(strength): int((strength_N == strength).sum()) for strength in range(full + 1)}
    if not (len(positives) and len(negatives)):
        raise DataError(
            f"scorer {config.name}: of {len(rows):,} documents whose losses were taken {len(positives):,} order all {full} "
            f"pairs of models as the benchmark does, and {len(others):,} do not; both are needed. Raise sample, or tie."
        )
    labels = np.isin(np.arange(sample.num_rows), positives)
    examples = sample.set_column(sample.column_names.index("positive"), "positive", pa.array(labels))
    chosen = examples.take(pa.array(np.concatenate([positives, negatives]))).select(["order", "text", "positive"])
    train(chosen, config.training, config.seed, folder / MODEL, f"scorer {config.name}")
    told = pa.table({"id": sample["id"].take(pa.array(rows)), "strength": pa.array(strength_N)})
    write_table(told, folder / _STRENGTHS)
    return {
        "pairs_of_models": full,
        "documents_by_strength": counts,
        "positive_examples": len(positives),
        "negative_examples": len(negatives),
        **told_words(folder / MODEL),
    }


@dataclass(frozen=True)
class Student:
    """The classifier, and the strengths of the documents of the sample by id."""

    model: Any
    strengths: Mapping[str, int]


def _load(config: PreSelect, given: Given) -> Student:
    assert given.learned is not None
    table = read_table(given.learned / _STRENGTHS)
    known = dict(zip(table["id"].to_pylist(), table["strength"].to_pylist(), strict=True))
    return Student(load_model(given.learned / MODEL, f"scorer {config.name}"), known)


def _score(config: PreSelect, documents: Documents, held: Student) -> Columns:
    strength = [held.strengths.get(name, np.nan) for name in documents.table["id"].to_pylist()]
    return {"": probabilities(held.model, POSITIVE, documents.to_list()), "strength": np.array(strength, np.float64)}


def _user_files(config: PreSelect) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for place, folder in enumerate(config.models):
        files = model_files(folder, f"scorer {config.name}, models")
        found |= {f"{place:03d}/{name}": path for name, path in files.items()}
    return found


METHOD = ScorerMethod(
    ("", "strength"),
    _score,
    _load,
    user_files=_user_files,
    file_fields=("models",),
    learning=LearningPass(
        _look,
        _learn,
        looks_at_files=True,
        load=_load_models,
        look_fields=("sample", "window", "stride", "seed"),
        on_device=True,
        publishes=(MODEL,),
    ),
)
