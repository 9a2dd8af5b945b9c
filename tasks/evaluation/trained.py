"""What the evaluate stage reads: the trained models with the recipe and the token pool that they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core.errors import DataError
from tasks.core.handles import Handle, Tree
from tasks.evaluation.tasks.unit import TrainedModel
from tasks.evaluation.unit import SPLIT
from tasks.mixture.published import Recipe
from tasks.mixture.published_forecast import Forecast
from tasks.runtime.stages import StageInput
from tasks.tokenize.pool import POOL_FILES
from tasks.tokenize.prefixed import METADATA
from tasks.tokenize.published import TOKENIZER_FILE, TokenPoolIndex
from tasks.training.params import TrainParams
from tasks.training.published import MODELS_FOLDER, TrainedRun, TrainedRuns
from tasks.training.published_run import CONFIG_FILE, EVALUATIONS_FILE, LEDGER_FILE, WEIGHTS_FILE
from tasks.training.published_updates import ForecastUpdates
from tasks.training.rebuilt import rebuilt_specs
from tasks.training.rows import SPLIT as TRAIN
from tasks.training.types import RunSpec


@dataclass(frozen=True)
class Trained:
    """What other stages made: the recipe with its forecast, the runs with the files of their models, the token pool.

    `updates` are what was said on the way, None where the forecast has no curve.
    `splits` are the pool's held-out text, and what models were trained on where an analysis asks for that; `params` are
    those of the train stage.
    """

    recipe: Recipe
    forecast: Forecast
    updates: ForecastUpdates | None
    runs: Sequence[TrainedRun]
    files: Tree
    splits: Tree
    tokenizer: Handle
    params: Mapping[str, Any]

    @property
    def held_out(self) -> Tree:
        """The pool with its held-out text alone."""
        return self.splits.under(*POOL_FILES, f"tokens/{SPLIT}/")

    @property
    def models(self) -> dict[str, TrainedModel]:
        """The models by the names of their runs."""
        return {run.name: self.model(run) for run in self.runs}

    @property
    def courses(self) -> Tree:
        """What each run consumed, and what it was evaluated to be, on its way."""
        names = (LEDGER_FILE, EVALUATIONS_FILE)
        return self.files.under(*(f"{run.folder}/{name}" for run in self.runs for name in names))

    def model(self, run: TrainedRun) -> TrainedModel:
        """Return the model of a run."""
        config, weights = (self.files[f"{run.folder}/{name}"] for name in (CONFIG_FILE, WEIGHTS_FILE))
        return TrainedModel(config, weights, self.tokenizer)

    def specs(self) -> dict[str, RunSpec]:
        """Return what each run was made of, by its name."""
        return rebuilt_specs(self.runs, TrainParams.model_validate(self.params))


def read_trained(given: Mapping[str, StageInput], *, with_train_split: bool) -> Trained:
    """Read what other stages made; every file is verified before the first of them is read."""
    folders = (f"tokens/{SPLIT}/", f"tokens/{TRAIN}/", METADATA) if with_train_split else (f"tokens/{SPLIT}/",)
    given["search"].tree(Recipe.FILE, Forecast.FILE)
    files = given["train"].tree(TrainedRuns.FILE, ForecastUpdates.FILE, f"{MODELS_FOLDER}/")
    pool = given["tokenize"].tree(*POOL_FILES, *folders)
    tokenizer = given["tokenize"].tree(TOKENIZER_FILE)[TOKENIZER_FILE]
    recipe, forecast = given["search"].read(Recipe), given["search"].read(Forecast)
    runs = given["train"].read(TrainedRuns).runs
    updates = given["train"].read(ForecastUpdates) if ForecastUpdates.FILE in files.names else None
    _require_same_domains(recipe, given["tokenize"])
    return Trained(recipe, forecast, updates, runs, files, pool, tokenizer, given["train"].manifest.params)


def _require_same_domains(recipe: Recipe, tokenized: StageInput) -> None:
    names = [domain.name for domain in tokenized.read(TokenPoolIndex).domains]
    if names != list(recipe.domains):
        raise DataError(
            f"{Recipe.FILE} is for the domains {', '.join(recipe.domains)}, the token pool has {', '.join(names)}. Run "
            "search and train again on this pool."
        )
