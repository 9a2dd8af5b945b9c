"""Configuration mistakes are named with their place; nothing is repaired."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from tasks.core.errors import ConfigError
from tasks.core.params import Params, override, read_yaml, validate


class Inner(Params):
    threshold: float = 0.5


class Outer(Params):
    inner: Inner = Inner()
    rounds: int = 2


def test_an_unknown_key_and_a_wrong_type_are_both_named_with_their_place() -> None:
    with pytest.raises(ConfigError) as caught:
        validate(Outer, {"inner": {"treshold": 0.1}, "rounds": "many"}, "run.yaml")
    message = str(caught.value)
    assert "run.yaml: 2 mistake(s)" in message
    assert "inner.treshold: unknown key: did you mean threshold?" in message
    assert "rounds" in message and "'many'" in message


class Near(Params):
    kind: Literal["near"] = "near"
    at_most: float = 1.0


class Far(Params):
    kind: Literal["far"] = "far"
    inner: tuple["Near | Far", ...] = ()
    by_name: Mapping[str, Near] = {}


class Chosen(Params):
    how: Annotated[Near | Far, Field(discriminator="kind")] | None = None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"how": {"kind": "near", "atmost": 1}}, "how.near.atmost: unknown key: did you mean at_most?"),
        (
            {"how": {"kind": "far", "inner": [{"kind": "near", "at_mst": 1}]}},
            "at_mst: unknown key: did you mean at_most?",
        ),
        ({"how": {"kind": "far", "by_name": {"x": {"at_moost": 1}}}}, "x.at_moost: unknown key: did you mean at_most?"),
        ({"how": {"kind": "near", "inner": 1}}, "how.near.inner: unknown key: check its spelling"),
    ],
)
def test_an_unknown_key_in_a_method_a_list_or_a_mapping_finds_its_neighbour(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(Chosen, values, "run.yaml")
    assert said in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_threshold_that_is_not_a_number_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match=r"inner\.threshold"):
        validate(Outer, {"inner": {"threshold": value}}, "run.yaml")


def test_set_changes_one_value_and_leaves_the_given_mapping_alone() -> None:
    values = {"inner": {"threshold": 0.5}}
    assert override(values, ["inner.threshold=0.25", "rounds=3"]) == {"inner": {"threshold": 0.25}, "rounds": 3}
    assert values == {"inner": {"threshold": 0.5}}
    assert override({"inner": None}, ["inner.threshold=0.25"]) == {"inner": {"threshold": 0.25}}


@pytest.mark.parametrize(
    "setting",
    [
        *("rounds", "=3", "rounds.deep=1", "rounds=[1"),
        *("rounds=2026-13-45", "rounds=!!bool maybe", "rounds={a: 1, a: 2}", f"rounds={'[' * 2000}"),
    ],
)
def test_a_set_that_names_no_place_or_no_value_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        override({"rounds": 2}, [setting])


def test_a_key_that_is_set_twice_is_refused_with_both_values() -> None:
    with pytest.raises(ConfigError, match="rounds is set twice, to 1 and to 2"):
        override({}, ["rounds=1", "rounds=2"])


@pytest.mark.parametrize(
    "text", ["a: [1", "- 1\n- 2", "!!python/object/apply:os.system ['true']", "day: 2026-13-45", "a: 1\nb: 2\na: 3"]
)
def test_a_file_that_is_no_mapping_of_plain_yaml_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"run\.yaml"):
        read_yaml(path)


def test_a_key_that_stands_twice_is_named_with_both_lines_also_deep_inside(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("search:\n  seed: 1\n  rounds: 2\n  seed: 3\n")
    with pytest.raises(ConfigError, match=r"the key 'seed' stands twice in one mapping, lines 2 and 4"):
        read_yaml(path)
    path.write_text("base: &base {seed: 1, rounds: 2}\nsearch: {<<: *base, seed: 3}\n")
    assert read_yaml(path)["search"] == {"seed": 3, "rounds": 2}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_yaml(tmp_path / "absent.yaml")
