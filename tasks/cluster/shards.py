"""Reading what curate kept, shard by shard."""

from collections.abc import Sequence
from pathlib import Path

from tasks.core.account import Account
from tasks.core.errors import ConfigError, DataError
from tasks.core.handles import Handle
from tasks.core.manifest import Manifest
from tasks.curate.published.documents import KEPT

QUALITY = "quality"


def require_kept(manifest: Manifest, where: str) -> None:
    """Make sure that curate kept something.

    Raises:
        DataError: it did not; says of how many, and what most were dropped for.
    """
    account = manifest.account or Account()
    if not (account.kept.documents and any(record.path.startswith(f"{KEPT}/") for record in manifest.files)):
        raise DataError(
            f"{where}: curate kept none of {account.taken.documents:,} documents ({account.losses() or 'no reasons'}). "
            "Choose another profile or threshold there, and curate again."
        )


def score_columns(shards: Sequence[Handle], required: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of scores to average: those required, and `quality` where there is one.

    Raises:
        ConfigError: a shard lacks a required column of numbers; names the columns of numbers that it has.
    """
    numeric = [_numeric(shard.local()) for shard in shards]
    for shard, names in zip(shards, numeric, strict=True):
        if missing := [column for column in required if column not in names]:
            raise ConfigError(
                f"cluster.domains.prune or buckets: {shard.local()} has no column of numbers called {', '.join(missing)}; "
                f"it has {', '.join(names) or 'none'}. Name one of these, or add the scores in curate."
            )
    everywhere = [QUALITY] if all(QUALITY in names for names in numeric) else []
    return tuple(sorted({*required, *everywhere}))


def _numeric(path: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    return [field.name for field in schema if pa.types.is_floating(field.type) or pa.types.is_integer(field.type)]
