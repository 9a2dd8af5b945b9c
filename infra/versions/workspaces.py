"""Workspaces: every run has a git worktree of its own that shares the DVC cache of the clone it belongs to.

The same key gives the same workspace, so that a killed run goes on where it stopped. The user's checkout is only read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from infra.leases import Held, lease
from infra.versions.dvc import config_for_workspace
from infra.versions.git import Base, add_worktree, check_name, find_base, git, git_or_none, remove_worktree

# The commit the workspace was made from; a ref that belongs to this worktree alone, and is written last of all.
_BASE = "refs/worktree/base"


@dataclass(frozen=True)
class Workspace:
    """Where a run works.

    `path` is the worktree, `base` the commit with the code that runs, `dirty` whether that commit holds edits its user
    has not committed (the run then ends in a dev version), `root` the clone and `home` its folder for runs. `held` is the
    lease of the run that works in it, None where nobody does.
    """

    path: Path
    base: str
    dirty: bool
    root: Path
    home: Path
    held: Held | None = None


@contextmanager
def open_workspace(root: Path, home: Path, *, name: str, key: str, timeout_s: float = 0.0) -> Iterator[Workspace]:
    """Prepare the workspace of one run and keep it from every other run while the block works in it.

    Raises:
        LeaseError: another run works in it, and still does after `timeout_s` seconds.
        VersionError: as `prepare_workspace`.

    """
    folder = workspace_path(home, name, key)
    with lease(home / "leases" / f"{folder.name}.lock", f"run {folder.name}", timeout_s) as held:
        yield replace(prepare_workspace(root, home, name=name, key=key), held=held)


def prepare_workspace(root: Path, home: Path, *, name: str, key: str) -> Workspace:
    """Return the workspace `<home>/workspaces/<name>-<first 12 of key>`, at the code in the user's tree.

    An existing one is kept with its data; if the code is not what it was made from, its code is replaced.

    Raises:
        VersionError: `root` is not a git repository with a commit and DVC, or holds code that git does not know.

    """
    root, home = root.resolve(), home.resolve()
    base = find_base(root)
    path = workspace_path(home, name, key)
    with dvc_lease(home, f"prepare {path.name}"):
        if (
            made_from := git_or_none(path, "rev-parse", "--verify", "--quiet", _BASE) if path.is_dir() else None
        ) is None:
            add_worktree(root, path, base.commit)
        elif made_from != base.commit:
            git(path, "checkout", "--quiet", "--force", "--detach", base.commit)
        _write(path / ".dvc" / "config.local", config_for_workspace(root))
        git(path, "update-ref", _BASE, base.commit)
    return _workspace(path, base, root, home)


def write_params(workspace: Workspace, text: str) -> None:
    """Write the workspace's `params.yaml`, whole or not at all."""
    _write(workspace.path / "params.yaml", text)


def remove_workspace(workspace: Workspace) -> None:
    """Remove a workspace; its versions stay, and their data stays in the DVC cache."""
    with dvc_lease(workspace.home, f"remove {workspace.path.name}"):
        remove_worktree(workspace.root, workspace.path)


def prune_workspaces(root: Path, home: Path) -> tuple[str, ...]:
    """Remove the workspaces of runs that ended in a version; return their names. What is under way or failed stays."""
    removed = []
    for path in sorted((home / "workspaces").glob("[a-z0-9]*")):
        with lease(home / "leases" / f"{path.name}.lock", f"prune {path.name}"):
            tags = git_or_none(path, "tag", "--points-at", "HEAD", "--list", "data/*")
            if tags:
                remove_workspace(Workspace(path, "", dirty=False, root=root.resolve(), home=home.resolve()))
                removed.append(path.name)
    return tuple(removed)


def workspace_path(home: Path, name: str, key: str) -> Path:
    """Return where the workspace of a run is, whether it exists or not."""
    return home / "workspaces" / f"{check_name(name)}-{key[:12]}"


@contextmanager
def dvc_lease(home: Path, what: str) -> Iterator[Held]:
    """Hold the one lease under which this clone's runs call git and DVC to write.

    Raises:
        LeaseError: it is still held after ten minutes.

    """
    # A push of gigabytes may take minutes; longer than ten is worth asking a person.
    with lease(home / "leases" / "dvc.lock", what, timeout_s=600) as held:
        yield held


def _workspace(path: Path, base: Base, root: Path, home: Path) -> Workspace:
    return Workspace(path=path, base=base.commit, dirty=base.dirty, root=root, home=home)


def _write(path: Path, text: str) -> None:
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    # Beside it, then renamed; config.local may hold credentials, so nobody else reads it.
    draft = path.with_name(f".{path.name}.new")
    draft.touch(mode=0o600 if path.name == "config.local" else 0o644)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
