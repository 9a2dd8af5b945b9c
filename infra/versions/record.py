"""Record what a run made: DVC takes the bytes, a commit beside the user's branch names them, a git tag publishes them.

The tag is the commit point. Data is pushed before it, so that a tag somebody sees is a version somebody can pull.
"""

import re
from pathlib import Path

import yaml

from infra.errors import VersionError
from infra.leases import Held
from infra.versions.dvc import (
    config_for_workspace,
    default_remote,
    dvc,
    dvc_status,
    hashes_of_lock,
    push_verified,
    require_outputs,
    stage_outputs,
)
from infra.versions.git import (
    Version,
    git,
    git_or_none,
    list_versions,
    modified,
    tag_once,
    tag_with_tree,
    worktree,
    written_by_runs,
)
from infra.versions.looks import keep_clean, look, was_clean
from infra.versions.objects import text_in
from infra.versions.workspaces import Workspace, dvc_lease


def add_raw(workspace: Workspace, path: str = "data/raw") -> None:
    """Record the raw input as data of its own, so that another machine reproduces from it.

    Raises:
        VersionError: it is not there, or DVC refuses.

    """
    if not (workspace.path / path).exists():
        raise VersionError(
            f"{workspace.path / path}: there is no raw input here to record. Run the snapshot of it first."
        )
    with dvc_lease(workspace.home, f"record {path} of {workspace.path.name}"):
        dvc(workspace.path, "add", path)


def commit_raw(workspace: Workspace, name: str, path: str = "data/raw") -> Version:
    """Publish the recorded raw input as the next version `data/<name>-input/v<n>`, unless one holds these very bytes.

    Raises:
        VersionError: `add_raw` has not been called, or git refuses.

    """
    pointer = f"{path}.dvc"
    content = git(workspace.path, "hash-object", pointer)
    with dvc_lease(workspace.home, f"record {path} of {workspace.path.name}") as held:
        for version in list_versions(workspace.root, f"{name}-input"):
            if (
                git_or_none(workspace.path, "rev-parse", "--verify", "--quiet", f"{version.commit}:{pointer}")
                == content
            ):
                return version
        git(workspace.path, "add", "--force", "--", pointer)
        tree = git(workspace.path, "write-tree")
        commit = git(workspace.path, "commit-tree", tree, "-p", workspace.base, "-m", f"{name}: raw input")
        _require_leases(workspace, held)
        return Version(tag_once(workspace.path, f"data/{name}-input/v", commit), commit, created=True)


def commit_stages(workspace: Workspace, stages: list[str]) -> None:
    """Record the outputs of some stages in `dvc.lock`, for a flow that ends before the last one; makes no version.

    Raises:
        VersionError: a stage is unknown, an output is missing, or DVC refuses.

    """
    require_outputs(workspace.path, stages)
    with dvc_lease(workspace.home, f"record {', '.join(stages)} of {workspace.path.name}") as held:
        _require_leases(workspace, held)
        dvc(workspace.path, "commit", "--force", *stages)


def commit_run(workspace: Workspace, name: str, message: str, *, remote: str | None = None) -> Version:
    """Record everything a finished run made as the next version `data/<name>/v<n>` (`dev<n>` with uncommitted code).

    If a version with exactly this code, these params and these bytes exists, that one is returned and nothing is made.
    The data is pushed before the tag is made: to `remote`, or to the default remote where one is set.

    Raises:
        VersionError: outputs are missing, the workspace was changed behind the run, DVC still finds a difference after
            recording, or the push failed (then there is no tag, and the same call goes on from there).
        LeaseError: a lease of this run was removed while it was held, so that another may do the same.

    """
    prefix = f"data/{name}/{'dev' if workspace.dirty else 'v'}"
    stages = list(stage_outputs(workspace.path))
    require_outputs(workspace.path, stages)
    _require_own_changes(workspace)
    with dvc_lease(workspace.home, f"record {workspace.path.name}") as held:
        _require_leases(workspace, held)
        if (same := _recorded_before(workspace, prefix)) is not None:
            return same
        dvc(workspace.path, "commit", "--force")
        seen = look(workspace.path)
        _require_clean(workspace.path)
        keep_clean(workspace.path, seen)
        tree = _tree(workspace.path)
        if (same := tag_with_tree(workspace.path, prefix, tree)) is not None:
            return same
        commit = _commit(workspace, tree, message)
        if (where := remote or default_remote(workspace.path)) is not None:
            push_verified(workspace.path, f"version of {workspace.path.name}", where)
        _require_leases(workspace, held)
        return Version(tag_once(workspace.path, prefix, commit), commit, created=True)


def push(root: Path, home: Path, tag: str, remote: str | None = None) -> None:
    """Send the data of a version to a remote (the default one if none is named). `git push origin TAG` sends the tag.

    Raises:
        VersionError: there is no such version or remote, no remote is named and none is the default, or data of it is
            missing here.

    """
    if git_or_none(root, "rev-parse", "--verify", "--quiet", f"refs/tags/{tag}") is None:
        raise VersionError(f"{root}: there is no version {tag}. `mixwright data list` shows those there are.")
    if remote is None and default_remote(root) is None:
        raise VersionError(
            f"{tag}: nowhere to push to: this clone has no default remote. Name one (--remote NAME), or make one: "
            "mixwright data remote NAME URL --default."
        )
    folder = home / "workspaces" / f".push-{re.sub('[^a-z0-9]+', '-', tag)}"
    with dvc_lease(home, f"push {tag}"), worktree(root, folder, tag) as path:
        (path / ".dvc" / "config.local").write_text(config_for_workspace(root), encoding="utf-8")
        push_verified(path, tag, remote)


def recorded_text(root: Path, tag: str, folder: str, name: str) -> str:
    """Return a text file of a folder that a version holds, such as the manifest in `data/train`, from DVC's cache.

    Raises:
        VersionError: there is no such version, it has no such folder, or the file is not in the cache of this clone.

    """
    if (lock := git_or_none(root, "show", f"refs/tags/{tag}:dvc.lock")) is None:
        raise VersionError(f"{root}: there is no version {tag}. `mixwright data list` shows those there are.")
    hashes = hashes_of_lock(yaml.safe_load(lock))
    if folder not in hashes:
        raise VersionError(f"{tag}: it has no {folder}; it has {', '.join(hashes)}.")
    text = text_in(Path(dvc(root, "cache", "dir").strip()), hashes[folder], name)
    if text is None:
        raise VersionError(
            f"{tag}: {folder}/{name} is not in the DVC cache of {root}. Get it in a clone: git checkout {tag} && dvc fetch."
        )
    return text


def _require_leases(workspace: Workspace, dvc_held: Held) -> None:
    """Refuse to record for a run that lost its leases: another may work in its workspace, or write with DVC."""
    dvc_held.require()
    if workspace.held is not None:
        workspace.held.require()


def _recorded_before(workspace: Workspace, prefix: str) -> Version | None:
    """Return the version this workspace already is, at the price of one look by DVC where anything was touched."""
    same = tag_with_tree(workspace.path, prefix, git(workspace.path, "rev-parse", "HEAD^{tree}"))
    if same is None or modified(workspace.path):
        return None
    if not was_clean(workspace.path, seen := look(workspace.path)):
        if dvc_status(workspace.path):
            return None
        keep_clean(workspace.path, seen)
    return same


def _require_own_changes(workspace: Workspace) -> None:
    foreign = [path for path in modified(workspace.path) if not written_by_runs(path)]
    if foreign:
        raise VersionError(
            f"{workspace.path}: {len(foreign)} files here are not those of the commit {workspace.base[:12]} that "
            f"ran; first: {foreign[0]}. Change the code in {workspace.root}, undo it here, then start the same "
            "command again."
        )


def _require_clean(folder: Path) -> None:
    if status := dvc_status(folder):
        raise VersionError(
            f"{folder}: DVC finds {len(status)} stages changed right after they were recorded: "
            f"{', '.join(sorted(status))}. Something else writes in this folder; stop it and start the same "
            "command again."
        )


def _tree(folder: Path) -> str:
    """Stage what runs write, and return the tree that the version will hold."""
    written = [path for path in ("params.yaml", "dvc.lock") if (folder / path).is_file()]
    written += [path.relative_to(folder).as_posix() for path in sorted(folder.glob("data/*.dvc"))]
    git(folder, "add", "--force", "--", *written)
    git(folder, "add", "--update", "--", ".")
    return git(folder, "write-tree")


def _commit(workspace: Workspace, tree: str, message: str) -> str:
    """Commit the tree on the workspace's detached HEAD; a commit left by an attempt that was not tagged is taken."""
    if git(workspace.path, "rev-parse", "HEAD^{tree}") == tree:
        return git(workspace.path, "rev-parse", "HEAD")
    commit = git(workspace.path, "commit-tree", tree, "-p", workspace.base, "-m", message)
    git(workspace.path, "update-ref", "--no-deref", "HEAD", commit)
    return commit
