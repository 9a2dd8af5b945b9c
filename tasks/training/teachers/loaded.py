"""The teachers of a run as models in memory: their forward passes have no gradient, and no weight of theirs changes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.core.errors import ConfigError
from tasks.training.config import Precision, TrainingConfig
from tasks.training.loss import rows_at_a_time
from tasks.training.model import Decoder, Scoring, decoder, torch_dtype
from tasks.training.starts.start import Start
from tasks.training.starts.weights import described_model, started_weights
from tasks.training.teachers.distillation import Distillation
from tasks.training.teachers.soft_labels import SoftLabels
from tasks.training.transforms.row import NO_TARGET
from tasks.training.types import RunSpec


@dataclass(frozen=True)
class Teachers:
    """Models that a run learns from, whole on each device, and in which precision they multiply."""

    config: Distillation
    models: tuple[Decoder, ...]
    precision: Precision

    @torch.no_grad()
    def labels(self, tokens_ST: Tensor, scoring: Scoring) -> SoftLabels:
        """Return what the teachers say behind each token of some samples."""
        hidden = tuple(model(tokens_ST, self.precision, scoring=scoring).flatten(0, 1) for model in self.models)
        dtype = torch_dtype(self.precision)
        return SoftLabels(self.config, hidden, tuple(model.output.detach().to(dtype) for model in self.models))

    @torch.no_grad()
    def scores(self, parts: Sequence[Tensor], scoring: Scoring) -> Tensor | None:
        """Return how challenging but learnable each sample of the parts [S, 2, T] is, [S]; None = all of them count.

        It is the mean over a sample's targets of what these cost the teachers, where those not among the likeliest cost 0.
        """
        if self.config.select_share is None:
            return None
        return torch.cat([self._scores(part_SXT[:, 0], part_SXT[:, 1], scoring) for part_SXT in parts])

    def _scores(self, inputs_ST: Tensor, targets_ST: Tensor, scoring: Scoring) -> Tensor:
        labels, targets_N = self.labels(inputs_ST, scoring), targets_ST.flatten()
        size = rows_at_a_time(len(labels.outputs[0]), on_gpu=targets_N.is_cuda)
        some = [slice(start, start + size) for start in range(0, len(targets_N), size)]
        nats_N = torch.cat([labels.part(rows).learnable_nats(targets_N[rows].clamp(min=0)) for rows in some])
        counted_ST = targets_ST != NO_TARGET
        nats_ST = torch.where(counted_ST, nats_N.view(targets_ST.shape), 0.0)
        return nats_ST.sum(dim=1) / counted_ST.sum(dim=1).clamp(min=1)


def teachers_of(spec: RunSpec, vocab_size: int, device: torch.device | str) -> Teachers | None:
    """Return the teachers of a run; None = it has none.

    Raises:
        ConfigError: it is to learn from teachers and has none, or has some and is to learn nothing from them.
    """
    require_teachers(spec.name, spec.training, len(spec.teachers or ()))
    if spec.training.distillation is None:
        return None
    models = teacher_models(spec.teachers or (), vocab_size, device)
    return Teachers(spec.training.distillation, models, spec.training.product_precision)


def teacher_models(teachers: Sequence[Start], vocab_size: int, device: torch.device | str) -> tuple[Decoder, ...]:
    """Return teachers as models that have no gradient."""
    models = []
    for one in teachers:
        model = described_model(one)
        made = decoder(model, vocab_size, started_weights(one, model, vocab_size)).to(device)
        models.append(made.requires_grad_(requires_grad=False))
    return tuple(models)


def teaching(teachers: Teachers | None, step: int) -> Teachers | None:
    """Return the teachers that a step, counted from 0, learns from; None = there are none, or their phase is over."""
    return teachers if teachers is not None and teachers.config.holds(step) else None


def require_teachers(name: str, training: TrainingConfig, count: int) -> None:
    """Refuse a run that says how to learn from teachers without any, or has some for nothing.

    Raises:
        ConfigError: which of both.
    """
    if training.distillation is not None and not count:
        raise ConfigError(
            f"{name}: training.distillation says how to learn from teachers, and there are none. Name some in `teachers` of "
            "the stage `train` or of an arm, which alone have them, or set distillation to null."
        )
    if training.distillation is None and count:
        raise ConfigError(
            f"{name}: it has {count} teacher(s), and training.distillation is null, so that it learns nothing from them. "
            "Set distillation, or leave the teachers out."
        )
