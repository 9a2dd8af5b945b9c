"""What curate published, read back: every document with its statistics and its fate."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.core.errors import DataError
from tasks.core.manifest import Manifest
from tasks.curate.config import CurateParams
from tasks.curate.judge import statistics_of
from tasks.curate.languages.judges import InUse, in_use
from tasks.curate.published.documents import ANNOTATIONS, DROPPED, REWRITING, read_shard
from tasks.curate.published.funnel import Funnel
from tasks.curate.published.languages import LearnedLanguages
from tasks.curate.rules.profile import Profile
from tasks.curate.rules.rule import Values


@dataclass(frozen=True)
class Curated:
    """A curate folder: its manifest, its params, and, when asked for, every document of it."""

    folder: Path
    manifest: Manifest
    params: CurateParams

    @cached_property
    def funnel(self) -> Funnel:
        """What became of the documents, in numbers."""
        return Funnel.read(self.folder)

    @cached_property
    def annotations(self) -> pa.Table:
        """The statistics of every document, shard after shard."""
        return self._tables(ANNOTATIONS)

    @cached_property
    def statistics(self) -> Values:
        """Every statistic as an array over all documents, those behind a rewriting included."""
        behind = statistics_of(self._tables(REWRITING)) if (self.folder / REWRITING).is_dir() else {}
        return statistics_of(self.annotations) | behind

    @cached_property
    def dropped(self) -> pa.Table:
        """The dropped documents with their reasons, shard after shard."""
        return self._tables(DROPPED)

    @cached_property
    def learned(self) -> LearnedLanguages | None:
        """The thresholds that were learned by language; None: none were."""
        return LearnedLanguages.read(self.folder) if (self.folder / LearnedLanguages.FILE).is_file() else None

    @cached_property
    def in_use(self) -> InUse:
        """The profiles that judged these documents, and which of them judged whose."""
        return in_use(self.params, self.funnel.counts.sources, self.learned)

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """The profiles that judged these documents, by name."""
        return self.in_use.profiles

    def profiles_N(self) -> NDArray[Any]:
        """Return the name of the profile that judged each document."""
        sources = self.annotations["source"].to_pylist()
        names = [self.in_use.of_source[source] for source in sources]
        return np.array(self.in_use.judges.by_language(names, self.statistics), dtype=object)

    def _tables(self, kind: str) -> pa.Table:
        return pa.concat_tables([read_shard(path) for path in sorted((self.folder / kind).glob("*.parquet"))])


def read_curated(folder: Path) -> Curated:
    """Return what curate published in a folder.

    Raises:
        DataError: no stage, or another one, has published there, or a file is damaged.
    """
    manifest = Manifest.read(folder)
    if manifest.stage != "curate":
        raise DataError(f"{folder}: published by {manifest.stage}, not by curate. Name the folder that curate wrote.")
    manifest.verify(folder)
    return Curated(folder, manifest, CurateParams.model_validate(manifest.params))
