"""What each step's key reaches: a table of edits to this very repository, and what they redo."""

import importlib
import shutil
from collections.abc import Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from infra.storage import FolderStore
from tasks.core import code as code_module
from tasks.core.code import DISTRIBUTIONS, code_of, computed_imports
from tasks.core.handles import Tree
from tasks.curate.config import CurateParams
from tasks.curate.statistics.shards import TextSource
from tasks.curate.statistics.unit import AnnotateArgs
from tasks.curate.steps import Curation, selection_of
from tasks.mixture.config import SearchParams
from tasks.mixture.proxies.proxy import ProxyArgs, ProxySpec
from tasks.runtime.context import Workshop
from tasks.runtime.step import Step
from tests.in_process import InProcess

PROJECT = Path(__file__).resolve().parents[2]
# The kernels are compiled extensions, whose sources are data of their package: they are imported by name in one place.
COMPUTED = {"tasks.curate.native"}


def _steps() -> dict[str, Step]:
    """Return every step of the repository by its name."""
    found = {}
    for path in sorted((PROJECT / "tasks").rglob("*.py")):
        if " = Step(" in path.read_text(encoding="utf-8") and "runtime" not in path.parts:
            module = importlib.import_module(".".join(path.relative_to(PROJECT).with_suffix("").parts))
            found |= {step.name: step for step in vars(module).values() if isinstance(step, Step)}
    return found


STEPS = _steps()
# Steps that let a method be chosen, with one of its modules.
CHOSEN: Mapping[str, tuple[str, str]] = {
    "pages by resiliparse": ("ingest.pages", "tasks.ingest.extraction.with_resiliparse"),
    "statistics of Gopher": ("curate.annotate", "tasks.curate.statistics.gopher"),
    "languages": ("curate.annotate", "tasks.curate.annotators.language"),
    "vectors by TF-IDF": ("cluster.embed", "tasks.embedding.tfidf"),
    "vectors by a model": ("cluster.embed", "tasks.embedding.transformer"),
    "proposals of climb": ("search.propose", "tasks.mixture.strategies.climb"),
}
ROOTS: Mapping[str, tuple[str, ...]] = {
    **{name: step.roots(None) for name, step in STEPS.items()},
    **{name: tuple(sorted({*STEPS[step].roots(None), module})) for name, (step, module) in CHOSEN.items()},
}
ON_TASKS = {"search.proxy_on_tasks", "search.branches_on_tasks"}
TRAINED = {"search.proxy", "search.branches", "train.run"} | ON_TASKS
MODELS = TRAINED | {
    *("evaluate.model", "evaluate.samples", "evaluate.answers", "evaluate.memorisation", "evaluate.flatness"),
    *("evaluate.planted", "generate.documents", "train.anchor"),
}
# What looks for n-grams with the kernels of curation.
ITEMS = {"evaluate.item_ngrams", "evaluate.item_search", "evaluate.planted_search"}
# What reads or writes text.
TEXTS = (
    {"evaluate.samples", "evaluate.answers", "train.planted", "evaluate.planted", "generate.documents"}
    | ON_TASKS
    | ITEMS
)
STATISTICS = {"curate.annotate", "statistics of Gopher", "languages"}
# Edits that redo nothing, all at once: a file, what stands there, what is put in its place.
NOTHING = (
    (
        "tasks/embedding/tfidf.py",
        'description="documents the terms',
        'description="how many documents the terms',
    ),
    ("tasks/training/loss.py", '"""', '"""Edited. '),
    ("tasks/training/stacked.py", "\nimport ", "\n# a comment\nimport "),
    ("tasks/mixture/strategies/kinds.py", "from tasks.mixture.strategies.olmix import Olmix", "from x import y"),
    ("tasks/training/config.py", "    sequences_per_step:", "    muon: bool = False\n    sequences_per_step:"),
    ("tasks/training/schedules/kinds.py", "from tasks.training.schedules.cosine import Cosine", "from x import y"),
    ("tasks/training/optimizers/kinds.py", "from tasks.training.optimizers.muon import Muon", "from x import y"),
    # Nobody here has chosen it.
    ("tasks/training/optimizers/muon.py", "0.2 * sqrt", "0.3 * sqrt"),
    ("tasks/runtime/task.py", "import ", "import os, "),
    ("tasks/curate/command.py", '"""', '"""Edited. '),
    ("infra/ray_tasks.py", "_RETRIES = 3", "_RETRIES = 4"),
)
EDITS: Mapping[str, tuple[str, str, str, set[str]]] = {
    "a constant of the model": (
        "tasks/training/model.py",
        "torch.float32",
        "torch.float64",
        MODELS,
    ),
    "a rule": (
        "tasks/curate/rules/table.py",
        "min_words",
        "min_word",
        {"curate.candidates", "curate.decide", "curate.reference", "curate.stand", "report.page"},
    ),
    "one method of extraction": (
        *("tasks/ingest/extraction/with_resiliparse.py", "needs_rewriting(html)", "True"),
        {"pages by resiliparse"},
    ),
    "one embedder": ("tasks/embedding/tfidf.py", "n_iter=5", "n_iter=6", {"vectors by TF-IDF"}),
    "one strategy": (
        "tasks/mixture/strategies/climb.py",
        "def ",
        "def _x(): return 1\n\n\ndef ",
        {"proposals of climb"},
    ),
    "how domains are called": ("tasks/cluster/names.py", "def ", "def _x(): return 1\n\n\ndef ", {"cluster.decide"}),
}
REPORT = (
    ("tasks/report/page.py", "import ", "import os, "),
    ("tasks/pictures/canvas.py", "import ", "import os, "),
)


def _changed(root: Path, edits: tuple[tuple[str, str, str], ...]) -> set[str]:
    """Return what has another code in a copy of the repository with some edits."""
    for package in ("tasks", "infra"):
        shutil.copytree(PROJECT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, before, after in edits:
        text = (root / name).read_text(encoding="utf-8")
        assert before in text, f"{name}: there is no {before!r} to edit"
        (root / name).write_text(text.replace(before, after, 1), encoding="utf-8")
    return {name for name, roots in ROOTS.items() if code_of(roots, root).digest != code_of(roots).digest}


def test_what_decides_no_byte_redoes_nothing(tmp_path: Path) -> None:
    assert _changed(tmp_path, NOTHING) == set()


def test_all_edits_together_redo_what_each_of_them_reaches(tmp_path: Path) -> None:
    edits = tuple((file, before, after) for file, before, after, _ in EDITS.values())
    assert _changed(tmp_path, (*edits, *REPORT)) == {"report.page"}.union(*(again for *_, again in EDITS.values()))


@pytest.mark.slow
def test_the_report_redoes_the_page_alone(tmp_path: Path) -> None:
    assert _changed(tmp_path, REPORT) == {"report.page"}


@pytest.mark.slow
@pytest.mark.parametrize("what", EDITS)
def test_an_edit_redoes_what_reaches_it_and_nothing_else(tmp_path: Path, what: str) -> None:
    file, before, after, again = EDITS[what]
    assert _changed(tmp_path, ((file, before, after),)) == again


def test_a_kernel_redoes_all_that_read_with_kernels_and_nothing_behind_it(tmp_path: Path) -> None:
    changed = _changed(tmp_path, (("tasks/curate/native/gopher.cpp", "int", "long"),))
    assert STATISTICS | {"curate.sign"} <= changed
    # The classifier of topics reads with a kernel, too.
    topics = {"cluster.topics", "cluster.classify"}
    assert all(name.startswith(("curate.", "statistics", "languages")) for name in changed - ITEMS - topics)


def test_the_version_of_a_library_redoes_what_imports_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(library: str) -> set[str]:
        before = {name: code_of(roots).libraries() for name, roots in ROOTS.items()}
        with monkeypatch.context() as patch:
            real = code_module.library_version
            patch.setattr(code_module, "library_version", lambda name: "9.9" if name == library else real(name))
            return {name for name, roots in ROOTS.items() if code_of(roots).libraries() != before[name]}

    assert changed("torch") == MODELS
    assert changed("tokenizers") == TEXTS | {name for name in ROOTS if name.startswith("tokenize.")}
    assert (
        {"cluster.kmeans", "vectors by TF-IDF"}
        <= changed("sklearn")
        <= {name for name in ROOTS if name.startswith(("cluster.", "vectors"))}
    )
    assert changed("pydantic") == set()


def test_the_kind_of_device_is_in_the_key_of_float_steps_alone() -> None:
    spec = ProxySpec((1.0,), 0, SearchParams().proxy, 1.0, (1,))
    args = ProxyArgs(spec, Tree(FolderStore(Path()), "", ()))
    keys = {STEPS["search.proxy"].identity(args, device).key for device in ("cpu", "NVIDIA H200", "NVIDIA A100")}
    assert len(keys) == 3
    assert STEPS["curate.sign"].identity(None, "cpu") == STEPS["curate.sign"].identity(None, "NVIDIA H200")


def _annotations(params: CurateParams, tmp_path: Path) -> str:
    """Return the key of the statistics of a shard."""
    curation = Curation.of(Workshop(InProcess(), FolderStore(tmp_path)), params, ("web", "code"))
    handle = Tree.of(FolderStore(tmp_path), "", [("a", "0", 1)])["a"]
    args = AnnotateArgs(TextSource(handle), curation.annotators, selection_of(params, ("web", "code")))
    return STEPS["curate.annotate"].identity(args, "cpu").key


def test_a_threshold_of_a_profile_redoes_decisions_and_no_statistics(tmp_path: Path) -> None:
    usual, changed = CurateParams(), CurateParams.model_validate({"profiles": {"web": {"rules": {"min_words": 30}}}})
    assert _annotations(usual, tmp_path) == _annotations(changed, tmp_path)
    judged = [
        Curation.of(Workshop(InProcess(), FolderStore(tmp_path)), one, ("web",)).judges for one in (usual, changed)
    ]
    assert judged[0] != judged[1]
    more = CurateParams.model_validate({"annotate": ["pii"]})
    assert _annotations(usual, tmp_path) != _annotations(more, tmp_path)


def test_no_closure_imports_by_a_computed_name() -> None:
    found = {place.partition(":")[0] for roots in ROOTS.values() for place in computed_imports(roots)}
    assert found <= COMPUTED


def test_every_library_of_a_closure_is_known_by_its_distribution() -> None:
    known = packages_distributions()
    used = {package for roots in ROOTS.values() for package in code_of(roots).packages}
    assert "torch" in used and "pyarrow" in used
    wrong = {
        package: known[package]
        for package in used
        if package in known
        and DISTRIBUTIONS.get(package, package).lower().replace("_", "-")
        not in {name.lower().replace("_", "-") for name in known[package]}
    }
    assert wrong == {}
