"""What the train stage does for runs that are held near to their start: it has the Fisher information estimated."""

from collections.abc import Mapping, Sequence

from infra.executors import Resources
from tasks.core.handles import Handle, Tree
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord
from tasks.runtime.step import Step
from tasks.tokenize.pool import POOL_FILES
from tasks.training.ewc.anchor import ANCHOR_FILE
from tasks.training.ewc.unit import AnchorArgs, anchor
from tasks.training.rows import SPLIT
from tasks.training.segments import model_behind
from tasks.training.starts.start import Start
from tasks.training.trunks import milestone_of
from tasks.training.types import Device, RunSpec

ANCHOR = Step("train.anchor", "train: Fisher information", anchor)


def anchors(
    specs: Sequence[RunSpec], made: Mapping[RunSpec, UnitRecord], read: Tree, start: Start | None, workshop: Workshop
) -> list[Handle | None]:
    """Return what each run is held near to, estimated once for all that begin alike; None = nothing.

    `made` are the records of trunks. A branch with the ewc of its trunk is held near to what its trunk is.
    """
    text = read.under(*POOL_FILES, f"tokens/{SPLIT}/")
    device: Device = "cuda" if workshop.gpus_per_trainer else "cpu"
    wanted = [_args(spec, made, text, start, device) for spec in specs]
    asked = [one for one in wanted if one is not None]
    if not asked:
        return [None] * len(specs)
    records = iter(ANCHOR.map(workshop, asked, resources=Resources(gpus=workshop.gpus_per_trainer)))
    return [None if one is None else next(records).file(ANCHOR_FILE) for one in wanted]


def _args(
    spec: RunSpec, made: Mapping[RunSpec, UnitRecord], text: Tree, start: Start | None, device: Device
) -> AnchorArgs | None:
    if (config := spec.training.ewc) is None:
        return None
    shared = config.model_copy(update={"strength": 0.0})
    if spec.trunk is None:
        return None if start is None else AnchorArgs(shared, spec.segments[0].model, text, start, None, device)
    trunk, step = spec.trunk.spec, spec.trunk.step
    if trunk.training.ewc == config:
        return _args(trunk, made, text, start, device)
    return AnchorArgs(shared, model_behind(trunk.segments, step), text, None, milestone_of(spec.trunk, made), device)
