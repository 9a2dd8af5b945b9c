"""Commands to be measured: Mixwright as a user starts it, and the systems beside it, each in a process of its own."""

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.inputs import ROOT
from benchmarks.measure import Note, Spent, spent_by

PEERS = Path(__file__).parent / "peers"
# The script, and whose it is.
PACKAGES = {
    "data_selection_scores": "data-selection",
    "datatrove_filters": "datatrove",
    "datatrove_signatures": "datatrove",
    "nemo_filters": "nemo-curator",
    "rensa_minhash": "rensa",
    "text_dedup_minhash": "text-dedup",
}


@dataclass(frozen=True)
class Peer:
    """A finished script of a peer: what the process took, and what the script says itself."""

    spent: Spent
    told: dict[str, Any]


def mixwright(*arguments: str | Path, home: Path) -> Spent:
    """Return what `mixwright ARGUMENTS` took as a fresh process; `home` is Mixwright's own folder."""
    return spent_by([sys.executable, "-m", "cli", *arguments], {"MIXWRIGHT_HOME": str(home)}, ROOT)


def python_module(name: str, *arguments: str | Path) -> Peer:
    """Return what a script of ours took as a fresh process, and the JSON of its last line."""
    spent = spent_by([sys.executable, "-m", name, *arguments], {}, ROOT)
    return Peer(spent, json.loads(spent.output.splitlines()[-1]))


def peers_python() -> Path | None:
    """Return the interpreter of the peers' environment: MIXWRIGHT_PEERS, else .venv-peers; None where there is none."""
    # Not resolved: the link is what makes it the interpreter of that environment.
    named = Path(os.environ.get("MIXWRIGHT_PEERS") or ROOT / ".venv-peers" / "bin" / "python")
    return named.absolute() if named.is_file() else None


def peer(script: str, *arguments: str | Path, folder: Path) -> Peer:
    """Return what a peer's script took in `folder`; ask `missing` first whether the peer is there."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
    spent = spent_by([_required(), PEERS / f"{script}.py", *arguments], offline, folder)
    return Peer(spent, json.loads(spent.output.splitlines()[-1]))


@functools.cache
def missing(script: str) -> Note | None:
    """Return a note where a peer is not installed; None where it is."""
    package = PACKAGES[script]
    if peers_python() is None:
        return Note(f"left out: {package}; there is no environment of peers here (make bench-peers).")
    return None if version_of(package) else Note(f"left out: {package} is not installed in {_required()}.")


@functools.cache
def version_of(package: str) -> str | None:
    """Return the version of a package in the peers' environment."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    found = subprocess.run([_required(), "-c", code], capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else None


def _required() -> Path:
    found = peers_python()
    assert found is not None, "asked for after `missing`"
    return found
