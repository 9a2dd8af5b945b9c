"""What Ray dies of, in words. A Ray that this process started is looked at while it works; one elsewhere says it itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from infra.errors import InfraError, ServiceError
from infra.ray_local import sessions_folder

# How long a question to Ray may take before its processes are looked at.
LOOK_S = 5.0
_NEEDED = {"raylet", "gcs_server"}
_REMEDY = "Finished items are kept, unfinished ones go on from their checkpoints: start the same command again"


@contextmanager
def started() -> Iterator[None]:
    """Name what keeps Ray from starting.

    Raises:
        ServiceError: it does not start, or the cluster is not there.
    """
    try:
        yield
    except InfraError:
        raise
    except Exception as error:
        # Ray raises bare `Exception`s here, and `ConnectionError`, `ValueError` and others.
        raise ServiceError(
            f"Ray did not start: {_first_line(error)} Its logs: {sessions_folder()}/session_latest/logs. Start the same "
            "command again when the machine is less busy, name the cluster's address, or do "
            "without Ray (MIXWRIGHT_EXECUTOR=local)."
        ) from error


@contextmanager
def named(done: str) -> Iterator[None]:
    """Name what Ray itself fails of while the block asks it something; errors of the work pass as they are.

    Raises:
        ServiceError: a process of Ray, or a whole node, is gone; says which, where the logs are and that work is kept.
    """
    import ray

    try:
        yield
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.WorkerCrashedError as error:
        raise ServiceError(
            f"{done}: a Ray worker died four times (often: memory; logs: {_logs()}). {_REMEDY}, with fewer workers."
        ) from error
    except (ray.exceptions.RayError, ConnectionError) as error:
        require_alive(done)
        raise ServiceError(
            f"{done}: Ray failed: {type(error).__name__}: {_first_line(error)} Logs: {_logs()}. {_REMEDY}."
        ) from error


def require_alive(done: str) -> None:
    """Look whether the processes of the Ray that this process started are alive.

    Raises:
        ServiceError: one is not; names it.
    """
    if dead := dead_processes():
        raise ServiceError(
            f"{done}: Ray's {' and '.join(dead)} died (often: memory; or somebody stopped it). Logs: {_logs()}. {_REMEDY}."
        )


def dead_processes() -> list[str]:
    """Return which of the processes that Ray cannot work without were started here and are dead.

    The agent's death ends the raylet; dashboard and monitors are no loss.
    """
    node = _node()
    return [] if node is None else sorted({str(kind) for kind, _ in node.dead_processes()} & _NEEDED)


def _logs() -> str:
    node = _node()
    return "on the cluster's nodes" if node is None else str(node.get_logs_dir_path())


def _node() -> Any:
    import ray

    return ray._private.worker._global_node


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = lines[0] if lines else type(error).__name__
    return line if line.endswith(".") else f"{line}."
