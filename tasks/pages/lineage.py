"""Where what is on a page came from, as it stands in manifests."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import yaml

from tasks.core.manifest import Manifest


@dataclass(frozen=True)
class StageLineage:
    """Where one stage's folder came from; `params` are YAML."""

    stage: str
    output: str
    key: str
    code: str
    inputs: Mapping[str, str]
    files: int
    bytes: int
    params: str
    environment: Mapping[str, str]

    @classmethod
    def of(cls, manifest: Manifest, environment: Mapping[str, str] | None = None) -> Self:
        """Return what a manifest says of it; a draft's has no files and no `environment` yet."""
        return cls(
            stage=manifest.stage,
            output=manifest.output,
            key=manifest.key,
            code=manifest.code,
            inputs=dict(manifest.inputs),
            files=len(manifest.files),
            bytes=sum(record.bytes for record in manifest.files),
            params=yaml.safe_dump(dict(manifest.params), sort_keys=False, allow_unicode=True),
            environment=dict(manifest.environment if environment is None else environment),
        )
