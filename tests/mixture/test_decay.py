"""A last stage of the recipe: its candidates keep to the caps, branches leave one trunk, and chance changes nothing."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.executors import Call, Resources
from infra.storage import FolderStore
from tasks.mixture.decay import STAY, DecayRuns, DecayStage, decay_candidates, decay_choice, recipe_stages
from tasks.mixture.pool_problem import problem_of as problem_on
from tasks.mixture.problem import Problem, SearchedDomain
from tasks.mixture.proxies.stage import Proxies
from tasks.mixture.published import Recipe
from tasks.mixture.published_candidates import Candidates
from tasks.mixture.stage import READ
from tasks.mixture.strategies.baselines import Natural
from tasks.runtime.context import Workshop
from tasks.runtime.stages import published
from tasks.tokenize.pool import read_pool
from tasks.training.model import Decoder
from tasks.training.stacked import train_stacked
from tests.in_process import ANY, InProcess, Listener
from tests.mixture.test_stage import PARAMS, Here, make_pool, search

STAGE = DecayStage(share=0.25, shift=0.5, num_seeds=3)
WEIGHTS = (0.5, 0.3, 0.2)


def problem_of(rows: tuple[int, ...]) -> Problem:
    domains = tuple(
        SearchedDomain(f"d{place}", 16 * count, 16 * count, count, count) for place, count in enumerate(rows)
    )
    return Problem(domains, (1 / 3,) * 3, target_samples=100, proxy_samples=100, max_epochs=1.0)


def test_candidates_stay_or_move_weight_to_one_domain_as_far_as_the_caps_of_the_whole_run_allow() -> None:
    found = decay_candidates(problem_of((200, 200, 25)), WEIGHTS, STAGE)
    assert list(found) == [STAY, "more of d0", "more of d1", "more of d2"]
    assert found[STAY] == WEIGHTS and found["more of d0"] == pytest.approx((0.75, 0.15, 0.1))
    # 25 of 100 samples may be d2's, and the trunk takes 15.
    assert found["more of d2"][2] == pytest.approx(0.4)
    assert all(sum(weights) == pytest.approx(1) for weights in found.values())


def runs(*gains: tuple[float, ...]) -> DecayRuns:
    """Runs of three seeds on one held-out set; gains by candidate, over staying."""
    names = (STAY, *(f"more of d{number}" for number in range(len(gains))))
    losses = tuple(((2.0,), *((2.0 - gain[seed],) for gain in gains)) for seed in range(3))
    return DecayRuns(names, (WEIGHTS, *((0.1, 0.1, 0.8) for _ in gains)), losses)


def test_the_best_candidate_ends_the_recipe_only_where_its_gain_is_more_than_chance() -> None:
    sure = decay_choice(runs((0.1, 0.11, 0.1), (-0.1, 0.0, 0.1)), [1.0], STAGE)
    assert (sure.chosen, sure.best) == ("more of d0", "more of d0") and sure.lower > 0
    doubtful = decay_choice(runs((0.1, 0.3, -0.05), (-0.1, 0.0, 0.1)), [1.0], STAGE)
    assert (doubtful.chosen, doubtful.best) == (STAY, "more of d0") and doubtful.lower < 0
    assert doubtful.candidates[1].gains == pytest.approx((0.1, 0.3, -0.05))


def test_a_recipe_has_a_last_stage_of_whole_samples_or_is_as_before() -> None:
    choice = decay_choice(runs((0.1, 0.11, 0.1)), [1.0], STAGE)
    first, last = recipe_stages(WEIGHTS, 1600, 16, choice)
    assert (first.tokens, last.tokens, last.weights) == (1200, 400, (0.1, 0.1, 0.8))
    (only,) = recipe_stages(WEIGHTS, 1600, 16, choice.model_copy(update={"chosen": STAY}))
    assert only == recipe_stages(WEIGHTS, 1600, 16, None)[0] and only.tokens == 1600


def test_a_search_with_a_last_stage_leaves_one_trunk_for_each_seed(tmp_path: Path) -> None:
    pool, executor = make_pool(tmp_path / "tokenize"), Here()
    plain = PARAMS.model_copy(update={"strategy": Natural()})
    search(tmp_path, pool, executor, plain)
    before = Recipe.read(tmp_path / "search")
    done = executor.done.count("search_proxies")
    search(tmp_path, pool, executor, plain.model_copy(update={"stages": STAGE}), output="staged")
    # Proxies are those of the search without a last stage.
    assert executor.done.count("search_proxies") == done and executor.done.count("search_branches") == 3
    found = Candidates.read(tmp_path / "staged").decay
    assert found is not None and len(found.candidates) == 1 + len(before.domains)
    gains = np.array([each.gains for each in found.candidates])
    assert (gains[0] == 0).all() and len({*gains[1:].ravel().tolist()}) == gains[1:].size
    recipe = Recipe.read(tmp_path / "staged")
    assert recipe.tokens == before.tokens and recipe.stages[0].weights == before.stages[0].weights
    assert len(recipe.stages) == (1 if found.chosen == STAY else 2)
    assert json.loads((tmp_path / "search/candidates.json").read_text())["decay"] is None


class OnGpu(InProcess):
    """Has a GPU, as far as anybody asks, and notes what part of it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.resources: list[Resources] = []

    def gpu_family(self) -> str:
        return "toy"

    def map(
        self, function: Call, items: Sequence[Any], resources: Resources = ANY, *, warm: bool = False
    ) -> Iterator[tuple[int, Any]]:
        self.resources.append(resources)
        return super().map(function, items, resources, warm=warm)


def test_trunk_and_branches_are_trained_and_measured_where_proxies_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed, executor, stage = list[Any](), OnGpu(), STAGE.model_copy(update={"num_seeds": 2})

    def noted(*args: Any, device: str = "cpu", **named: Any) -> Any:
        placed.append(device)
        return train_stacked(*args, **named)

    def moved(model: Decoder, device: str) -> Decoder:
        placed.append(device)
        return model

    pool = make_pool(tmp_path / "tokenize")
    problem = problem_on(PARAMS, read_pool(pool, "train", "search"))

    def losses(store: str, gpus: float) -> Any:
        workshop = Workshop(executor, FolderStore(tmp_path / store), Listener(), gpus_per_process=gpus)
        files = published(workshop.store, str(pool)).tree(*READ)
        return Proxies(PARAMS, problem, files, workshop).decay(WEIGHTS, stage).losses

    on_cpu = losses("cpu", 0.0)
    monkeypatch.setattr("tasks.training.run.train_stacked", noted)
    monkeypatch.setattr("tasks.training.stacked.train_stacked", noted)
    monkeypatch.setattr("torch.cuda.set_per_process_memory_fraction", placed.append)
    monkeypatch.setattr(Decoder, "to", moved)
    assert losses("gpu", 0.25) == on_cpu
    assert executor.resources == [ANY, Resources(gpus=0.25)]
    # Of each seed: the share, the trunk, the branches, and the four models that are measured.
    assert placed == [0.25, *["cuda"] * 6] * 2
