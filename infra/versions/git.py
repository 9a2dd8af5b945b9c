"""Git, as far as versions need it: read the user's tree, commit beside it, tag once.

Nothing here writes to the user's branch, index or working tree. Commits carry an identity of their own, so that a
machine without git configuration works too, and no hook of the user runs.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.errors import VersionError

CODE = ("cli", "flows", "tasks", "infra")
IDENTITY = {
    "GIT_AUTHOR_NAME": "Mixwright",
    "GIT_AUTHOR_EMAIL": "mixwright@localhost",
    "GIT_COMMITTER_NAME": "Mixwright",
    "GIT_COMMITTER_EMAIL": "mixwright@localhost",
}
# What git sets for its hooks and aliases; it would lead our calls to another repository, index or date.
_SURROUNDING = frozenset(
    f"GIT_{name}"
    for name in (
        *("DIR", "WORK_TREE", "INDEX_FILE", "COMMON_DIR", "PREFIX", "OBJECT_DIRECTORY", "NAMESPACE"),
        *("ALTERNATE_OBJECT_DIRECTORIES", "GRAFT_FILE", "SHALLOW_FILE", "AUTHOR_DATE", "COMMITTER_DATE"),
    )
)
_TAG = re.compile(r"refs/tags/(data/([a-z0-9][a-z0-9-]*)/(v|dev)([1-9][0-9]*))")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
# What a run writes itself. A user's edits to these do not change the code that runs.
_WRITTEN = re.compile(r"params\.yaml|dvc\.lock|data/[^/]+\.dvc|data/\.gitignore")


@dataclass(frozen=True)
class Version:
    """A version of data: its tag, the commit the tag names, and whether the call that returned it made it."""

    tag: str
    commit: str
    created: bool


@dataclass(frozen=True)
class Base:
    """The code a run starts from: a commit, and whether it holds edits its user has not committed."""

    commit: str
    dirty: bool


def git(folder: Path, *args: str, env: Mapping[str, str] | None = None) -> str:
    """Run git in a folder and return what it prints, without the last line break.

    Raises:
        VersionError: git failed; holds its last lines.

    """
    done = _run(folder, args, env)
    if done.returncode != 0:
        raise VersionError(f"{folder}: `git {args[0]}` failed: {last_lines(done.stderr or done.stdout)}")
    return done.stdout.removesuffix("\n")


def git_or_none(folder: Path, *args: str) -> str | None:
    """Return what git prints, or None where it fails."""
    done = _run(folder, args, None)
    return done.stdout.removesuffix("\n") if done.returncode == 0 else None


def last_lines(text: str, count: int = 4) -> str:
    """Return the last lines of a program's output in one line."""
    return " / ".join(line.strip() for line in text.strip().splitlines()[-count:] if line.strip()) or "no message"


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what a surrounding git command (a hook) has set in it."""
    return {name: value for name, value in os.environ.items() if name not in _SURROUNDING}


def written_by_runs(path: str) -> bool:
    """Whether a path relative to the repository is one that a run writes itself (params, lock, data files)."""
    return _WRITTEN.fullmatch(path) is not None


def check_name(name: str) -> str:
    """Return `name` if it can stand in a tag.

    Raises:
        VersionError: it cannot.

    """
    if _NAME.fullmatch(name) is None:
        raise VersionError(f"{name!r} cannot name a version of data: use lower-case letters, digits and dashes.")
    return name


def find_base(root: Path) -> Base:
    """Return the commit whose code is the code in the user's tree: HEAD, or a snapshot beside the branch.

    Raises:
        VersionError: no repository here, no commit yet, DVC is not set up, or code is not tracked by git.

    """
    top = git_or_none(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != root.resolve():
        raise VersionError(
            f"{root}: this is not the root of a git repository, so no version can be recorded. Clone the project with "
            "git, or make it one: `git init && git add . && git commit -m 'Start'`."
        )
    head = git_or_none(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if head is None:
        raise VersionError(
            f"{root}: there is no commit yet. Commit the code first: `git add . && git commit -m 'Start'`."
        )
    _require_tracked(root, head)
    dirty = [path for path in modified(root) if not written_by_runs(path)]
    return Base(_snapshot(root, head), True) if dirty else Base(head, False)


def modified(folder: Path) -> list[str]:
    """Return the tracked files that differ from HEAD, staged or not, sorted."""
    args = ("--no-optional-locks", "status", "--porcelain", "--untracked-files=no", "--no-renames", "-z")
    return sorted(line[3:] for line in git(folder, *args).split("\0") if line)


def next_tag(folder: Path, prefix: str) -> str:
    """Return the first tag `<prefix><n>` that is higher than every existing one."""
    numbers = [int(match[4]) for match, _, _ in _tags(folder) if match[1] == f"{prefix}{match[4]}"]
    return f"{prefix}{max(numbers, default=0) + 1}"


def tag_once(folder: Path, prefix: str, commit: str) -> str:
    """Give the commit the next free tag `<prefix><n>`; a tag is never moved. Atomic among processes and worktrees.

    Raises:
        VersionError: git refuses for another reason than that the tag was just taken.

    """
    while True:
        tag = next_tag(folder, prefix)
        done = _run(folder, ("tag", "--no-sign", tag, commit), None)
        if done.returncode == 0:
            return tag
        if git_or_none(folder, "rev-parse", "--verify", "--quiet", f"refs/tags/{tag}") is None:
            raise VersionError(f"{folder}: the tag {tag} cannot be written: {last_lines(done.stderr)}")


def tag_with_tree(folder: Path, prefix: str, tree: str) -> Version | None:
    """Return the newest version `<prefix><n>` that holds exactly this tree, or None."""
    found = [(int(m[4]), m[1], commit) for m, commit, has in _tags(folder) if m[1] == f"{prefix}{m[4]}" and has == tree]
    return Version(max(found)[1], max(found)[2], created=False) if found else None


def list_versions(root: Path, name: str | None = None) -> list[Version]:
    """Return the versions of one name, or of all: by name, released before dev, oldest first."""
    rows = [(m[2], m[3] == "dev", int(m[4]), m[1], commit) for m, commit, _ in _tags(root) if name in {None, m[2]}]
    return [Version(tag, commit, created=False) for _, _, _, tag, commit in sorted(rows)]


@contextmanager
def worktree(root: Path, folder: Path, commit: str) -> Iterator[Path]:
    """Check a commit out in a folder of its own while the block runs."""
    add_worktree(root, folder, commit)
    try:
        yield folder
    finally:
        remove_worktree(root, folder)


def add_worktree(root: Path, folder: Path, commit: str) -> None:
    """Check a commit out in a new folder, detached; what is left there of an unfinished attempt is replaced."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    git(root, "worktree", "add", "--quiet", "--force", "--detach", str(folder), commit)


def remove_worktree(root: Path, folder: Path) -> None:
    """Remove a worktree and what git knows about it; its commits stay only where a tag names them."""
    if folder.exists():
        shutil.rmtree(folder)
    git(root, "worktree", "prune")


def _run(folder: Path, args: tuple[str, ...], env: Mapping[str, str] | None) -> "subprocess.CompletedProcess[str]":
    command = ["git", "-c", f"core.hooksPath={os.devnull}", "-c", "core.quotePath=false", *args]
    environment = clean_environment() | IDENTITY | {"LC_ALL": "C"} | dict(env or {})
    try:
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise VersionError(
            f"{folder}: git, or the folder, is not there: {error}. Install git, or correct the path."
        ) from error


def _require_tracked(root: Path, head: str) -> None:
    needed = ("dvc.yaml", ".dvc/config")
    found = git(root, "ls-tree", "-r", "--name-only", head, "--", *needed).splitlines()
    if missing := [path for path in needed if path not in found]:
        raise VersionError(
            f"{root}: {' and '.join(missing)} are not in the last commit, so DVC has no pipeline to record. Run "
            "`dvc init` if there is no .dvc folder, then commit these files."
        )
    untracked = git(root, "ls-files", "--others", "--exclude-standard", "--", *CODE).splitlines()
    if untracked:
        raise VersionError(
            f"{root}: {len(untracked)} files of code are not known to git, so a version could not say what ran; "
            f"first: {untracked[0]}. Run `git add {' '.join(sorted({path.split('/')[0] for path in untracked}))}`, or "
            "move them away."
        )


def _snapshot(root: Path, head: str) -> str:
    """Commit the tracked files as they are now, through an index of its own: the user's index and branch stay."""
    date = git(root, "show", "--no-patch", "--format=%cI", head)
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        shutil.copyfile(root / git(root, "rev-parse", "--git-path", "index"), index)
        env = {"GIT_INDEX_FILE": str(index)}
        git(root, "add", "--update", "--", ".", env=env)
        tree = git(root, "write-tree", env=env)
    # The parent's date: the same edits give the same commit, so that the same command finds its workspace again.
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    return git(root, "commit-tree", tree, "-p", head, "-m", f"Edits on top of {head[:12]} that ran", env=dates)


def _tags(folder: Path) -> Iterator[tuple[re.Match[str], str, str]]:
    """Yield (parsed name, commit, tree) of every tag of data."""
    for line in git(folder, "for-each-ref", "--format=%(refname) %(objectname) %(tree)", "refs/tags/data").splitlines():
        name, commit, tree = line.split(" ")
        if (match := _TAG.fullmatch(name)) is not None:
            yield match, commit, tree
