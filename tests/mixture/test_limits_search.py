"""A whole search with real proxies keeps to limits on sets, and says what they have."""

from pathlib import Path

import numpy as np
import pytest

from tasks.core.errors import ConfigError
from tasks.mixture.limits import ShareLimit
from tasks.mixture.published import Recipe
from tests.mixture.test_stage import PARAMS, Here, make_pool, search


@pytest.mark.slow
def test_what_a_search_ships_and_its_baselines_keep_to_the_limits(tmp_path: Path) -> None:
    pool = make_pool(tmp_path / "tokenize")
    limits = {"rare": ShareLimit(domains=("d0",), at_most=0.15)}
    _, listener = search(tmp_path, pool, Here(), PARAMS.model_copy(update={"share_limits": limits}))
    recipe = Recipe.read(tmp_path / "search")
    place = recipe.domains.index("d0")
    shares = [recipe.searched[place], *(weights[place] for weights in recipe.baselines.values())]
    assert np.max(shares) <= 0.15 + 1e-9
    assert any(line.startswith("search: rare: 1 domain(s) have 0.1") for line in listener.said)


def test_a_limit_on_no_domain_is_refused_before_any_proxy(tmp_path: Path) -> None:
    executor, limits = Here(), {"none": ShareLimit(domains=("x-*",), at_most=0.1)}
    with pytest.raises(ConfigError, match=r"search\.share_limits\.none: 'x-\*' matches no domain"):
        search(tmp_path, make_pool(tmp_path / "tokenize"), executor, PARAMS.model_copy(update={"share_limits": limits}))
    assert executor.done == []
