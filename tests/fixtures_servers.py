"""Real Prefect and MLflow servers for the tests: started once per session, on free ports, in a folder of their own."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from infra import servers
from infra.servers import bootstrap
from infra.settings import Settings, load_settings, project_root


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def local_settings(home: Path) -> Settings:
    """Return settings for servers of a test: free ports, a home of their own, no address from the environment."""
    return load_settings(
        home=home,
        executor="local",
        workers=2,
        prefect={"port": free_port(), "url": None},
        mlflow={"port": free_port(), "url": None},
        timeouts={"start_s": 180.0, "stop_s": 15.0, "request_s": 10.0},
    )


# What ends the servers; behind the last test that uses them that is done.
SERVERS = pytest.StashKey[ExitStack]()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the servers behind the last test that uses them: idle ones take a tenth of a core to the end of the session."""
    last = nextitem is not None and nextitem.get_closest_marker("server") is None
    if last and item.get_closest_marker("server") is not None and SERVERS in item.config.stash:
        item.config.stash[SERVERS].close()


@pytest.fixture(scope="session")
def live_servers(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Settings]:
    """Settings of a Prefect and an MLflow server that answer; they end with the tests that use them."""
    settings = local_settings(tmp_path_factory.mktemp("servers"))
    with ExitStack() as stack:
        stack.callback(servers.down, settings)
        servers.up(settings, with_worker=False)
        pytestconfig.stash[SERVERS] = stack
        yield settings


@pytest.fixture(scope="session")
def pooled(live_servers: Settings) -> Settings:
    """The live servers with the work pool and the automation that ends zombies."""
    bootstrap.create_pool_and_automation(live_servers, lambda _: None)
    return live_servers


def deployments_of(folder: Path, *entrypoints: str) -> Path:
    """Write a `prefect.yaml` with these deployments of ours only; the flows lie beside it as in a checkout."""
    value = yaml.safe_load((project_root() / "prefect.yaml").read_text(encoding="utf-8"))
    value["deployments"] = [each for each in value["deployments"] if each["entrypoint"] in entrypoints]
    assert len(value["deployments"]) == len(entrypoints)
    (folder / "flows").symlink_to(project_root() / "flows")
    (folder / "prefect.yaml").write_text(yaml.safe_dump(value), encoding="utf-8")
    return folder / "prefect.yaml"


@pytest.fixture(scope="session")
def some_deployments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `prefect.yaml` with the pipeline and a stage; tests/test_stages.py shows that other stages differ by name only."""
    folder = tmp_path_factory.mktemp("deployments")
    return deployments_of(folder, "flows/pipeline.py:pipeline", "flows/stages.py:report")


@pytest.fixture(scope="session")
def deployed(pooled: Settings, some_deployments: Path) -> Settings:
    """The live servers with the work pool and some deployments."""
    assert bootstrap.deploy(pooled, lambda _: None, some_deployments)
    return pooled


@pytest.fixture
def connected(live_servers: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings of the live servers, with this process talking to them: its environment and Prefect's settings."""
    for name, value in servers.client_environment(live_servers).items():
        monkeypatch.setenv(name, value)
    from prefect.context import use_profile
    from prefect.settings import Profile

    # Prefect reads the environment when it is imported; this makes it read it again.
    with use_profile(Profile(name="tests", settings={}), include_current_context=False):
        assert os.environ["PREFECT_API_URL"] == live_servers.prefect.api_url
        yield live_servers
