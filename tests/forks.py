"""Processes that are forked from one that has imported what they need, instead of importing it each for itself.

As apart as processes of their own: each is forked from a process that has imported and computed nothing, and has its own
environment, folder and memory. Only the start is another. That workers start from nothing (spawn) is what
tests/infra/test_executors.py shows, and every test that runs a program.
"""

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import BaseContext, ForkServerContext, ForkServerProcess
from typing import Any
from unittest.mock import patch

from infra.executors import pinned_environment

PRELOADED = ["torch", "torch.distributed", "scipy.stats", "pytest", "tasks.curate.stage", "tasks.training.stage"]
PRELOADED += [
    "dvc.cli.parser",
    "dvc.daemon",
    "dvc.data_cloud",
    "dvc.dirs",
    "dvc.repo.index",
    "dvc.repo.plots",
    "dvc.scm",
]
PRELOADED += ["dulwich.ignore", "dvc_data.hashfile.db.local", "dvc_data.index", "scmrepo.git"]


class ForkedProcess(ForkServerProcess):
    """A fork with the environment of the moment it was asked for, as a process of its own would have it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._environment = dict(os.environ)

    def run(self) -> None:
        os.environ.clear()
        os.environ.update(self._environment)
        super().run()


class ForkedContext(ForkServerContext):
    """Where `ProcessPoolExecutor` takes its processes from."""

    Process = ForkedProcess


def context() -> BaseContext:
    """Return a context whose processes are forks; what they are forked from is started once, pinned as workers are."""
    forkserver.set_forkserver_preload(PRELOADED)
    with pinned_environment():
        forkserver.ensure_running()
    return ForkedContext()


class _Forks:
    """Stands in for the module `multiprocessing` of an executor."""

    parent_process = staticmethod(multiprocessing.parent_process)

    @staticmethod
    def get_context(method: str) -> BaseContext:
        assert method == "spawn"
        return context()


@contextmanager
def forked_workers() -> Iterator[None]:
    """Let the processes of local executors be forks while the block runs."""
    with patch("infra.local_executor.multiprocessing", _Forks), patch("infra.distributed.multiprocessing", _Forks):
        yield
