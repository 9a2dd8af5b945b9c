"""What `parallel: auto` means: the first of the ways to train a run that fits a GPU's memory."""

from tasks.training.config import TrainingConfig
from tasks.training.memory import needed_on_each
from tasks.training.parallel.ddp import Ddp
from tasks.training.parallel.fsdp import Fsdp
from tasks.training.parallel.kinds import ParallelKind

# Nobody knows the tokens before a run has its name: larger than the vocabularies that most train with.
_ASSUMED_VOCABULARY = 1 << 17
# A guess: what an estimate may fill of a GPU, for what it does not know of.
_ROOM = 0.9


def chosen_parallel(training: TrainingConfig, gpu_bytes: int, world_size: int) -> ParallelKind | None:
    """Return what trains a run on so many GPUs of so much memory, as far as one can say before.

    In this order: a stack; one model, whole on each device; the same with activations made again; one in shards; and that
    with activations made again. Where nothing fits it is the last, which is refused by its numbers.
    """
    choices, room = _choices(training, world_size), _ROOM * gpu_bytes

    def needed(choice: ParallelKind | None) -> int:
        return needed_on_each(training.model_copy(update={"parallel": choice}), _ASSUMED_VOCABULARY, world_size)

    return next((choice for choice in choices if needed(choice) <= room), choices[-1])


def _choices(training: TrainingConfig, world_size: int) -> list[ParallelKind | None]:
    whole, sharded = ([kind(recompute_activations=again) for again in (False, True)] for kind in (Ddp, Fsdp))
    stack = [None] if training.stackable else []
    return [*stack, *whole, *(sharded if world_size > 1 and training.takes_shards else [])]
