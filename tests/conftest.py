"""What all tests share: the fixtures of servers and storage, the folder of real data, what runs where and when."""

import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from threadpoolctl import threadpool_limits

from tests.forks import forked_workers

pytest_plugins = ["tests.fixtures_servers", "tests.fixtures_s3", "tests.fixtures_stores", "tests.fixtures_pipeline"]

PROJECT = Path(__file__).resolve().parents[1]
# A test that asks for one of these fixtures needs what stands behind it; what needs Ray or DVC otherwise says so itself.
NEEDS = {"live_servers": "server", "s3": "s3", "checkout": "dvc", "pipeline_run": "ray"}
# What takes long without servers, Ray, DVC or S3.
TRAINING_ROOMS = {"comparison", "evaluation", "mixture", "training"}

# A busy machine is not a counterexample.
hypothesis.settings.register_profile("the same examples", deadline=None, derandomize=True)
hypothesis.settings.register_profile("other examples", deadline=None)
hypothesis.settings.load_profile("the same examples")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what each test needs, leave slow ones out unless `-m` names them, keep together what shares a fixture.

    A file runs in one process, and so does all that uses the servers, and all that uses S3. What takes longest comes first:
    the servers' tests, beginning with the one that waits for the clock, then S3's, then the files that use Ray or DVC and
    those about the whole repository, then the rooms that train: all processes end with short files, at the same time.
    """
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        for need in {NEEDS[name] for name in fixtures if name in NEEDS}:
            item.add_marker(need)
    if "slow" not in str(config.option.markexpr):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("slow")])
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
    long = {item.path for item in items if any(item.get_closest_marker(need) for need in ("ray", "dvc"))}
    long |= {item.path for item in items if item.path.parent == PROJECT / "tests"}
    for item in items:
        together = next((need for need in ("server", "s3") if item.get_closest_marker(need)), None)
        item.add_marker(pytest.mark.xdist_group(together or item.path.relative_to(PROJECT).as_posix()))

    def place(item: pytest.Item) -> tuple[bool, ...]:
        waits = "every_minute" in getattr(item, "fixturenames", ())
        trains = item.path.relative_to(PROJECT).parts[1] in TRAINING_ROOMS
        return (
            item.get_closest_marker("server") is None,
            not waits,
            item.get_closest_marker("s3") is None,
            item.path not in long,
            not trains,
        )

    items.sort(key=place)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a long value by its beginning: else whole pages and megabytes would stand in every report."""
    if isinstance(val, str | bytes) and len(val) > 60:
        return f"{val[:40] if isinstance(val, str) else repr(val[:40])}..."
    return None


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Float work runs on one thread, as in the workers: results do not depend on cores, nor do tests wait for each other."""
    # Only what is loaded can be limited, and SciPy brings a BLAS of its own.
    import scipy.linalg  # noqa: F401

    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True, scope="module")
def forks_for_workers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Workers of local executors import nothing anew; those of tests/infra/test_executors.py are started as users' are."""
    if request.path.name == "test_executors.py":
        yield
    else:
        with forked_workers():
            yield


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
