"""The import rules of the design, read from the source; and that the imported packages are this repository's."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import flows
import infra
import tasks

ROOT = Path(__file__).resolve().parents[1]
SHELL = {"stage.py", "task.py", "__main__.py", "command.py"}
# What stands behind a driver: where units run, and where they are kept.
BEHIND_A_DRIVER = {ROOT / "tasks/core" / name for name in ("units.py", "store.py")}
HEAVY = {"prefect", "mlflow", "ray", "torch", "dvc", "s3fs", "sklearn", "tokenizers", "transformers", "matplotlib"}


def _modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _imports(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer; write the whole name"
            yield str(node.module)


def _roots(path: Path, *, top_level_only: bool = False) -> set[str]:
    return {name.partition(".")[0] for name in _imports(path, top_level_only=top_level_only)}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", _modules("infra"), ids=_name)
def test_infra_imports_neither_tasks_nor_flows(path: Path) -> None:
    assert not _roots(path) & {"tasks", "flows"}


@pytest.mark.parametrize("path", _modules("tasks"), ids=_name)
def test_nobody_imports_flows(path: Path) -> None:
    assert "flows" not in _roots(path)


@pytest.mark.parametrize(
    "path", [p for p in _modules("tasks") if p.name not in SHELL and p not in BEHIND_A_DRIVER], ids=_name
)
def test_pure_modules_touch_no_server_and_no_infra(path: Path) -> None:
    assert not _roots(path) & {"prefect", "mlflow", "dvc", "ray", "s3fs", "infra"}


@pytest.mark.parametrize("path", [p for p in _modules("tasks") if p.name != "task.py"], ids=_name)
def test_only_a_task_knows_prefect_and_no_stage_knows_mlflow(path: Path) -> None:
    assert not _roots(path) & {"prefect", "mlflow"}


@pytest.mark.parametrize("path", [p for p in _modules("tasks") if p.name == "task.py"], ids=_name)
def test_a_task_reaches_the_tracker_through_infra_only(path: Path) -> None:
    assert not _roots(path) & {"mlflow", "ray", "dvc", "s3fs"}


@pytest.mark.parametrize("path", [*_modules("infra"), *_modules("tasks")], ids=_name)
def test_heavy_libraries_are_imported_where_they_are_used(path: Path) -> None:
    allowed = {"torch"} if "training" in path.parts else {"prefect"} if path.name == "task.py" else set()
    assert not _roots(path, top_level_only=True) & (HEAVY - allowed)


def test_the_imported_packages_are_this_repositorys() -> None:
    for package in (flows, infra, tasks):
        assert Path(str(package.__file__)).resolve() == ROOT / package.__name__ / "__init__.py"
