"""The Prefect task of a stage, against real servers: what it shows of its output can be seen in both."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.settings import Settings
from tasks.core.digest import digest_file
from tasks.core.manifest import FileRecord, Manifest
from tasks.core.params import Params
from tasks.runtime.task import RunPlace, Shown, stage_task


class _NoParams(Params):
    """Nothing to set."""


def _run(params: Params, *, inputs: Mapping[str, Path], output: Path, **_: Any) -> Manifest:
    output.mkdir(parents=True, exist_ok=True)
    table = output / "table.csv"
    table.write_text("a,b\n1,2\n")
    record = FileRecord("table.csv", digest_file(table), table.stat().st_size)
    manifest = Manifest("toy", {"raw": "0" * 64}, params.model_dump(), "c" * 64, (record,), summary={"rows": 1})
    manifest.write(output)
    return manifest


DRAWN: list[Path] = []


def _show(folder: Path) -> Shown:
    DRAWN.append(folder)
    text = (folder / "table.csv").read_text()
    return Shown({"picture": "<svg/>"}, ("table.csv",), {"rows": [{"text": text}]})


def test_what_a_stage_shows_of_its_output_is_in_mlflow_and_in_prefect(connected: Settings, tmp_path: Path) -> None:
    from mlflow import MlflowClient
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    uri, key = connected.mlflow.tracking_uri, uuid.uuid4().hex
    place = RunPlace(tmp_path, key, "toy", uri)
    place.tracker().start(key, "toy")
    step = stage_task("toy", _run, _show)

    @flow(name="toy")
    def toy() -> str:
        """Run the one stage."""
        return step(_NoParams(), place, {}).stage

    client, stage = MlflowClient(uri), toy()
    tracked = place.tracker().run_url(place.stage_key(stage)).rpartition("/")[2]
    kept = [found.path for found in client.list_artifacts(tracked)]
    assert kept == ["manifest.json", "pictures", "table.csv", "tables"]
    assert client.load_table(client.get_run(tracked).info.experiment_id, "tables/rows.json", [tracked]).to_dict() == {
        "text": {0: "a,b\n1,2\n"}
    }
    assert [found.path for found in client.list_artifacts(tracked, "pictures")] == ["pictures/picture.svg"]
    with get_client(sync_client=True) as api:
        named = ArtifactFilter(key=ArtifactFilterKey(like_="toy-%"))
        artifacts = {artifact.key: artifact for artifact in api.read_artifacts(artifact_filter=named)}
    assert "a,b" in str(artifacts["toy-rows"].data)
    assert "data:image/svg+xml;base64" in str(artifacts["toy-pictures"].data)
    assert artifacts["toy-pictures"].task_run_id is not None
    # The same again: what was drawn of the same output is shown again, unless it is damaged.
    drawing = place.drawings / "toy.json"
    for times, edit in ((1, None), (2, ("<svg/>", "<svg>"))):
        if edit is not None:
            drawing.write_text(drawing.read_text().replace(*edit))
        toy()
        with get_client(sync_client=True) as api:
            (newest,) = api.read_artifacts(
                artifact_filter=ArtifactFilter(key=ArtifactFilterKey(like_="toy-pictures")), limit=1
            )
        assert str(newest.data) == str(artifacts["toy-pictures"].data)
        assert len(DRAWN) == times
