"""What tasks and flows say to Prefect: progress, tables, links, and who died.

Artifacts are for the eye: a server that does not take one costs nobody a run. The state of runs is not: `reap` raises.
"""

import base64
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from infra.errors import ServiceError
from infra.progress import LiveReport, UnitReport

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, State

_EVERY_S = 5.0
_OPEN = ("PENDING", "RUNNING", "CANCELLING", "PAUSED")


def lineage_tag(lineage_key: str) -> str:
    """Return the tag by which the flow runs of a lineage are found."""
    return f"lineage:{lineage_key}"


def tag_flow_run(lineage_key: str) -> UUID | None:
    """Give the flow run this is called in the tag of its lineage; return the flow run's id, None outside of one."""
    from prefect.client.orchestration import get_client
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return None
    tags = sorted({*context.flow_run.tags, lineage_tag(lineage_key)})
    with get_client(sync_client=True) as client:
        client.update_flow_run(context.flow_run.id, tags=tags)
    return context.flow_run.id


def reap(lineage_key: str, keep: UUID | None = None) -> tuple[UUID, ...]:
    """Set CRASHED what a killed process left open: flow runs of this lineage other than `keep`, and their task runs.

    Call it only while holding whatever makes sure that this lineage has one live run (its workspace's lease): a run
    that is alive cannot be told from a dead one by its state. Returns the ids of the flow runs that were closed.

    Raises:
        ServiceError: the server did not answer or did not accept the state.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectException
    from prefect.states import Crashed

    message = "The process of this run was killed; a later run of the same lineage found it open and closed it."
    try:
        with get_client(sync_client=True) as client:
            dead = [run for run in _open_flow_runs(client, lineage_key) if run.id != keep]
            for run in dead:
                client.set_flow_run_state(run.id, Crashed(message=message), force=True)
            _close_task_runs(client, lineage_key, keep, Crashed(message=message))
    except (httpx.HTTPError, PrefectException) as error:
        raise ServiceError(f"Prefect did not close the dead runs of lineage {lineage_key}: {error}") from error
    return tuple(run.id for run in dead)


class PrefectProgress:
    """Shows a stage's progress as one artifact: the share of what went on last, and a line for each label.

    It is written at most every few seconds for each label.
    """

    def __init__(self, stage: str, every_s: float = _EVERY_S) -> None:
        self._stage, self._every_s = stage, every_s
        self._artifact: UUID | None = None
        self._written: dict[str, float] = {}
        self._lines: dict[str, str] = {}

    def say(self, message: str) -> None:
        """Ignore the sentence."""

    def unit(self, report: UnitReport) -> None:
        """Ignore the report."""

    def live(self, report: LiveReport) -> None:
        """Ignore the report."""

    def progress(self, label: str, done: int, total: int) -> None:
        """Write the share that is done, unless the last word on this label was written a moment ago."""
        now = time.monotonic()
        recent = now - self._written.get(label, -self._every_s) < self._every_s
        if total <= 0 or (recent and done < total):
            return
        self._written[label] = now
        self._lines[label] = f"{label}: {done:,} of {total:,}"
        with _for_the_eye():
            self._write(100.0 * done / total, "\n\n".join(self._lines.values()))

    def _write(self, percent: float, description: str) -> None:
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        if self._artifact is not None:
            update_progress_artifact(self._artifact, percent, description=description)
        else:
            key = artifact_key(f"{self._stage}-progress")
            made = create_progress_artifact(percent, key=key, description=description)
            self._artifact = cast(UUID, made)


def publish_table(key: str, rows: Sequence[Mapping[str, Any]], description: str = "") -> None:
    """Publish a table artifact: one mapping per row."""
    from prefect.artifacts import create_table_artifact

    with _for_the_eye():
        create_table_artifact([dict(row) for row in rows], key=artifact_key(key), description=description)


def publish_link(key: str, url: str, text: str, description: str = "") -> None:
    """Publish a link artifact."""
    from prefect.artifacts import create_link_artifact

    with _for_the_eye():
        create_link_artifact(url, link_text=text, key=artifact_key(key), description=description)


def publish_markdown(key: str, markdown: str, description: str = "") -> None:
    """Publish a markdown artifact."""
    from prefect.artifacts import create_markdown_artifact

    with _for_the_eye():
        create_markdown_artifact(markdown, key=artifact_key(key), description=description)


def publish_pictures(key: str, pictures: Mapping[str, str], description: str = "") -> None:
    """Publish SVG files by name as one markdown artifact that holds them: it needs no other server to be seen."""
    inlined = {name: base64.b64encode(svg.encode()).decode() for name, svg in pictures.items()}
    shown = [f"## {name}\n\n![{name}](data:image/svg+xml;base64,{data})" for name, data in inlined.items()]
    publish_markdown(key, "\n\n".join(shown), description)


def artifact_key(text: str) -> str:
    """Return a key Prefect accepts: lower-case letters, digits and single dashes.

    >>> artifact_key("search: proxies, round 1")
    'search-proxies-round-1'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


@contextmanager
def _for_the_eye() -> Iterator[None]:
    import httpx
    from prefect.exceptions import PrefectException

    with suppress(httpx.HTTPError, PrefectException):
        yield


def _open_flow_runs(client: "SyncPrefectClient", lineage_key: str) -> list["FlowRun"]:
    from prefect.client.schemas.filters import FlowRunFilter

    filters = FlowRunFilter.model_validate(
        {"tags": {"all_": [lineage_tag(lineage_key)]}, "state": {"type": {"any_": _OPEN}}}
    )
    return client.read_flow_runs(flow_run_filter=filters)


def _close_task_runs(client: "SyncPrefectClient", lineage_key: str, keep: UUID | None, state: "State[Any]") -> None:
    """Close what is open under any run but `keep`: a run that is CRASHED already may have left task runs RUNNING."""
    from prefect.client.schemas.filters import FlowRunFilter, TaskRunFilter

    of_lineage = FlowRunFilter.model_validate({"tags": {"all_": [lineage_tag(lineage_key)]}})
    still_open = TaskRunFilter.model_validate({"state": {"type": {"any_": _OPEN}}})
    for task_run in client.read_task_runs(flow_run_filter=of_lineage, task_run_filter=still_open):
        if task_run.flow_run_id != keep:
            client.set_task_run_state(task_run.id, state, force=True)
