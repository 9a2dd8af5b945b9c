"""A pipeline small enough for tests: real text of this Python, tiny models, a clone of this repository to run in."""

import ast
import inspect
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.secret import home_secret
from infra.settings import Settings

PROJECT = Path(__file__).resolve().parents[1]
# What a shell may hold of other servers and homes.
OTHERS = ("PREFECT_", "MIXWRIGHT_", "MLFLOW_TRACKING_")
_MODEL = {
    "hidden_size": 16,
    "num_layers": 1,
    "num_heads": 2,
    "num_kv_heads": 1,
    "intermediate_size": 32,
    "sequence_length": 64,
}


def _training(steps: int) -> dict[str, Any]:
    return {
        "model": _MODEL,
        "optimizer": {"learning_rate": 1e-2, "warmup_steps": 2},
        "num_tokens": steps * 8 * 64,
        "sequences_per_step": 8,
        "checkpoint_every_steps": 10,
    }


TINY: dict[str, Any] = {
    "cluster": {
        "domains": {
            "embedder": {"kind": "tfidf", "dimensions": 16},
            "kmeans": {"num_clusters_initial": 8},
            "merge": {"kind": "ward", "num_domains": 3, "min_documents": 10},
        },
        "split": {"search_fraction": 0.15, "test_fraction": 0.15},
    },
    "tokenize": {"tokenizer": {"kind": "bpe", "vocab_size": 512}},
    "search": {
        "proxy": _training(12) | {"checkpoint_every_steps": None},
        "search_tokens_per_domain": 1024,
        "num_runs": 16,
        "num_noise_seeds": 1,
        "confirm": {"num_candidates": 1, "num_seeds": 3},
        "strategy": {"kind": "default", "batch": 2},
        "selection": {"zoo": [{"kind": "gp_sqrt"}, {"kind": "ridge_sqrt"}], "num_folds": 3},
    },
    "train": {"training": _training(30), "mixtures": ["searched", "natural"], "num_seeds": 2},
}


@dataclass(frozen=True)
class Checkout:
    """A clone of this repository with a home of its own, talking to the live servers as those of a `team`, or to its own."""

    root: Path
    home: Path
    settings: Settings
    text: Path
    params: Path
    team: bool = True

    @property
    def environment(self) -> dict[str, str]:
        """What a user's shell would hold."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
        return (
            kept
            | (self._team_servers() if self.team else {})
            | {
                "PYTHONPATH": str(self.root),
                "MIXWRIGHT_HOME": str(self.home),
                "MIXWRIGHT_EXECUTOR": "local",
                "MIXWRIGHT_WORKERS": "2",
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            }
        )

    def _team_servers(self) -> dict[str, str]:
        user, _, password = home_secret(self.settings.home).partition(":")
        return {
            "MIXWRIGHT_PREFECT__URL": self.settings.prefect.api_url,
            "MIXWRIGHT_PREFECT__AUTH_STRING": f"{user}:{password}",
            "MIXWRIGHT_MLFLOW__URL": self.settings.mlflow.tracking_uri,
            "MLFLOW_TRACKING_USERNAME": user,
            "MLFLOW_TRACKING_PASSWORD": password,
        }

    def start(self, *args: str, **environment: str) -> "subprocess.Popen[str]":
        """Start `mixwright ARGS` in the clone."""
        return subprocess.Popen(
            [sys.executable, "-m", "cli", *args],
            cwd=self.root,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def mixwright(self, *args: str, check: bool = True, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run `mixwright ARGS` in the clone and return what it printed."""
        process = self.start(*args, **environment)
        out, err = process.communicate(timeout=600)
        assert not check or process.returncode == 0, f"{args}: exit code {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    def run_pipeline(self, *args: str, **environment: str) -> dict[str, Any]:
        """Run the whole tiny pipeline and return its outcome."""
        given = ("run", "--json", "--name", "tiny", "--input", str(self.text), "--params", str(self.params))
        done = self.mixwright(*given, *args, **environment)
        outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return outcome


def write_text(folder: Path) -> Path:
    """Write three sources of real text, from the standard library of this Python, as JSON Lines."""
    folder.mkdir(parents=True)
    library = Path(inspect.getsourcefile(ast) or "").parent
    modules = sorted(path for path in library.glob("[a-m]*.py") if 3_000 < path.stat().st_size < 60_000)[:70]
    code, docstrings = [], []
    for path in modules:
        text = path.read_text(encoding="utf-8")
        code += [text[start : start + 3_000] for start in range(0, len(text), 3_000)]
        tree = ast.walk(ast.parse(text))
        functions = (node for node in tree if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module))
        docstrings += [found for node in functions if (found := ast.get_docstring(node)) and len(found) > 250]
    import pydoc_data.topics

    topics = [text for text in pydoc_data.topics.topics.values() if len(text) > 400]
    for source, texts in {"code": code, "docstrings": docstrings, "pydoc_topics": topics}.items():
        lines = (json.dumps({"id": f"{source}/{number}", "text": text}) for number, text in enumerate(texts))
        (folder / f"{source}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def clone_project(target: Path) -> Path:
    """Clone this repository as it is on the disk: what is not committed yet is committed in the clone.

    Without its tags: the versions of data that runs in this checkout have made are none of the tests'.
    """
    subprocess.run(["git", "clone", "--quiet", "--no-tags", str(PROJECT), str(target)], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / name, target / name)
        else:
            (target / name).unlink(missing_ok=True)
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", "add", "--all"], cwd=target, check=True)
    subprocess.run(
        ["git", *identity, "commit", "--quiet", "--allow-empty", "-m", "As on the disk"], cwd=target, check=True
    )
    return target


@pytest.fixture(scope="session")
def tiny_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three sources of real text."""
    return write_text(tmp_path_factory.mktemp("text") / "text")


def make_checkout(folder: Path, settings: Settings, text: Path) -> Checkout:
    """Return a clone in `folder` with the tiny params."""
    root = clone_project(folder / "clone")
    params = folder / "tiny.yaml"
    params.write_text(yaml.safe_dump(TINY), encoding="utf-8")
    return Checkout(root, folder / "home", settings, text, params)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory, live_servers: Settings, tiny_text: Path) -> Checkout:
    """A clone of this repository that the tests of a session share."""
    return make_checkout(tmp_path_factory.mktemp("checkout"), live_servers, tiny_text)


@pytest.fixture(scope="session")
def pipeline_run(checkout: Checkout) -> dict[str, Any]:
    """The outcome of one uninterrupted run of the tiny pipeline, on Ray with two workers."""
    return checkout.run_pipeline(MIXWRIGHT_EXECUTOR="ray")
