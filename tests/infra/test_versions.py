"""Versions with real git and real DVC: a workspace per run, an immutable tag at its end, the same bytes elsewhere."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from infra.errors import LeaseError, VersionError
from infra.versions import (
    Version,
    Workspace,
    add_raw,
    add_remote,
    commit_run,
    commit_stages,
    dvc_hashes,
    dvc_status,
    list_versions,
    open_workspace,
    prepare_workspace,
    prune_workspaces,
    push,
    recorded_text,
    write_params,
)
from infra.versions.dvc import dvc
from infra.versions.git import find_base, git, tag_once
from tests.infra import dvc_in_forks

GIT_CONFIG = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM")
KEY = "0123456789abcdef"
STAGES = {"upper": ("data/raw/text", "data/upper"), "repeat": ("data/upper/text", "data/repeat")}
CODE = """
import pathlib, sys, yaml
name, source, target = sys.argv[1:]
text = pathlib.Path(source).read_text()
times = yaml.safe_load(open("params.yaml"))[name]["times"]
pathlib.Path(target).mkdir(parents=True, exist_ok=True)
pathlib.Path(target, "text").write_text(text.upper() * times)
"""
PARAMS = "upper:\n  times: 1\nrepeat:\n  times: 2\n"


@pytest.fixture(autouse=True, scope="module")
def forked() -> Iterator[None]:
    """DVC starts as a fork; as a process of its own where two programs commit at once, and in tests/integration."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("infra.versions.dvc.subprocess", dvc_in_forks)
        yield


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Git knows no user and no settings of this machine."""
    for name in GIT_CONFIG:
        monkeypatch.setenv(name, os.devnull)


@pytest.fixture
def root(tmp_path: Path, project: Path, nobody: None) -> Path:
    """A user's clone: two tiny stages, one commit on main, nobody known to git."""
    return _make_clone(tmp_path / "clone", project)


def _make_clone(root: Path, project: Path) -> Path:
    for name in ("tasks", "flows", ".dvc"):
        (root / name).mkdir(parents=True)
    (root / "tasks" / "stage.py").write_text(CODE)
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {name: _stage(name) for name in STAGES}}, sort_keys=False))
    # The project's own: its patterns decide what git and DVC see.
    for name in (".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
        shutil.copyfile(project / name, root / name)
    (root / "params.yaml").write_text(PARAMS)
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "Start")
    return root


@dataclass(frozen=True)
class Clones:
    """A clone as it was after a run, and after that was recorded: each test gets a copy, in the same place."""

    place: Path
    version: Version

    def get(self, state: str) -> Path:
        """Put the copy of a state in its place, and return that."""
        shutil.rmtree(self.place)
        shutil.copytree(self.place.with_name(state), self.place, symlinks=True)
        return self.place


@pytest.fixture(scope="module")
def clones(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Clones:
    """A clone where a run has ended and is not recorded yet (`ran`), and where it is (`recorded`)."""
    with pytest.MonkeyPatch.context() as patch:
        for name in GIT_CONFIG:
            patch.setenv(name, os.devnull)
        root = _make_clone(tmp_path_factory.mktemp("versions") / "clone", project)
        workspace = _run(root)
        shutil.copytree(root, root.with_name("ran"), symlinks=True)
        version = commit_run(workspace, "demo", "Demo run")
        shutil.copytree(root, root.with_name("recorded"), symlinks=True)
    return Clones(root, version)


@pytest.fixture
def ran(clones: Clones, nobody: None) -> Path:
    """A clone with a run that is not recorded yet."""
    return clones.get("ran")


@pytest.fixture
def recorded(clones: Clones, nobody: None) -> Path:
    """A clone with the version data/demo/v1."""
    return clones.get("recorded")


def _stage(name: str) -> dict[str, object]:
    source, target = STAGES[name]
    command = f"python tasks/stage.py {name} {source} {target}"
    return {"cmd": command, "deps": [str(Path(source).parent), "tasks"], "params": [name], "outs": [target]}


def _prepare(root: Path, key: str = KEY) -> Workspace:
    return prepare_workspace(root, root / ".mixwright", name="demo", key=key)


def _work(workspace: Workspace, *, params: str = PARAMS, stages: tuple[str, ...] = tuple(STAGES)) -> None:
    """What a flow does: params, raw input, stages."""
    write_params(workspace, params)
    raw = workspace.path / "data" / "raw" / "text"
    raw.parent.mkdir(parents=True, exist_ok=True)
    if not raw.exists():
        raw.write_text("some text\n")
    for name in stages:
        subprocess.run([sys.executable, "tasks/stage.py", name, *STAGES[name]], cwd=workspace.path, check=True)
    add_raw(workspace)


def _run(root: Path, *, key: str = KEY, params: str = PARAMS) -> Workspace:
    workspace = _prepare(root, key)
    _work(workspace, params=params)
    return workspace


def _cached(root: Path) -> list[Path]:
    return [path for path in (root / ".dvc" / "cache" / "files").rglob("*") if path.is_file()]


def _user_state(root: Path) -> dict[str, str]:
    """Everything of the user's that a run must leave alone."""
    tree = {path.name: path.read_text() for path in sorted((root / "tasks").glob("*.py"))}
    return tree | {
        "branch": git(root, "symbolic-ref", "HEAD"),
        "head": git(root, "rev-parse", "HEAD"),
        "status": git(root, "status", "--porcelain"),
        "stashes": git(root, "stash", "list"),
        "index": git(root, "ls-files", "--stage"),
    }


# Git alone: fast.


def test_a_clean_tree_runs_from_its_last_commit(root: Path) -> None:
    workspace = _prepare(root)
    assert (workspace.base, workspace.dirty) == (git(root, "rev-parse", "HEAD"), False)
    assert workspace.path == root / ".mixwright" / "workspaces" / f"demo-{KEY[:12]}"
    assert (workspace.path / "tasks" / "stage.py").read_text() == CODE
    assert git(root, "status", "--porcelain") == ""


def test_the_same_key_gives_the_same_workspace_with_what_it_held(root: Path) -> None:
    first = _prepare(root)
    (first.path / "data").mkdir()
    (first.path / "data" / "half").write_text("finished so far")
    assert _prepare(root) == first
    assert (first.path / "data" / "half").read_text() == "finished so far"
    assert _prepare(root, key="f" * 16).path != first.path


def test_a_workspace_follows_the_code_and_keeps_its_data(root: Path) -> None:
    first = _prepare(root)
    (first.path / "data").mkdir()
    (first.path / "data" / "half").write_text("finished so far")
    (root / "tasks" / "stage.py").write_text(CODE + "# better\n")
    git(root, "commit", "--quiet", "--all", "--message", "Better")
    second = _prepare(root)
    assert second.path == first.path
    assert second.base == git(root, "rev-parse", "HEAD")
    assert (second.path / "tasks" / "stage.py").read_text().endswith("# better\n")
    assert (second.path / "data" / "half").exists()


def test_an_unfinished_workspace_is_made_again(root: Path) -> None:
    path = root / ".mixwright" / "workspaces" / f"demo-{KEY[:12]}"
    path.mkdir(parents=True)
    (path / "torn").write_text("the process died here")
    workspace = _prepare(root)
    assert (workspace.path / "tasks" / "stage.py").exists()
    assert not (path / "torn").exists()


def test_edited_code_is_in_the_base_and_the_users_tree_and_branch_stay(root: Path) -> None:
    (root / "tasks" / "stage.py").write_text(CODE + "# edited\n")
    (root / "tasks" / "new.py").write_text("# staged\n")
    git(root, "add", "tasks/new.py")
    before = _user_state(root)
    workspace = _prepare(root)
    assert workspace.dirty
    assert (workspace.path / "tasks" / "stage.py").read_text().endswith("# edited\n")
    assert (workspace.path / "tasks" / "new.py").exists()
    assert _user_state(root) == before
    # The same edits are the same base, so that the same command goes on in the same workspace.
    assert _prepare(root) == workspace


def test_a_users_edit_of_the_params_is_no_change_of_code(root: Path) -> None:
    (root / "params.yaml").write_text("upper: {times: 9}\n")
    assert not find_base(root).dirty


def test_code_that_git_does_not_know_is_refused_by_name(root: Path) -> None:
    (root / "tasks" / "mine.py").write_text("")
    (root / "notes.txt").write_text("not code, so nobody minds")
    with pytest.raises(VersionError, match=r"1 files of code.*tasks/mine\.py.*git add tasks"):
        _prepare(root)
    git(root, "add", "tasks")
    assert _prepare(root).dirty


def test_a_folder_without_git_or_without_a_commit_says_what_to_do(root: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    with pytest.raises(VersionError, match="git init"):
        find_base(bare)
    with pytest.raises(VersionError, match="not the root"):
        find_base(root / "tasks")
    git(bare, "init", "--quiet")
    with pytest.raises(VersionError, match="no commit yet"):
        find_base(bare)


def test_a_repository_without_dvc_says_what_to_do(root: Path) -> None:
    git(root, "rm", "--quiet", "-r", ".dvc")
    git(root, "commit", "--quiet", "--message", "No DVC")
    with pytest.raises(VersionError, match=r"\.dvc/config.*dvc init"):
        find_base(root)


def test_a_detached_head_is_fine(root: Path) -> None:
    git(root, "checkout", "--quiet", "--detach")
    assert _prepare(root).base == git(root, "rev-parse", "HEAD")


def test_no_hook_of_the_user_runs(root: Path) -> None:
    for name in ("post-checkout", "pre-commit", "reference-transaction"):
        hook = root / ".git" / "hooks" / name
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
    (root / "tasks" / "stage.py").write_text(CODE + "# edited\n")
    workspace = _prepare(root)
    assert tag_once(root, "data/demo/dev", workspace.base) == "data/demo/dev1"


def test_git_called_from_a_hook_still_finds_the_right_repository(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere" / "index"))
    assert _prepare(root).path.is_dir()


def test_a_name_that_cannot_stand_in_a_tag_is_refused(root: Path) -> None:
    for name in ("", "../up", "Über", "a b", "-rf"):
        with pytest.raises(VersionError, match="cannot name a version"):
            prepare_workspace(root, root / ".mixwright", name=name, key=KEY)


def test_two_runs_at_once_do_not_share_a_workspace(root: Path) -> None:
    home = root / ".mixwright"
    with open_workspace(root, home, name="demo", key=KEY):
        with open_workspace(root, home, name="demo", key="f" * 16):
            pass
        second = open_workspace(root, home, name="demo", key=KEY)
        with pytest.raises(LeaseError, match="run demo-0123456789ab"), second:
            pytest.fail("two runs worked in one workspace")


def test_many_who_tag_at_once_get_tags_of_their_own_and_none_is_moved(root: Path) -> None:
    commits = [git(root, "commit-tree", "HEAD^{tree}", "-m", f"run {n}") for n in range(12)]
    with ThreadPoolExecutor(6) as pool:
        tags = list(pool.map(lambda commit: tag_once(root, "data/demo/v", commit), commits))
    assert sorted(tags) == sorted(f"data/demo/v{n + 1}" for n in range(12))
    assert [git(root, "rev-parse", tag) for tag in tags] == commits


def test_versions_are_listed_in_the_order_of_their_numbers(root: Path) -> None:
    for tag in ("data/b/v1", "data/a/v10", "data/a/v9", "data/a/dev1", "data/a/notes", "other/v1"):
        git(root, "tag", tag)
    assert [version.tag for version in list_versions(root)] == ["data/a/v9", "data/a/v10", "data/a/dev1", "data/b/v1"]
    assert [version.tag for version in list_versions(root, "b")] == ["data/b/v1"]
    assert tag_once(root, "data/a/v", "HEAD") == "data/a/v11"


def test_remotes_and_their_relative_paths_reach_the_workspace_privately(root: Path) -> None:
    (root / ".dvc" / "config.local").write_text(
        "[core]\n    remote = near\n['remote \"near\"']\n    url = ../../near\n    verify = true\n"
        "['remote \"far\"']\n    url = s3://bucket/path\n    access_key_id = abc%def\n"
    )
    config = _prepare(root).path / ".dvc" / "config.local"
    text = config.read_text()
    assert f"url = {root.parent / 'near'}" in text
    assert "url = s3://bucket/path" in text
    assert "access_key_id = abc%def" in text
    assert f"dir = {root / '.dvc' / 'cache'}" in text
    assert stat.S_IMODE(config.stat().st_mode) == 0o600


# With DVC.


@pytest.mark.dvc
def test_a_run_ends_in_an_immutable_tag_beside_the_users_branch(root: Path) -> None:
    before = _user_state(root)
    workspace = _run(root)
    version = commit_run(workspace, "demo", "Demo run")
    assert (version.tag, version.created) == ("data/demo/v1", True)
    assert dvc_status(workspace.path) == {}
    assert "didn't change, skipping" in dvc(workspace.path, "repro")
    assert git(workspace.path, "status", "--porcelain") == ""
    held = git(root, "ls-tree", "-r", "--name-only", version.tag).splitlines()
    assert {"params.yaml", "dvc.lock", "data/raw.dvc", "tasks/stage.py"} <= set(held)
    assert git(root, "log", "-1", "--format=%an <%ae> %s", version.tag) == "Mixwright <mixwright@localhost> Demo run"
    assert _user_state(root) == before
    assert set(dvc_hashes(workspace.path)) == {"data/raw", "data/upper", "data/repeat"}
    made = (workspace.path / "data" / "repeat" / "text").read_text()
    assert recorded_text(root, version.tag, "data/repeat", "text") == made
    for tag, folder, name, told in (
        ("data/demo/v9", "data/repeat", "text", "there is no version data/demo/v9"),
        (version.tag, "data/train", "text", "it has no data/train"),
        (version.tag, "data/repeat", "manifest.json", "is not in the DVC cache"),
    ):
        with pytest.raises(VersionError, match=told):
            recorded_text(root, tag, folder, name)


@pytest.mark.dvc
def test_the_same_run_again_is_the_same_version(clones: Clones, recorded: Path) -> None:
    root, first = recorded, clones.version
    again = commit_run(_run(root), "demo", "Demo run, again")
    elsewhere = commit_run(_run(root, key="f" * 16), "demo", "Demo run, in another workspace")
    for version in (again, elsewhere):
        assert (version.tag, version.commit, version.created) == (first.tag, first.commit, False)
    assert [version.tag for version in list_versions(root)] == ["data/demo/v1"]


@pytest.mark.dvc
def test_dvc_is_not_asked_again_until_a_file_or_an_object_of_the_cache_was_touched(
    clones: Clones, ran: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, asked = _prepare(ran), list[Path]()

    def status(folder: Path) -> dict[str, object]:
        asked.append(folder)
        return dvc_status(folder)

    monkeypatch.setattr("infra.versions.record.dvc_status", status)
    first = commit_run(workspace, "demo", "Demo run")
    asked.clear()
    assert commit_run(workspace, "demo", "Again").commit == first.commit and not asked
    (workspace.path / "data" / "repeat" / "text").touch()
    assert commit_run(workspace, "demo", "Again").commit == first.commit and len(asked) == 1
    assert commit_run(workspace, "demo", "Again").commit == first.commit and len(asked) == 1
    (gone,) = [path for path in _cached(ran) if b"SOME TEXT\nSOME" in path.read_bytes()]
    gone.unlink()
    assert commit_run(workspace, "demo", "Again").commit == first.commit and len(asked) == 3
    assert gone.is_file(), "what was lost is recorded anew"


@pytest.mark.dvc
def test_changed_params_make_the_next_version_and_the_first_stays(clones: Clones, recorded: Path) -> None:
    root, first = recorded, clones.version
    changed = PARAMS.replace("times: 2", "times: 3")
    second = commit_run(_run(root, key="f" * 16, params=changed), "demo", "Three times")
    assert second.tag == "data/demo/v2"
    assert git(root, "rev-parse", first.tag) == first.commit
    assert git(root, "show", f"{second.tag}:params.yaml") + "\n" == changed
    # Back to the first params: that version exists already.
    assert commit_run(_run(root), "demo", "Twice again").tag == first.tag


@pytest.mark.dvc
def test_uncommitted_code_ends_in_a_dev_version_that_holds_it(root: Path) -> None:
    (root / "tasks" / "stage.py").write_text(CODE + "# edited\n")
    before = _user_state(root)
    version = commit_run(_run(root), "demo", "Tried something")
    assert version.tag == "data/demo/dev1"
    assert git(root, "show", f"{version.tag}:tasks/stage.py").endswith("# edited")
    assert _user_state(root) == before


@pytest.mark.dvc
def test_two_who_commit_the_same_run_at_once_make_one_version(ran: Path, project: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from infra.versions import *; root = Path(sys.argv[1]);"
        f"w = prepare_workspace(root, root / '.mixwright', name='demo', key='{KEY}');"
        "v = commit_run(w, 'demo', 'Demo run'); print(v.tag, v.created)"
    )
    command = [sys.executable, "-c", script, str(ran)]
    environment = os.environ | {"PYTHONPATH": str(project)}
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert sorted(process.communicate()[0] for process in both) == ["data/demo/v1 False\n", "data/demo/v1 True\n"]
    assert len(list_versions(ran)) == 1


@pytest.mark.dvc
def test_a_run_that_is_not_whole_makes_no_version(root: Path) -> None:
    workspace = _prepare(root)
    _work(workspace, stages=("upper",))
    with pytest.raises(VersionError, match=r"1 outputs are missing.*data/repeat"):
        commit_run(workspace, "demo", "Half a run")
    with pytest.raises(VersionError, match="no stage is called lower"):
        commit_stages(workspace, ["lower"])
    commit_stages(workspace, ["upper"])
    assert "data/upper" in dvc_hashes(workspace.path)
    assert list(dvc_status(workspace.path)) == ["repeat"]
    assert list_versions(root) == []


@pytest.mark.dvc
def test_code_changed_behind_the_run_is_refused(ran: Path) -> None:
    workspace = _prepare(ran)
    (workspace.path / "tasks" / "stage.py").write_text(CODE + "# changed in the workspace\n")
    with pytest.raises(VersionError, match=r"1 files here are not those.*tasks/stage\.py"):
        commit_run(workspace, "demo", "Demo run")
    assert list_versions(ran) == []


@pytest.mark.dvc
def test_what_changes_while_it_is_recorded_makes_no_version(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = _prepare(ran)

    def dvc_then_write(folder: Path, *args: str) -> str:
        printed = dvc(folder, *args)
        late = folder / "data" / "repeat" / "late"
        if args[0] == "commit":
            late.write_text("written by somebody else")
        return printed

    monkeypatch.setattr("infra.versions.record.dvc", dvc_then_write)
    with pytest.raises(VersionError, match=r"1 stages changed right after they were recorded: repeat"):
        commit_run(workspace, "demo", "Demo run")
    assert list_versions(ran) == []


@pytest.mark.dvc
def test_another_clone_gets_the_same_bytes_and_makes_them_itself(root: Path, tmp_path: Path) -> None:
    add_remote(root, "store", str(tmp_path / "store"), default=True)
    workspace = _run(root)
    version = commit_run(workspace, "demo", "Demo run")
    clone = _clone(root, tmp_path / "other", version.tag)
    add_remote(clone, "store", str(tmp_path / "store"), default=True)
    dvc(clone, "pull")
    for path in ("data/raw/text", "data/upper/text", "data/repeat/text"):
        assert (clone / path).read_bytes() == (workspace.path / path).read_bytes()
    assert "didn't change, skipping" in dvc(clone, "repro")
    dvc(clone, "repro", "--force")
    assert git(clone, "status", "--porcelain") == ""
    assert dvc_hashes(clone) == dvc_hashes(workspace.path)


@pytest.mark.dvc
def test_a_version_can_be_pushed_later_and_its_workspace_removed_before(
    clones: Clones, recorded: Path, tmp_path: Path
) -> None:
    root, version = recorded, clones.version
    workspace = _prepare(root)
    under_way = prepare_workspace(root, workspace.home, name="demo", key="f" * 64)
    assert prune_workspaces(root, workspace.home) == (workspace.path.name,)
    assert not workspace.path.exists() and under_way.path.exists()
    add_remote(root, "store", str(tmp_path / "store"))
    with pytest.raises(VersionError, match="no version data/demo/v9"):
        push(root, root / ".mixwright", "data/demo/v9", "store")
    torn = under_way.path / ".dvc" / "tmp" / "rwlock"
    torn.parent.mkdir(parents=True, exist_ok=True)
    torn.write_bytes(b"")
    with pytest.raises(VersionError, match=r"`dvc commit` failed: .*no-such-stage"):
        dvc(under_way.path, "commit", "no-such-stage")
    assert not torn.exists() or torn.read_bytes() != b""
    with pytest.raises(VersionError, match="this clone has no default remote"):
        push(root, root / ".mixwright", version.tag)
    push(root, root / ".mixwright", version.tag, "store")
    clone = _clone(root, tmp_path / "other", version.tag)
    add_remote(clone, "store", str(tmp_path / "store"))
    dvc(clone, "pull", "--remote", "store")
    assert (clone / "data" / "repeat" / "text").read_text() == "SOME TEXT\n" * 2
    assert git(root, "worktree", "list").count("\n") == 1


@pytest.mark.dvc
def test_a_damaged_object_of_the_remote_is_refused(clones: Clones, recorded: Path, tmp_path: Path) -> None:
    root, version = recorded, clones.version
    add_remote(root, "store", str(tmp_path / "store"))
    push(root, root / ".mixwright", version.tag, "store")
    (damaged,) = [
        path for path in (tmp_path / "store").rglob("*") if path.is_file() and b"SOME TEXT\nSOME" in path.read_bytes()
    ]
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes().replace(b"SOME", b"SAME"))
    clone = _clone(root, tmp_path / "other", version.tag)
    add_remote(clone, "store", str(tmp_path / "store"), default=True)
    with pytest.raises(VersionError, match="dvc pull"):
        dvc(clone, "pull")
    assert not (clone / "data" / "repeat" / "text").exists()


@pytest.mark.dvc
def test_a_damaged_object_of_the_cache_is_not_pushed_and_can_be_recorded_anew(
    clones: Clones, recorded: Path, tmp_path: Path
) -> None:
    root, version = recorded, clones.version
    workspace = _prepare(root)
    add_remote(root, "store", str(tmp_path / "store"))
    (damaged,) = [path for path in _cached(root) if b"SOME TEXT\nSOME" in path.read_bytes()]
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes().replace(b"SOME", b"SAME"))
    with pytest.raises(VersionError, match=rf"data/demo/v1: 1 of \d+ objects .*{damaged.name} \(data/repeat/text\)"):
        push(root, root / ".mixwright", version.tag, "store")
    assert not (tmp_path / "store").exists()
    # The remedy that the message names.
    damaged.unlink()
    dvc(workspace.path, "commit", "--force")
    push(root, root / ".mixwright", version.tag, "store")


@pytest.mark.dvc
def test_a_run_that_lost_its_lease_records_nothing(root: Path) -> None:
    home = root / ".mixwright"
    with open_workspace(root, home, name="demo", key=KEY) as workspace:
        _work(workspace)
        next((home / "leases").glob("demo-*.lock")).unlink()
        with (
            open_workspace(root, home, name="demo", key=KEY),
            pytest.raises(LeaseError, match="was removed or replaced"),
        ):
            commit_run(workspace, "demo", "Demo run")
    assert list_versions(root) == []


@pytest.mark.dvc
def test_no_tag_is_made_when_the_data_cannot_be_pushed_and_the_same_call_goes_on(root: Path, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where a folder should be")
    add_remote(root, "store", str(tmp_path / "store"), default=True)
    workspace = _run(root)
    with pytest.raises(VersionError, match="dvc push"):
        commit_run(workspace, "demo", "Demo run")
    assert list_versions(root) == []
    (tmp_path / "store").unlink()
    assert commit_run(workspace, "demo", "Demo run").tag == "data/demo/v1"


def _clone(root: Path, target: Path, tag: str) -> Path:
    git(root, "clone", "--quiet", str(root), str(target))
    git(target, "checkout", "--quiet", tag)
    return target


@pytest.mark.dvc
def test_what_is_known_of_a_remote_nobody_else_reads(root: Path, tmp_path: Path) -> None:
    local = root / ".dvc" / "config.local"
    local.write_text("")
    local.chmod(0o644)
    add_remote(root, "store", str(tmp_path / "store"))
    assert stat.S_IMODE(local.stat().st_mode) == 0o600
    dvc(root, "remote", "modify", "--local", "store", "verify", "true")
    assert stat.S_IMODE(local.stat().st_mode) == 0o600
    assert stat.S_IMODE((_prepare(root).path / ".dvc" / "config.local").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "address",
    [
        "https://me:s3cret@host/data",
        "ssh://me:s3cret@host/data",
        "https://:s3cret@host/d",
        "s3://b/p?X-Amz-Signature=s3cret",
    ],
)
def test_credentials_in_the_address_of_a_remote_are_refused_and_not_repeated(root: Path, address: str) -> None:
    for arguments in ({"url": address}, {"url": "s3://bucket/data", "endpoint_url": address}):
        with pytest.raises(
            VersionError, match=r"remote store: its (address|endpoint) holds .*AWS_ACCESS_KEY_ID"
        ) as caught:
            add_remote(root, "store", **arguments)
        assert "s3cret" not in str(caught.value)
    assert not (root / ".dvc" / "config.local").exists()


@pytest.mark.dvc
def test_an_address_without_a_password_is_no_credential_and_messages_of_dvc_show_none(root: Path) -> None:
    add_remote(root, "store", "ssh://me@host/data")
    with pytest.raises(VersionError, match=r"unrecognized arguments: https://\*\*\*@host/data"):
        dvc(root, "remote", "list", "https://me:s3cret@host/data")
