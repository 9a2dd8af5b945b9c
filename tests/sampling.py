"""Tests over much data: `make test` takes every n-th row, `make test-slow` what the test is really about."""

import pytest


def every(sample: int, whole: int = 1) -> pytest.MarkDecorator:
    """Run a test with `every` set to `sample`; and to `whole`, which is marked slow."""
    slow = pytest.param(whole, id="whole", marks=pytest.mark.slow)
    return pytest.mark.parametrize("every", [pytest.param(sample, id=f"1 in {sample}"), slow])
