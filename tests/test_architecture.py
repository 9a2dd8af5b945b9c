"""The import rules of the design, read from the source; and that the imported packages are this repository's."""

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import cli
import flows
import infra
import tasks

ROOT = Path(__file__).resolve().parents[1]
SHELL = {"stage.py", "task.py", "__main__.py", "command.py"}
# What stands behind a driver: where units run, and where they are kept.
BEHIND_A_DRIVER = {
    *(ROOT / "tasks/runtime").glob("*.py"),
    *(ROOT / "tasks/core" / name for name in ("units.py", "store.py")),
}
HEAVY = {"prefect", "mlflow", "ray", "torch", "dvc", "s3fs", "sklearn", "tokenizers", "transformers", "matplotlib"}


def _modules(*packages: str) -> list[Path]:
    found = sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))
    assert found, f"no module in {packages}: the rules below would hold of nothing"
    return found


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _imports(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    nodes = _tree(path).body if top_level_only else ast.walk(_tree(path))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer; write the whole name"
            yield str(node.module)


def _roots(path: Path, *, top_level_only: bool = False) -> set[str]:
    return {name.partition(".")[0] for name in _imports(path, top_level_only=top_level_only)}


def _offenders(
    paths: list[Path], forbidden: Callable[[Path], set[str]], *, top_level_only: bool = False
) -> dict[str, list[str]]:
    """Return every module that imports what it may not, with what that is."""
    found = ((path, _roots(path, top_level_only=top_level_only) & forbidden(path)) for path in paths)
    return {path.relative_to(ROOT).as_posix(): sorted(names) for path, names in found if names}


def test_infra_imports_neither_tasks_nor_flows() -> None:
    assert _offenders(_modules("infra"), lambda _: {"tasks", "flows"}) == {}


def test_nobody_imports_the_command_line_and_only_it_imports_flows() -> None:
    assert _offenders(_modules("tasks", "infra"), lambda _: {"cli", "flows"}) == {}
    assert _offenders(_modules("flows"), lambda _: {"cli"}) == {}


def test_the_report_comes_last_and_nobody_imports_it() -> None:
    # The params of a pipeline have a section for each stage; the table of stages imports nothing until it is asked.
    allowed = {"flows/config.py": {"tasks.report.config"}}
    found = {
        name: [one for one in _imports(path) if f"{one}.".startswith("tasks.report.")]
        for path in _modules("tasks", "infra", "flows", "cli")
        if not (name := path.relative_to(ROOT).as_posix()).startswith("tasks/report/")
    }
    assert {name: names for name, names in found.items() if {*names} - allowed.get(name, set())} == {}


def test_pure_modules_touch_no_server_and_no_infra() -> None:
    pure = [path for path in _modules("tasks") if path.name not in SHELL and path not in BEHIND_A_DRIVER]
    assert _offenders(pure, lambda _: {"prefect", "mlflow", "dvc", "ray", "s3fs", "infra"}) == {}


def test_only_a_task_knows_prefect_and_no_stage_knows_mlflow() -> None:
    others = [path for path in _modules("tasks") if path.name != "task.py"]
    assert _offenders(others, lambda _: {"prefect", "mlflow"}) == {}


def test_a_task_reaches_the_tracker_through_infra_only() -> None:
    stickers = [path for path in _modules("tasks") if path.name == "task.py"]
    assert _offenders(stickers, lambda _: {"mlflow", "ray", "dvc", "s3fs"}) == {}


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    def forbidden(path: Path) -> set[str]:
        allowed = {"torch"} if "training" in path.parts else {"prefect"} if path.name == "task.py" else set()
        return HEAVY - allowed

    assert _offenders(_modules("infra", "tasks"), forbidden, top_level_only=True) == {}


def test_the_imported_packages_are_this_repositorys() -> None:
    for package in (cli, flows, infra, tasks):
        assert Path(str(package.__file__)).resolve() == ROOT / package.__name__ / "__init__.py"
