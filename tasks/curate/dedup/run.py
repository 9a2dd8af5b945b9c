"""One call of deduplication: where its units run, their code, and the digests that make their keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.digest import digest_json
from tasks.core.manifest import stage_key
from tasks.core.stage import UnitRecord, UnitWork, Workshop, map_units
from tasks.curate.dedup.config import Duplicates

STAGE = "curate"
_TEXT_CODE = ("tasks.core", "tasks.curate.native", "tasks.curate.english", "tasks.curate.statistics")
# A changed cluster step leaves signatures as they are.
SIGN_CODE = (*_TEXT_CODE, "tasks.curate.dedup.signing")
CODE = (*_TEXT_CODE, "tasks.curate.dedup")


@dataclass(frozen=True)
class Run:
    """The workshop, the params, and the digest of `CODE`."""

    workshop: Workshop
    params: Duplicates
    code: str

    def map(
        self, label: str, work: UnitWork, units: Sequence[tuple[Mapping[str, str], Mapping[str, Any], Any]]
    ) -> list[UnitRecord]:
        """Return the records of units of (digests of inputs, params, args), all of one kind."""
        kind = f"curate.{work.__name__}"
        keyed = [(stage_key(kind, inputs, values, self.code), args) for inputs, values, args in units]
        return map_units(self.workshop, stage=STAGE, label=f"curate: {label}", work=work, units=keyed, packages=CODE)


def folders(records: Sequence[UnitRecord]) -> tuple[Path, ...]:
    """Return where units wrote."""
    return tuple(record.folder for record in records)


def digest_records(*records: UnitRecord) -> str:
    """Return the digest of all that units wrote."""
    return digest_json([{file.path: file.digest for file in record.files} for record in records])
