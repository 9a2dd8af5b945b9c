"""Identity: what is read, options that are off, and the code that a method brings with it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field

from infra.storage import FolderStore
from tasks.core.handles import ByteRange, Handle, RowGroups, Tree
from tasks.core.identity import LABEL, kinds_of, params_of, reads_of
from tasks.core.params import Params

STORE = FolderStore(Path())


class Before(Params):
    bands: int = 14


class After(Params):
    bands: int = 14
    verify: str | None = None
    strict: bool = False
    extra: tuple[str, ...] = ()
    named: dict[str, int] = Field(default_factory=dict)


class Eager(Params):
    keep_first: bool = True


class Method(Params):
    kind: Literal["toy"] = "toy"


@dataclass(frozen=True)
class Args:
    shard: Handle
    params: Params | None
    label: str = field(default="", metadata=LABEL)


def _handle(digest: str, **given: Any) -> Handle:
    return Handle(STORE, "somewhere", "a.parquet", digest, 3, **given)


def test_a_new_option_that_is_off_changes_nothing() -> None:
    assert params_of(Before()) == params_of(After())


@pytest.mark.parametrize(
    "on", [{"verify": "exact"}, {"verify": ""}, {"strict": True}, {"extra": ("x",)}, {"named": {"a": 1}}]
)
def test_an_option_that_is_on_does(on: dict[str, Any]) -> None:
    assert params_of(Before()) != params_of(After(**on))


def test_what_is_on_unless_it_is_turned_off_is_told_either_way() -> None:
    assert params_of(Eager()) == {"keep_first": True}
    assert params_of(Eager(keep_first=False)) == {"keep_first": False}


def test_a_handle_is_what_it_holds_not_where_it_lies() -> None:
    one = Handle(STORE, "here", "a", "d1", 3)
    assert reads_of(one) == reads_of(Handle(STORE, "there", "b", "d1", 3))
    assert reads_of(one) != reads_of(Handle(STORE, "here", "a", "d2", 3))


def test_parts_of_one_object_are_different_work() -> None:
    parts = [None, ByteRange(0, 3), ByteRange(3, 6), RowGroups(0, 3)]
    assert len({str(reads_of(_handle("d", part=part))) for part in parts}) == len(parts)


def test_a_tree_is_its_names_and_contents() -> None:
    one = Tree.of(STORE, "x", [("b", "2", 1), ("a", "1", 1)])
    assert reads_of(one) == reads_of(Tree.of(STORE, "y", [("a", "1", 1), ("b", "2", 1)]))
    assert reads_of(one) != reads_of(Tree.of(STORE, "x", [("c", "2", 1), ("a", "1", 1)]))


def test_a_label_is_no_part_of_it() -> None:
    assert reads_of(Args(_handle("d"), Before(), "one")) == reads_of(Args(_handle("d"), Before(), "two"))


def test_a_field_that_is_none_is_left_out() -> None:
    assert reads_of(Args(_handle("d"), None)) == {"shard": "d"}


@pytest.mark.parametrize("value", [Path("x"), {1, 2}, len])
def test_what_has_no_identity_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="has no identity"):
        reads_of((value,))


def test_the_module_of_a_chosen_kind_is_found_wherever_it_stands() -> None:
    assert list(kinds_of(Args(_handle("d"), Method()))) == [__name__]
    assert list(kinds_of([{"x": (Method(),)}])) == [__name__]
    assert list(kinds_of(Args(_handle("d"), Before()))) == []
