"""Labels of a taxonomy, read: those of a language model from its answers, those of people from their file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.cluster.taxonomy.questions import LABEL, OTHER, TAXONOMY, Topic, read_label, read_topics
from tasks.core.errors import DataError
from tasks.core.json_lines import read_lines


@dataclass(frozen=True)
class Labelled:
    """Topics, `other` last, the number of that of each document that has a label, and what became of other answers."""

    topics: tuple[Topic, ...]
    topic_of: Mapping[str, int]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Human:
    """The rows of n documents, the number of the topic that people gave them, and the chance each had to be asked about."""

    rows_n: NDArray[np.int64]
    topic_n: NDArray[np.int64]
    probability_n: NDArray[np.float64]
    not_in_pool: int


def read_answers(path: Path, most: int) -> Labelled:
    """Return what a model's answers come to: the last topics that can be read, and the labels.

    Raises:
        DataError: no line has topics.
    """
    topics: tuple[Topic, ...] | None = None
    labels: list[tuple[str, str]] = []
    counts = {"without_answer": 0, "unreadable_taxonomies": 0, "unreadable_labels": 0}
    for where, line in read_lines([path], "cluster.domains, answers"):
        answer, step = line.get("answer"), line.get("step")
        if not isinstance(answer, str):
            counts["without_answer"] += 1
        elif step == TAXONOMY:
            found = read_topics(answer, most)
            counts["unreadable_taxonomies"] += found is None
            topics = found or topics
        elif step == LABEL and isinstance(line.get("id"), str):
            labels.append((line["id"], answer))
        elif not isinstance(step, str):
            raise DataError(
                f"{where}: this is no answer about a taxonomy. Name the answers.jsonl that cluster published."
            )
    if topics is None:
        raise DataError(
            f"cluster.domains, answers: {path}: no line names topics. Name the answers.jsonl that cluster published."
        )
    read = {name: read_label(answer, len(topics)) for name, answer in labels}
    counts["unreadable_labels"] = sum(label is None for label in read.values())
    return Labelled((*topics, Topic(OTHER, "")), {name: one for name, one in read.items() if one is not None}, counts)


def read_humans(path: Path, topics: Sequence[str], ids: Sequence[str]) -> Human:
    """Return the labels of people; lines whose topic is null are not labelled yet, which lowers the chance of the others.

    Raises:
        DataError: a line has no id, a topic that there is not, or no probability; or no label is of a kept document.
    """
    row_of = {name: row for row, name in enumerate(ids)}
    number_of = {name.casefold(): number for number, name in enumerate(topics)}
    found: dict[str, tuple[int, int, float]] = {}
    strangers = labelled = lines = 0
    for where, line in read_lines([path], "cluster.domains.labelled"):
        name, topic, probability = line.get("id"), line.get("topic"), line.get("probability")
        if not isinstance(name, str) or (topic is not None and not isinstance(topic, str)):
            raise DataError(f'{where}: expected {{"id": ID, "topic": NAME, "probability": P}}.')
        lines += 1
        if topic is None:
            continue
        labelled += 1
        if topic.casefold() not in number_of:
            raise DataError(f"{where}: there is no topic {topic!r}. Known: {', '.join(topics)}.")
        if isinstance(probability, bool) or not isinstance(probability, int | float) or not 0 < probability <= 1:
            raise DataError(
                f"{where}: probability is {probability!r}; the chance that this document was asked about lies in 0 to 1. "
                "Label the lines of to_label.jsonl, which have it."
            )
        if name not in row_of:
            strangers += 1
        else:
            found[name] = (row_of[name], number_of[topic.casefold()], float(probability))
    if not found:
        raise DataError(
            f"cluster.domains.labelled: {path}: none of its labels is of a kept document ({strangers:,} are of others). "
            "Label documents of to_label.jsonl, which cluster published."
        )
    rows, numbers, chances = zip(*found.values(), strict=True)
    # Of lines in the order of a hash those that were labelled are as many at random.
    asked = np.array(chances) * (labelled / lines)
    return Human(np.array(rows, np.int64), np.array(numbers, np.int64), asked, strangers)
