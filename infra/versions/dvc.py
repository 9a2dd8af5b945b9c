"""DVC, through its command line: one small adapter, so that nothing else knows how it is called.

Callers hold the DVC lease for whatever writes (`infra.versions.workspaces.dvc_lease`): DVC's own lock gives up after
three seconds.
"""

import configparser
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from infra.errors import VersionError
from infra.versions.git import clean_environment, last_lines
from infra.versions.objects import require_intact

# The safe loader; where PyYAML was compiled with libyaml its parser is, which reads a lock six times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Options of a remote that are paths; DVC reads relative ones from the folder of the config file they stand in.
_PATHS = {"url", "dir", "credentialpath", "configpath", "keyfile", "cert_path", "key_path", "ssl_verify"}
_SCHEME = re.compile(r"[a-z0-9+.-]+://", re.IGNORECASE)
# `user:password@`, and `user@` without a password, before a host.
_PASSWORD = re.compile(r"(?<=://)[^/?#]*:[^/?#]*@")


def dvc(folder: Path, *args: str) -> str:
    """Run DVC in a folder and return what it prints.

    Raises:
        VersionError: DVC failed; holds its last lines.

    """
    if args[0] in {"add", "commit", "push"}:
        _forget_torn_lock(folder / ".dvc" / "tmp" / "rwlock")
    done = _run(folder, args)
    if done.returncode != 0:
        message = _PASSWORD.sub("***@", last_lines(done.stderr or done.stdout))
        raise VersionError(f"{folder}: `dvc {args[0]}` failed: {message}")
    return done.stdout


def _forget_torn_lock(path: Path) -> None:
    """Remove DVC's list of locks where a kill left it half written: no later DVC could read it.

    The lease of the caller proves that its writer is dead.
    """
    try:
        json.loads(path.read_bytes())
    except FileNotFoundError:
        return
    except ValueError:
        path.unlink(missing_ok=True)


def dvc_status(folder: Path) -> dict[str, Any]:
    """Return what DVC finds changed in a workspace, by stage; empty when its lock names exactly what is there."""
    status: dict[str, Any] = json.loads(dvc(folder, "status", "--json"))
    return status


def dvc_hashes(folder: Path) -> dict[str, str]:
    """Return DVC's hash (32 hexadecimal digits, `.dir` for a folder) of everything recorded in a workspace, by path."""
    hashes = hashes_of_lock(_yaml(folder / "dvc.lock"))
    for path in sorted(folder.glob("data/*.dvc")):
        hashes |= {f"data/{out['path']}": out["md5"] for out in _yaml(path)["outs"]}
    return dict(sorted(hashes.items()))


def hashes_of_lock(lock: Mapping[str, Any]) -> dict[str, str]:
    """Return DVC's hash of every output of a `dvc.lock`, by path."""
    outs = (out for stage in lock.get("stages", {}).values() for out in stage.get("outs", []))
    return {out["path"]: out["md5"] for out in outs}


def stage_outputs(folder: Path) -> dict[str, list[str]]:
    """Return the output paths of every stage of `dvc.yaml`, in its order."""
    stages: Mapping[str, Any] = _yaml(folder / "dvc.yaml").get("stages", {})
    return {name: [_path(out) for out in stage.get("outs", [])] for name, stage in stages.items()}


def require_outputs(folder: Path, stages: Sequence[str]) -> None:
    """Refuse to record stages that have not finished.

    Raises:
        VersionError: a stage is unknown, or an output is missing; names them.

    """
    outputs = stage_outputs(folder)
    if unknown := [stage for stage in stages if stage not in outputs]:
        raise VersionError(
            f"{folder}/dvc.yaml: no stage is called {', '.join(unknown)}; there are {', '.join(outputs)}."
        )
    missing = [path for stage in stages for path in outputs[stage] if not (folder / path).exists()]
    if missing:
        raise VersionError(
            f"{folder}: {len(missing)} outputs are missing, so there is nothing to record; first: {missing[0]}. Run "
            "the stages that make them, then start the same command again."
        )


def push_verified(folder: Path, what: str, remote: str | None = None) -> None:
    """Push all that is recorded in a folder to a remote, or to the default one, if the cache holds it undamaged.

    Raises:
        VersionError: an object is damaged (nothing is pushed), or DVC failed.

    """
    require_intact(Path(dvc(folder, "cache", "dir").strip()), dvc_hashes(folder), what)
    dvc(folder, "push", *(["--remote", remote] if remote else []))


def default_remote(folder: Path) -> str | None:
    """Return the name of the remote that `dvc push` takes by itself, or None."""
    done = _run(folder, ("config", "core.remote"))
    return done.stdout.strip() or None if done.returncode == 0 else None


def add_remote(root: Path, name: str, url: str, *, default: bool = False, endpoint_url: str | None = None) -> None:
    """Make a folder or URL a place to push versions to and pull them from, for this clone only.

    It is written to `.dvc/config.local`, which git ignores: another clone adds its own. What is pulled is verified:
    DVC by itself takes damaged objects as they are. `endpoint_url` is for S3 servers other than Amazon's; credentials
    come from the environment, as for every S3 client. Nobody else reads the file.

    Raises:
        VersionError: DVC refuses, for instance because a remote of this name exists; or an address holds credentials.

    """
    for what, address in (("address", url), ("endpoint", endpoint_url or "")):
        _require_no_credentials(name, what, address)
    local = root / ".dvc" / "config.local"
    local.touch(mode=0o600)
    local.chmod(0o600)
    where = url if _SCHEME.match(url) else str(Path(url).expanduser().absolute())
    dvc(root, "remote", "add", "--local", *(["--default"] if default else []), name, where)
    dvc(root, "remote", "modify", "--local", name, "verify", "true")
    if endpoint_url is not None:
        dvc(root, "remote", "modify", "--local", name, "endpointurl", endpoint_url)


def _require_no_credentials(name: str, what: str, address: str) -> None:
    """Refuse an address with a password or a query (no remote reads one, and signatures stand there); never show it."""
    if not _SCHEME.match(address):
        return
    found = "a password" if _PASSWORD.search(address) else "a query, as signed addresses do" if "?" in address else None
    if found is not None:
        raise VersionError(
            f"remote {name}: its {what} holds {found}. It would stand in a file and in DVC's messages. Give the {what} "
            "without it, and the credentials where the service looks for them: AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY or a profile of ~/.aws for S3, keys for SSH, or, for this clone alone, "
            f"`dvc remote modify --local {name} password ...`."
        )


def config_for_workspace(root: Path) -> str:
    """Return the `config.local` of a worktree of `root`: the same cache and remotes, with absolute paths."""
    config = _parser()
    for name in ("config", "config.local"):
        layer = _parser()
        layer.read(root / ".dvc" / name, encoding="utf-8")
        for section in layer.sections():
            values = {key: _absolute(root / ".dvc", key, value) for key, value in layer.items(section)}
            config.read_dict({section: values})
    if not config.has_option("cache", "dir"):
        config.read_dict({"cache": {"dir": str((root / ".dvc" / "cache").absolute())}})
    text = io.StringIO()
    config.write(text)
    return text.getvalue()


def cache_folder(folder: Path) -> Path:
    """Return the DVC cache of a workspace, as its `config.local` names it (`config_for_workspace`)."""
    config = _parser()
    config.read(folder / ".dvc" / "config.local", encoding="utf-8")
    return Path(config["cache"]["dir"])


def _run(folder: Path, args: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    # DVC's stages call `python`: this interpreter comes first on the path, so that it is the environment we run in.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = clean_environment() | {"DVC_NO_ANALYTICS": "1", "PATH": path}
    command = [sys.executable, "-m", "dvc", *args]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _parser() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    return parser


def _absolute(folder: Path, key: str, value: str) -> str:
    bare = value.strip("\"'")
    if key not in _PATHS or _SCHEME.match(bare) or bare.lower() in {"true", "false"}:
        return value
    return str(Path(os.path.normpath((folder / Path(bare).expanduser()).absolute())))


def _yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    value = yaml.load(path.read_text(encoding="utf-8"), _LOADER)  # noqa: S506 (a safe loader)
    return value if isinstance(value, dict) else {}


def _path(out: str | Mapping[str, Any]) -> str:
    return out if isinstance(out, str) else str(next(iter(out)))
