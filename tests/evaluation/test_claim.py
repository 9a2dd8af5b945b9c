"""One domain of shuffled words is most of the input, text is wanted: the search cuts it. Real proxies and models."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from infra.storage import FolderStore
from tasks.evaluation.config import EvaluateParams
from tasks.evaluation.published import Decision, MeasuredModels
from tasks.evaluation.stage import run as run_evaluate
from tasks.mixture.config import SearchParams
from tasks.mixture.confirm import ConfirmParams
from tasks.mixture.published import MixtureName, Recipe
from tasks.mixture.published_forecast import Forecast
from tasks.mixture.stage import run as run_search
from tasks.runtime.context import Workshop
from tasks.training.config import ModelConfig, OptimizerConfig, TrainingConfig
from tasks.training.params import TrainParams
from tasks.training.stage import run as run_train
from tests.in_process import InProcess
from tests.mixture.real_pool import write_real_pool

MODEL = ModelConfig(hidden_size=32, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=64, sequence_length=64)
OPTIMIZER = OptimizerConfig(learning_rate=1e-2, warmup_steps=5)
PROXY = TrainingConfig(model=MODEL, optimizer=OPTIMIZER, num_tokens=60 * 512, sequences_per_step=8, precision="float32")
FULL = TrainingConfig(model=MODEL, optimizer=OPTIMIZER, num_tokens=100 * 512, sequences_per_step=8, precision="float32")
MIXTURES: tuple[MixtureName, ...] = ("natural", "searched")
WANTED = ("code", "documentation", "tables")
SEARCH = SearchParams(
    proxy=PROXY,
    objective=dict.fromkeys(WANTED, 1.0),
    search_tokens_per_domain=2048,
    num_runs=16,
    num_noise_seeds=1,
    confirm=ConfirmParams(num_candidates=1, num_seeds=3),
    target_tokens=FULL.num_tokens,
    target_sequence_length=64,
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The folders of tokenize, search, train and evaluate, made by the stages themselves."""
    root = tmp_path_factory.mktemp("claim")
    places = {name: root / name for name in ("tokenize", "search", "train", "evaluate")}
    # Trained together proxies have the bits of separate ones, for two thirds of the time.
    workshop = Workshop(InProcess(), FolderStore(root / "store"), proxies_per_process=8)
    write_real_pool(places["tokenize"])
    run_search(SEARCH, inputs={"tokenize": places["tokenize"]}, output=places["search"], workshop=workshop)
    inputs = {name: places[name] for name in ("tokenize", "search")}
    run_train(TrainParams(training=FULL, mixtures=MIXTURES), inputs=inputs, output=places["train"], workshop=workshop)
    inputs = {name: places[name] for name in ("tokenize", "search", "train")}
    run_evaluate(EvaluateParams(), inputs=inputs, output=places["evaluate"], workshop=workshop)
    return places


def test_the_search_cuts_the_domain_of_shuffled_words(folders: Mapping[str, Path]) -> None:
    recipe = Recipe.read(folders["search"])
    shuffled = recipe.domains.index("shuffled-words")
    natural, searched = recipe.weights("natural")[shuffled], recipe.searched[shuffled]
    assert natural > 0.7
    assert searched < natural / 2


def test_the_claim_over_natural_is_made(folders: Mapping[str, Path]) -> None:
    decision = Decision.read(folders["evaluate"])
    assert (decision.claim, decision.num_seeds) == (True, 3)
    natural = decision.comparisons["natural"]
    assert natural.above_zero and natural.gain > 0.1 and natural.test == "paired"
    assert decision.statement.startswith("Claim: the searched mixture beats natural by")


def test_the_forecast_stands_beside_the_outcome(folders: Mapping[str, Path]) -> None:
    told, found = Forecast.read(folders["search"]), Decision.read(folders["evaluate"]).forecast
    assert found is not None
    assert found.predicted_gain == told.gain_over_natural > 0
    assert (found.tokens, found.measured_tokens) == (PROXY.num_tokens, FULL.num_tokens)
    assert found.status == "one size" and found.warning


def test_every_model_is_measured_on_every_domain(folders: Mapping[str, Path]) -> None:
    results = MeasuredModels.read(folders["evaluate"])
    assert sorted((model.mixture, model.seed) for model in results.models) == [
        (mixture, seed) for mixture in MIXTURES for seed in range(3)
    ]
    for model in results.models:
        assert model.mean == pytest.approx(sum(model.bpb[name] for name in WANTED) / 3)
        assert tuple(model.bpb) == results.domains
