"""The JSON Schemas in docs/schemas are those of the contracts, and published files are as they say."""

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import tasks
from cli.schemas import FOLDER, contracts, schemas, write_schemas
from tasks.core.published import Published
from tasks.stages import NAMES
from tests.report.folders import stage_folders

OF_STAGES = [(name, contract) for name, contract in contracts() if name in NAMES]


def test_the_schemas_are_those_of_the_contracts() -> None:
    found = {
        path.relative_to(FOLDER).as_posix(): path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.schema.json")
    }
    assert found == schemas(), "write them again: python -m cli.schemas"


def test_every_contract_has_a_schema() -> None:
    modules = [name for _, name, _ in pkgutil.walk_packages(tasks.__path__, "tasks.") if ".published" in name]
    found = [one for name in modules for one in vars(importlib.import_module(name)).values() if isinstance(one, type)]
    made = {one for one in found if issubclass(one, Published) and one.__module__ in modules}
    assert {one.__name__ for one in made - {Published}} == {contract.__name__ for _, contract in contracts()}


def test_a_schema_of_what_is_no_longer_published_is_removed(tmp_path: Path) -> None:
    (tmp_path / "old.schema.json").write_text("{}")
    write_schemas(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json")} == set(schemas())


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return stage_folders(tmp_path_factory.mktemp("published"))


@pytest.mark.parametrize(("stage", "contract"), OF_STAGES, ids=[contract.__name__ for _, contract in OF_STAGES])
def test_what_is_published_is_as_its_schema_says(published: dict[str, Path], stage: str, contract: Any) -> None:
    schema = json.loads((FOLDER / stage / f"{Path(contract.FILE).stem}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    value = json.loads((published[stage] / contract.FILE).read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(value)
    assert not Draft202012Validator(schema).is_valid(value | {"format": 0})
    assert not Draft202012Validator(schema).is_valid(value | {"unknown": 1})
