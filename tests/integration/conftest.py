"""Commands in this process: what they print and how they end is the same, without seconds of imports for each."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from tests.fixtures_pipeline import OTHERS


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home of its own in the environment, which names no server; what a command changes there ends with the test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
    with patch.dict(os.environ, kept | {"MIXWRIGHT_HOME": str(tmp_path / "home")}, clear=True):
        yield tmp_path / "home"


@pytest.fixture
def mixwright(home: Path) -> Callable[..., Result]:
    """Runs `mixwright ARGS` in this process."""
    return lambda *args: CliRunner().invoke(main, args)
