"""What `auto` means on this machine: for the command of a stage, and for a flow before anything is named after it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from infra.machine import cpu_flags, gpu_has_bfloat16, gpu_memory_bytes, trains_on_gpu
from infra.settings import load_settings
from tasks.core.errors import ConfigError
from tasks.runtime.command import Section, StageExtras, instead_of
from tasks.training.config import ModelConfig, Precision, TrainingConfig
from tasks.training.parallel.ddp import Ddp
from tasks.training.parallel.kinds import ParallelKind
from tasks.training.params import TrainParams
from tasks.training.precision import native_precision

if TYPE_CHECKING:
    from tasks.runtime.task import Shown


def proxy_precision() -> Precision:
    """Return what is fastest where the proxies of a search run: on a GPU, if the settings give them one."""
    if not load_settings().gpus_per_process:
        return native_precision("cpu", cpu_flags(), os.environ)
    return native_precision("cuda", cpu_flags(), os.environ, gpu_bfloat16=gpu_has_bfloat16())


def full_precision() -> Precision:
    """Return what is fastest where full runs are trained."""
    if not trains_on_gpu(load_settings().device):
        return native_precision("cpu", cpu_flags(), os.environ)
    return native_precision("cuda", cpu_flags(), os.environ, gpu_bfloat16=gpu_has_bfloat16())


def full_parallel(training: TrainingConfig) -> ParallelKind | None:
    """Return what trains the full runs, by the memory of this machine's first GPU; a CPU's by the kind of model.

    Raises:
        ConfigError: they are trained on GPUs, and this machine has none to look at.
    """
    settings = load_settings()
    if not trains_on_gpu(settings.device):
        return None if training.stackable else Ddp()
    from tasks.training.parallel.choice import chosen_parallel

    if (gpu_bytes := gpu_memory_bytes()) is None:
        raise ConfigError(
            "train.training.parallel is auto, which is decided by the memory of this machine's GPU, and it has none. Name "
            "{kind: ddp} or {kind: fsdp}, or null."
        )
    return chosen_parallel(training, gpu_bytes, settings.world_size)


def decide(params: TrainParams) -> TrainParams:
    """Return params with the precision of the full runs decided, and what trains them."""
    params = params.decided(full_precision())
    return params.spread(full_parallel(params.training)) if params.training.parallel == "auto" else params


def refuse(params: TrainParams, section: Section, inputs: Mapping[str, Path]) -> None:
    """Refuse tasks of evaluate that the models which are about to be trained could not answer."""
    from tasks.evaluation.tasks.ahead import require_answerable_later

    if (evaluate := section("evaluate")).tasks:
        require_answerable_later(evaluate, _last_models(params, inputs), inputs)


def _last_models(params: TrainParams, inputs: Mapping[str, Path]) -> list[ModelConfig]:
    """Return the models that runs end with: each has the context of its last stage."""
    from tasks.mixture.published import Recipe, read_recipe

    recipe = read_recipe(inputs["recipe"]) if "recipe" in inputs else Recipe.read(inputs["search"])
    ends = (recipe.stages[-1].sequence_length, *(branch.stages[-1].sequence_length for branch in params.branches))
    model = params.training.model
    return [model.model_copy(update={"sequence_length": length or model.sequence_length}) for length in ends]


def show(folder: Path) -> "Shown":
    """Return what the stages of each mixture did to every domain, where that was measured, and what a guard said of runs."""
    from tasks.pictures.canvas import standalone
    from tasks.pictures.forgetting import matrices, matrix, table_of
    from tasks.runtime.task import Shown
    from tasks.training.guard.published import Guard
    from tasks.training.guard.told import table_of as guard_rows
    from tasks.training.published_forgetting import Forgetting

    tables = {"guard": guard_rows(Guard.read(folder))} if (folder / Guard.FILE).is_file() else {}
    if not (folder / Forgetting.FILE).is_file():
        return Shown({}, (), tables)
    found = Forgetting.read(folder)
    pictures = {f"forgetting-{number}": one for number, one in enumerate(matrices(found))}
    drawn = {name: standalone(matrix(name, one)) for name, one in pictures.items()}
    return Shown(drawn, (), {"forgetting": table_of(found), **tables})


EXTRAS = StageExtras(
    show=show,
    options=(
        instead_of(
            "search",
            name="recipe",
            help="recipe.json, of a search or written by hand, in place of `--input search=...`.",
        ),
    ),
    decide=decide,
    refuse=refuse,
)
