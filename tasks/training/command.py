"""What `auto` means on this machine: for the command of a stage, and for a flow before anything is named after it."""

import os

from infra.machine import cpu_flags, gpu_has_bfloat16, trains_on_gpu
from infra.settings import load_settings
from tasks.runtime.command import StageExtras, instead_of
from tasks.training.config import Precision
from tasks.training.params import TrainParams
from tasks.training.precision import native_precision


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


def decide(params: TrainParams) -> TrainParams:
    """Return params with the precision of the full runs decided."""
    return params.decided(full_precision())


EXTRAS = StageExtras(
    options=(
        instead_of(
            "search",
            name="recipe",
            help="recipe.json, of a search or written by hand, in place of `--input search=...`.",
        ),
    ),
    decide=decide,
)
