"""Local processes and Ray tasks: the same results, errors and pinned environment; and whose code they run."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.executors import PINNED_ENVIRONMENT, Executor, executor_of, ray_closed_after


def double(number: int) -> int:
    return 2 * number


def stumble(number: int) -> int:
    if number == 3:
        raise ValueError("item 3 is bad")
    return number


def environment(_: int) -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in PINNED_ENVIRONMENT}


def packages(_: int) -> list[str]:
    import flows
    import infra
    import tasks

    return [str(Path(str(package.__file__)).resolve()) for package in (flows, infra, tasks)]


@pytest.fixture(scope="module", params=[pytest.param("local"), pytest.param("ray", marks=pytest.mark.integration)])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with ray_closed_after():
        made = executor_of(request.param, 2)
        yield made
        made.close()


def _all(executor: Executor, function: Any, count: int) -> list[Any]:
    return [result for _, result in sorted(executor.map(function, list(range(count))))]


def test_every_item_has_its_result(executor: Executor) -> None:
    assert _all(executor, double, 9) == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert _all(executor, double, 0) == []


def test_the_error_of_an_item_is_raised_as_it_was(executor: Executor) -> None:
    with pytest.raises(ValueError, match="item 3 is bad"):
        _all(executor, stumble, 6)
    assert _all(executor, double, 2) == [0, 2]


def test_workers_are_pinned_and_this_process_is_not(executor: Executor) -> None:
    before = dict(os.environ)
    assert _all(executor, environment, 1) == [dict(PINNED_ENVIRONMENT)]
    assert dict(os.environ) == before


def test_workers_import_this_repositorys_packages(executor: Executor, project: Path) -> None:
    expected = [str(project / name / "__init__.py") for name in ("flows", "infra", "tasks")]
    assert _all(executor, packages, 2) == [expected, expected]
