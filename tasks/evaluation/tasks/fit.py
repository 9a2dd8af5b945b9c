"""Whether items fit into a model's context: asked when a model answers them, and before it is trained at all."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.core.errors import DataError, EvidenceError
from tasks.evaluation.tasks.encode import Encode, Pair, Reads, encoded, longest, windows
from tasks.evaluation.tasks.item import Item
from tasks.evaluation.tasks.kinds import TaskConfig, method
from tasks.evaluation.tasks.needle import Needle
from tasks.evaluation.tasks.prompt import PromptParams


@dataclass(frozen=True)
class FutureModel:
    """How a model that is still to be trained will read. Which token begins a document changes no length."""

    encode: Encode
    context_length: int
    num_layers: int
    beginning: int = 0


def require_readable(model: FutureModel, task: TaskConfig, chosen: Sequence[Item], where: str) -> None:
    """Require that a model will be able to answer these items.

    Raises:
        DataError: a request has no tokens, or items are longer than the model's context and may not be left out.
        EvidenceError: all may be left out, and are longer.
        ConfigError: the task names a layer that the model will not have.
    """
    if (comparison := method(task).comparison) is not None:
        comparison.require_readable(task, model, model.num_layers, chosen, where)
        return
    if all(too_long(model, task, chosen, [pairs_of(model, task, item, where) for item in chosen], where)):
        raise none_left(where, len(chosen))


def pairs_of(model: Reads, task: TaskConfig, item: Item, where: str) -> list[list[Pair]]:
    """Return the tokens of each request of an item, in windows where it is whole text, or as its kind makes them.

    Raises:
        DataError: a request has no tokens.
    """
    how = method(task)
    try:
        if how.pairs is not None:
            return how.pairs(task, model, item)
        if how.example is None:
            return [
                windows(request.continuation, model.encode, model.beginning, model.context_length)
                for request in item.requests
            ]
        return [[encoded(request, model.encode, model.beginning)] for request in item.requests]
    except DataError as error:
        raise DataError(f"{where}, line {item.line}: {error}") from error


def too_long(
    model: Reads, task: TaskConfig, chosen: Sequence[Item], pairs: Sequence[Sequence[Sequence[Pair]]], where: str
) -> list[bool]:
    """Return of each item, with its requests' `pairs`, whether it is longer than the model's context and is left out.

    Raises:
        DataError: items are longer, and the task refuses that.
    """
    lengths = [max(longest(request) for request in each) for each in pairs]
    if isinstance(task, Needle) and task.beyond_context:
        return [False] * len(lengths)
    found = [length > model.context_length for length in lengths]
    leaves_out = isinstance(task, PromptParams) and task.too_long == "leave_out"
    if any(found) and not leaves_out:
        first = found.index(True)
        raise DataError(
            f"{where}: {sum(found)} of {len(chosen)} items are longer than the model's context of {model.context_length} "
            f"tokens; first: line {chosen[first].line} with {lengths[first]}, longest: {max(lengths)}. "
            f"{_remedy(task)}"
        )
    return found


def _remedy(task: TaskConfig) -> str:
    if isinstance(task, Needle):
        return "Lower lengths, or set beyond_context to ask for them all the same."
    return "Show fewer examples, or set too_long to leave_out."


def none_left(name: str, number: int) -> EvidenceError:
    """Return the error that says that all items of a task are too long."""
    return EvidenceError(
        f"{name}: all of its {number} items are longer than the model's context. Show fewer examples, or take a model with "
        "a longer context."
    )
