"""What all tests share: the fixtures of servers and storage, the folder of real data, and the order."""

from pathlib import Path

import pytest

pytest_plugins = ["tests.fixtures_servers", "tests.fixtures_s3", "tests.fixtures_pipeline"]

PROJECT = Path(__file__).resolve().parents[1]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest: tests with servers, then files with tests of seconds, then the pure ones."""
    slow = {item.path for item in items if item.get_closest_marker("integration")}
    items.sort(key=lambda item: ("live_servers" not in getattr(item, "fixturenames", ()), item.path not in slow))


@pytest.fixture(scope="session")
def project() -> Path:
    """The root of this repository."""
    return PROJECT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real text and published tables, beside the repository; a user's clone does not have them."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside the repository: the real corpus and published tables are absent")
    return folder
