"""Examples of benchmarks, as targets of a selection: as many of each benchmark, and none that stands in a test split."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.digest import digest_bytes
from tasks.core.errors import ConfigError, DataError
from tasks.core.json_lines import read_lines
from tasks.curate.decontaminate.benchmarks import read_benchmark, strings
from tasks.curate.decontaminate.contamination import contamination
from tasks.curate.decontaminate.index import index_of
from tasks.curate.decontaminate.params import NgramParams
from tasks.curate.statistics.texts import texts_of

# A target of which as large a share stands in a test split is no training split.
_TEST_SPLIT = 0.5


@dataclass(frozen=True)
class Examples:
    """Texts of examples, and of each the benchmark it is of; `told` says of each benchmark how many there were."""

    texts: tuple[str, ...]
    benchmarks: tuple[str, ...]
    told: Mapping[str, Mapping[str, int]]


def chosen_examples(
    targets: Mapping[str, Path],
    tests: Mapping[str, Path],
    fields: tuple[str, ...] | None,
    per_benchmark: int | None,
    where: str,
) -> Examples:
    """Return the examples of training splits that share no 13 words with a test split, as many of each benchmark.

    At most `per_benchmark` of each, those with the smallest hash of their text; None: as many as the smallest has.

    Raises:
        ConfigError: a target is a test split, or nothing is left of it.
        DataError: a file cannot be read.
    """
    texts = {name: item_texts(name, path, fields) for name, path in targets.items()}
    index = (
        index_of([read_benchmark(name, path, None) for name, path in tests.items()], NgramParams()) if tests else None
    )
    left, told = dict[str, list[str]](), dict[str, dict[str, int]]()
    for name, own in texts.items():
        hit = {*contamination(texts_of(own), index).documents_H.tolist()} if index is not None else set()
        if len(hit) > _TEST_SPLIT * len(own):
            raise ConfigError(
                f"{where}: {len(hit):,} of {len(own):,} examples of {name} stand in a test split ({', '.join(tests)}). "
                "Select by a training split, or what is measured afterwards was seen."
            )
        left[name] = sorted(
            {text for i, text in enumerate(own) if i not in hit}, key=lambda text: digest_bytes(text.encode())
        )
        told[name] = {"items": len(own), "in_test": len(hit)}
    number = min([*map(len, left.values()), *([] if per_benchmark is None else [per_benchmark])])
    for one in told.values():
        one["used"] = number
    every = [(text, name) for name, own in left.items() for text in own[:number]]
    return Examples(tuple(text for text, _ in every), tuple(name for _, name in every), told)


def example_text(item: Mapping[str, Any], fields: tuple[str, ...] | None) -> str:
    r"""Return an item as one text: of the named fields, or every string; of choices only the right one.

    >>> example_text({"query": "2 + 2?", "choices": ["3", "4"], "gold": 1}, None)
    '2 + 2?\n4'
    """
    named = dict(item) if fields is None else {name: item[name] for name in fields if name in item}
    choices, gold = item.get("choices"), item.get("gold")
    if "choices" in named and isinstance(choices, list) and type(gold) is int and 0 <= gold < len(choices):
        others = {name: value for name, value in named.items() if name not in ("choices", "labels")}
        named = others | {"choices": choices[gold]}
    return "\n".join(strings(named))


def item_texts(name: str, path: Path, fields: tuple[str, ...] | None) -> list[str]:
    """Return the items of a file that have text, each as one.

    Raises:
        DataError: none has.
    """
    found = [text for _, item in read_lines([path]) if (text := example_text(item, fields)).strip()]
    if not found:
        missing = "a string" if fields is None else f"text in the field(s) {', '.join(fields)}"
        raise DataError(f"{path}: no item of {name} has {missing}. Set `fields`, or name a file with items.")
    return found
