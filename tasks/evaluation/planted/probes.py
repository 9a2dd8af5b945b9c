"""The unit that asks a model for the probes of planted items."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from tasks.core.errors import DataError
from tasks.core.handles import Handle
from tasks.core.results import Here, UnitResult
from tasks.evaluation.tasks.encode import Pair, encoded, longest
from tasks.evaluation.tasks.item import Request, bits_per_byte
from tasks.evaluation.tasks.models import LanguageModel
from tasks.evaluation.tasks.unit import ModelOn
from tasks.training.planted.published import PlantedPlan

# Probes of a unit: what a kill costs at most.
PROBES_PER_UNIT = 256
probed_model = attrgetter("model")


@dataclass(frozen=True)
class ProbeArgs:
    """A model, the plan of what was planted into its run, and which of the plan's probes: part `part`."""

    model: ModelOn
    plan: Handle
    part: int


def probes_of(plan: PlantedPlan) -> dict[str, Request]:
    """Return what is asked of each item, by its id and in the order of the ids."""
    found = {item.id: Request(item.context, item.probe) for part in plan.experiments for item in part.items}
    return dict(sorted(found.items()))


def ask_probes(args: ProbeArgs, here: Here) -> UnitResult:
    """Ask a model for the bits per byte of some probes."""
    probes = list(probes_of(PlantedPlan.parse(args.plan.text(), args.plan.name)).items())
    chosen = probes[args.part * PROBES_PER_UNIT : (args.part + 1) * PROBES_PER_UNIT]
    return UnitResult(summary={"bits_per_byte": probe_bits(here.held, chosen)})


def probe_bits(model: LanguageModel, probes: Sequence[tuple[str, Request]]) -> list[float]:
    """Return bits per byte of each probe behind its context.

    Raises:
        DataError: a probe has no tokens behind its context, or is longer than the model's context.
    """
    pairs = [_pair(model, name, request) for name, request in probes]
    answers = model.likelihoods(pairs)
    return [bits_per_byte(request, answer) for (_, request), answer in zip(probes, answers, strict=True)]


def _pair(model: LanguageModel, name: str, request: Request) -> Pair:
    try:
        pair = encoded(request, model.encode, model.beginning)
    except DataError as error:
        raise DataError(f"the planted item {name!r}: {error}") from error
    if longest([pair]) > model.context_length:
        raise DataError(
            f"the planted item {name!r}: its context and probe have {longest([pair])} tokens, the model's context "
            f"{model.context_length}. Shorten the probe."
        )
    return pair
