"""A changed threshold over statistics that were taken once: the answer in a running process and as a command.

Wall seconds: this is what a user waits for.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.commands import mixwright
from benchmarks.inputs import whole_corpus
from benchmarks.measure import Line, Note, spread_of, wall_seconds
from benchmarks.options import Options
from tasks.curate.audit.folder import read_curated
from tasks.curate.audit.funnel_table import audit, funnel_table
from tasks.curate.audit.what_if import what_if, what_if_table

# The rule whose threshold (50 in both profiles) changes.
_RULE = {"datatrove": "min_english_words", "gopher": "min_words"}


def run(options: Options) -> Iterator[Line | Note]:
    """Measure the question `what if` with each profile, then the same change decided anew by `curate`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus = whole_corpus(folder / "whole")
        yield Note(f"{corpus.name}: {corpus.documents:,} documents; what if words must be 60 instead of 50")
        for profile in _RULE:
            yield from _asked(profile, corpus.pattern, options, folder)


def _asked(profile: str, pattern: str, options: Options, folder: Path) -> Iterator[Line]:
    home, curated = folder / f"home-{profile}", folder / f"curated-{profile}"
    command = ("curate", "--input", pattern, "--profile", profile, "--no-dedup", "--workers", "1", "--json")
    mixwright(*command, "--output", curated, home=home)
    change = f"{_RULE[profile]}=60"

    def ask() -> str:
        found = read_curated(curated)
        return funnel_table(audit(found)) + what_if_table(what_if(found, [change]))

    yield Line(f"{profile}: what if and funnel, in process, fresh read", "s", wall_seconds(ask))
    question = ("audit", curated, "--what-if", change)
    asked = [mixwright(*question, home=home).wall_s for _ in range(options.rounds)]
    yield Line(f"{profile}: mixwright audit --what-if, a command", "s", spread_of(asked))
    again = [_decided_anew(command, profile, value, folder, home) for value in range(options.rounds)]
    yield Line(f"{profile}: mixwright curate with a changed threshold", "s", spread_of(again))


def _decided_anew(command: tuple[str, ...], profile: str, value: int, folder: Path, home: Path) -> float:
    """Return the wall seconds of a curation whose statistics are in the store; every value is a new threshold."""
    setting = f"curate.profiles.{profile}.rules.{_RULE[profile]}={60 + value}"
    return mixwright(*command, "--set", setting, "--output", folder / "again", home=home).wall_s
