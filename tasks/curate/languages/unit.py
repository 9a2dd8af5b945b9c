"""The unit that learns thresholds of reference texts, by language."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tasks.core.errors import DataError
from tasks.core.handles import Handle
from tasks.core.results import Here, UnitResult
from tasks.curate.decontaminate.benchmarks import read_benchmark
from tasks.curate.languages.params import ENGLISH, Languages
from tasks.curate.languages.thresholds import threshold
from tasks.curate.rules.rule import Values
from tasks.curate.rules.table import INDEX, RULES
from tasks.curate.statistics.gopher import gopher_statistics
from tasks.curate.statistics.texts import texts_of


@dataclass(frozen=True)
class ReferenceArgs:
    """The files of each language, how thresholds follow from them, and the English thresholds of the rules."""

    files: Mapping[str, tuple[Handle, ...]]
    languages: Languages
    english: Mapping[str, float]


def learn_thresholds(args: ReferenceArgs, here: Here) -> UnitResult:
    """Return in the summary, for each language, how many documents its reference has, and the threshold of every rule.

    Raises:
        DataError: a reference has too few documents, or its thresholds leave no document.
    """
    config = args.languages
    counted = {language: _statistics(language, files, config) for language, files in args.files.items()}
    english = counted.get(ENGLISH)
    found = {}
    for language, statistics in counted.items():
        thresholds = {}
        for name in config.rules:
            rule = RULES[INDEX[name]]
            there = None if english is None else (np.asarray(english[rule.statistic], np.float64), args.english[name])
            thresholds[name] = threshold(config, rule, np.asarray(statistics[rule.statistic], np.float64), there)
        found[language] = {"documents": len(statistics["words"]), "thresholds": thresholds}
    return UnitResult(summary={"languages": found})


def _statistics(language: str, files: tuple[Handle, ...], config: Languages) -> Values:
    items = [item for file in files for item in read_benchmark(language, file.local(), config.fields).items]
    texts = [text for item in items if (text := "\n".join(item)).strip()]
    if len(texts) < config.min_documents:
        raise DataError(
            f"languages.references.{language}: {len(texts):,} documents with text, at least "
            f"{config.min_documents:,} are needed. Name more files, or lower languages.min_documents."
        )
    return gopher_statistics(texts_of(texts), "script")
