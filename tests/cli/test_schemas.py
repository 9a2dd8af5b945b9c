"""The JSON Schemas in docs/schemas are those of the contracts, and published files are as they say."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cli.schemas import FOLDER, schemas, write_schemas
from tasks.stages import STAGES
from tests.report.folders import stage_folders

CONTRACTS = [(stage, contract) for stage in STAGES for contract in stage.load_publishes()]


def test_the_schemas_are_those_of_the_contracts() -> None:
    found = {
        path.relative_to(FOLDER).as_posix(): path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.schema.json")
    }
    assert found == schemas(), "write them again: python -m cli.schemas"


def test_a_schema_of_what_is_no_longer_published_is_removed(tmp_path: Path) -> None:
    (tmp_path / "old.schema.json").write_text("{}")
    write_schemas(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json")} == set(schemas())


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return stage_folders(tmp_path_factory.mktemp("published"))


@pytest.mark.parametrize(("stage", "contract"), CONTRACTS, ids=[contract.__name__ for _, contract in CONTRACTS])
def test_what_is_published_is_as_its_schema_says(published: dict[str, Path], stage: Any, contract: Any) -> None:
    schema = json.loads((FOLDER / stage.name / f"{Path(contract.FILE).stem}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    value = json.loads((published[stage.name] / contract.FILE).read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(value)
    assert not Draft202012Validator(schema).is_valid(value | {"format": 0})
    assert not Draft202012Validator(schema).is_valid(value | {"unknown": 1})
