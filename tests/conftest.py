"""What all tests share: the fixtures of servers and storage, and the folder of real data where it is present."""

from pathlib import Path

import pytest

pytest_plugins = ["tests.fixtures_servers", "tests.fixtures_s3", "tests.fixtures_pipeline"]

PROJECT = Path(__file__).resolve().parents[1]


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
