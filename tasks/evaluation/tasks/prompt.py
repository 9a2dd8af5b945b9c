"""How an item becomes text: the instruction, the examples before it, and what stands between its parts."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from tasks.core.params import Params

# Source: lm-evaluation-harness, where they are `target_delimiter` and `fewshot_delimiter`.
ANSWER_DELIMITER = " "
EXAMPLE_DELIMITER = "\n\n"


class ItemParams(Params):
    """What every task has: which items are measured."""

    max_items: PositiveInt | None = Field(default=None, description="measured, chosen by hash; null = all")
    seed: NonNegativeInt = Field(default=0, description="of the choice of items")


class PromptParams(ItemParams):
    """How items are asked: all of it is part of a score's meaning."""

    instruction: str = Field(default="", description="stands before everything, as it is")
    num_fewshot: NonNegativeInt = Field(
        default=0, description="items shown with their answers, the same before every item; they are not measured"
    )
    answer_delimiter: str = Field(default=ANSWER_DELIMITER, description="between an item and its answer")
    example_delimiter: str = Field(default=EXAMPLE_DELIMITER, description="behind each item that is shown")
    too_long: Literal["refuse", "leave_out"] = Field(
        default="refuse", description="what becomes of items that are longer than the model's context"
    )


def prefix(params: PromptParams, examples: Sequence[str]) -> str:
    r"""Return what stands before every item: the instruction and the examples, each of them item and answer.

    >>> prefix(PromptParams(instruction="Answer: ", num_fewshot=1), ["2 + 2 = 4"])
    'Answer: 2 + 2 = 4\n\n'
    """
    return params.instruction + "".join(f"{example}{params.example_delimiter}" for example in examples)
