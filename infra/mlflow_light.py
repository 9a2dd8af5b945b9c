"""MLflow's client for this home's own server, without importing MLflow for what every run asks.

A run with nothing new looks up its experiment and its runs and sets a status; MLflow's package takes longer to import than
all of these calls take. Any answer but a plain one, and every other call, is MLflow's own client's. So is a team's server,
to which there are many ways to log in.
"""

import json
import os
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from infra.secret import mlflow_auth
from infra.servers.process import authorization
from infra.settings import load_settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

_API = "/api/2.0/mlflow"
# A server that takes longer is asked again by MLflow's client, which waits and retries as the settings say.
_PATIENCE_S = 5.0


def client_of(uri: str) -> "MlflowClient":
    """Return a client of the MLflow server at an address: the light one where it is the server of this home."""
    settings = load_settings()
    own = settings.mlflow.url is None and settings.mlflow.tracking_uri == uri
    if own and "MLFLOW_WORKSPACE" not in os.environ:
        return cast("MlflowClient", LightClient(uri, mlflow_auth(settings)))
    return _whole_client(uri)


@dataclass(frozen=True)
class _Experiment:
    experiment_id: str
    lifecycle_stage: str


@dataclass(frozen=True)
class _Info:
    run_id: str
    experiment_id: str
    start_time: int
    status: str


@dataclass(frozen=True)
class _Data:
    tags: Mapping[str, str]


@dataclass(frozen=True)
class _Run:
    info: _Info
    data: _Data


class _Page(list[_Run]):
    token: str | None = None


class LightClient:
    """Four calls of `MlflowClient` by themselves, named and answered like its own; every other one is handed on to it."""

    def __init__(self, uri: str, auth: str | None) -> None:
        self._uri, self._auth = uri, auth

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    def get_experiment_by_name(self, name: str) -> Any:
        """Return an experiment, None where there is none."""
        found = self._ask(f"/experiments/get-by-name?{urlencode({'experiment_name': name})}")
        if found is None:
            return self._whole.get_experiment_by_name(name)
        return _Experiment(found["experiment"]["experiment_id"], found["experiment"]["lifecycle_stage"])

    def search_runs(
        self,
        experiment_ids: list[str],
        filter_string: str = "",
        *,
        max_results: int = 1000,
        order_by: Sequence[str] = (),
        page_token: str | None = None,
    ) -> Any:
        """Return a page of the runs that pass a filter."""
        query = {"filter": filter_string, "max_results": max_results, "order_by": [*order_by]}
        token = {"page_token": page_token} if page_token else {}
        found = self._ask("/runs/search", {"experiment_ids": experiment_ids, **query, **token})
        if found is None:
            return self._whole.search_runs(
                experiment_ids, filter_string, max_results=max_results, order_by=[*order_by], page_token=page_token
            )
        page = _Page(map(_run, found.get("runs", ())))
        page.token = found.get("next_page_token") or None
        return page

    def update_run(self, run_id: str, status: str) -> None:
        """Set the status of a run."""
        if self._ask("/runs/update", {"run_id": run_id, "status": status}) is None:
            self._whole.update_run(run_id, status=status)

    def set_terminated(self, run_id: str, status: str) -> None:
        """End a run, now."""
        ended = {"run_id": run_id, "status": status, "end_time": time.time_ns() // 1_000_000}
        if self._ask("/runs/update", ended) is None:
            self._whole.set_terminated(run_id, status)

    @cached_property
    def _whole(self) -> "MlflowClient":
        return _whole_client(self._uri)

    def _ask(self, call: str, given: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Return the answer to a call, None where it is not a plain one."""
        request = urllib.request.Request(f"{self._uri}{_API}{call}")  # noqa: S310 (a server that was started here)
        if self._auth is not None:
            request.add_header("Authorization", authorization(self._auth))
        if given is not None:
            request.data = json.dumps(given).encode()
            request.add_header("Content-Type", "application/json")
        try:
            # Straight to the address: a proxy of the environment knows nothing of this machine's loopback.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=_PATIENCE_S) as response:
                answer = json.load(response)
                return answer if response.status == 200 and isinstance(answer, dict) else None
        except (OSError, ValueError, HTTPException):
            return None


def _whole_client(uri: str) -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient(uri, registry_uri=uri)


def _run(found: Mapping[str, Any]) -> _Run:
    info, tags = found["info"], found.get("data", {}).get("tags", ())
    return _Run(
        _Info(info["run_id"], info["experiment_id"], int(info["start_time"]), info["status"]),
        _Data({tag["key"]: tag["value"] for tag in tags}),
    )
