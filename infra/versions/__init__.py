"""Versions of data: a git worktree for every run, DVC for the bytes, an immutable git tag for what was made."""

from infra.versions.dvc import add_remote, dvc_hashes, dvc_status
from infra.versions.git import Version, list_versions
from infra.versions.record import add_raw, commit_raw, commit_run, commit_stages, push, recorded_text
from infra.versions.workspaces import (
    Workspace,
    open_workspace,
    prepare_workspace,
    prune_workspaces,
    remove_workspace,
    write_params,
)

__all__ = [
    "Version",
    "Workspace",
    "add_raw",
    "add_remote",
    "commit_raw",
    "commit_run",
    "commit_stages",
    "dvc_hashes",
    "dvc_status",
    "list_versions",
    "open_workspace",
    "prepare_workspace",
    "prune_workspaces",
    "push",
    "recorded_text",
    "remove_workspace",
    "write_params",
]
