"""What docs/curation.md says of rules and profiles, and docs/selection.md of scores, is what the code has."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any, get_args

import yaml
from pydantic import TypeAdapter

from tasks.curate.combined.kinds import Combined
from tasks.curate.profiles import names
from tasks.curate.rules.table import FILTERS, RULES
from tasks.curate.scorers.kinds import Scorer
from tasks.curate.selection.kinds import Selection

FOLDER = Path(__file__).resolve().parents[2] / "docs"
DOCS = (FOLDER / "curation.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """The text under a heading of the second level."""
    return DOCS.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def table_rows(text: str) -> list[list[str]]:
    """The cells of a table without its head, marks of code and what stands in brackets behind a name."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[re.sub(r"`([^`]*)`.*", r"\1", cell.strip()) for cell in line.strip("|").split("|")] for line in lines]


def test_every_rule_stands_in_the_docs_under_its_filter_with_its_statistic_and_reasons() -> None:
    parts = re.split(r"^\*\*(\w+)\*\*", section("Rules"), flags=re.MULTILINE)[1:]
    told = {
        name: [tuple(filter(None, row)) for row in table_rows(text)]
        for name, text in zip(*[iter(parts)] * 2, strict=True)
    }
    assert told == {
        name: [
            tuple(filter(None, (rule.threshold, rule.statistic, rule.reason, rule.peer_reason)))
            for rule in RULES
            if rule.filter == name
        ]
        for name in FILTERS
    }


def test_every_profile_stands_in_the_docs() -> None:
    rows = [line for line in section("Profiles").splitlines() if line.startswith("| `")]
    told = [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(told) == sorted(names())


def test_every_kind_of_scorer_and_of_selection_stands_in_the_docs() -> None:
    blocks = (FOLDER / "selection.md").read_text(encoding="utf-8").split("\n\n")
    tables = [one for one in blocks if one.startswith(("| scorer |", "| combined score |", "| selection |"))]
    told = {row[0] for one in tables for row in table_rows(one)}
    kinds = [get_args(get_args(union)[0]) for union in (Combined, Scorer, Selection)]
    assert told == {kind.model_fields["kind"].default for union in kinds for kind in union}


def entries_of(example: object) -> Iterator[object]:
    """Yield the scorers, combined scores and selections of an example: what stands in its lists of mappings."""
    for value in example if isinstance(example, list) else ():
        yield value
    for key, value in example.items() if isinstance(example, Mapping) else ():
        if key in {"scorers", "combined", "select"}:
            yield from value
        elif key != "cluster":
            yield from entries_of(value if isinstance(value, Mapping) else {})


def test_every_example_of_scores_and_selections_can_be_copied() -> None:
    text = (FOLDER / "selection.md").read_text(encoding="utf-8")
    examples = [dedent(one) for one in re.findall(r"(?:^ {4}.*\n)+", text, re.MULTILINE)]
    params = [yaml.safe_load(one) for one in examples if not one.startswith("mixwright ")]
    known: TypeAdapter[Any] = TypeAdapter(Scorer | Combined | Selection)
    found = {known.validate_python(one).kind for example in params for one in entries_of(example)}
    assert len(found) > 20
