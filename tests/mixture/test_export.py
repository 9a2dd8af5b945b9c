"""A recipe in other trainers' words: the shapes that their own configs have, and what cannot be said in them."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from tasks.core.errors import ConfigError, DataError
from tasks.mixture.export import Destination, Format, export
from tasks.mixture.published import Recipe, RecipeStage, read_recipe
from tasks.training.schedules.wsd import Wsd

EVEN = (1 / 3, 1 / 3, 1 / 3)


def recipe_of(*stages: tuple[int, tuple[float, ...]]) -> Recipe:
    return Recipe(
        domains=("web", "code", "spam"),
        stages=tuple(RecipeStage(tokens=tokens, weights=weights) for tokens, weights in stages),
        max_epochs=4.0,
        baselines={"natural": EVEN, "uniform": EVEN, "unimax": EVEN},
        objective=EVEN,
    )


ONE = recipe_of((1000, (0.7, 0.3, 0.0)))
TWO = recipe_of((1000, (0.7, 0.3, 0.0)), (500, (0.0, 0.5, 0.5)))
HERE = Destination(data="/data/{index:02d}-{domain}")
ONE_MIXTURE: tuple[Format, ...] = ("torchtitan", "olmo-core", "llm-foundry", "streaming")


def said(recipe: Recipe, format_: Format, destination: Destination = HERE) -> Any:
    return yaml.safe_load(export(recipe, format_, destination))


def test_olmo_core_gets_a_list_of_sources_whose_ratios_sum_to_one() -> None:
    sources = said(ONE, "olmo-core")["sources"]
    assert sources[0] == {
        "source_name": "web",
        "target_ratio": 0.7,
        "paths": ["/data/00-web"],
        "max_repetition_ratio": 4.0,
    }
    assert sum(source["target_ratio"] for source in sources) == pytest.approx(1.0)


def test_nanotron_gets_a_stage_per_stage_that_begins_at_a_step() -> None:
    stages = said(TWO, "nanotron", Destination(data="/data/{domain}", tokens_per_step=250))["data_stages"]
    assert [stage["start_training_step"] for stage in stages] == [1, 5]
    assert len({stage["name"] for stage in stages}) == 2
    assert stages[1]["data"]["dataset"] == {
        "dataset_folder": ["/data/code", "/data/spam"],
        "dataset_weights": [0.5, 0.5],
    }
    with pytest.raises(ConfigError, match="--tokens-per-step"):
        export(TWO, "nanotron", HERE)
    with pytest.raises(ConfigError, match="ends after 1,000 tokens, within a step of 300"):
        export(TWO, "nanotron", Destination(data="/data/{domain}", tokens_per_step=300))


def test_llm_foundry_gets_the_streams_of_its_train_loader() -> None:
    loader = said(ONE, "llm-foundry")["train_loader"]
    assert loader["name"] == "text"
    assert loader["dataset"]["streams"]["code"] == {"local": "/data/01-code", "proportion": 0.3}


def test_streaming_gets_keyword_arguments_remote_where_there_is_a_scheme() -> None:
    streams = said(ONE, "streaming", Destination(data="s3://bucket/{domain}"))["streams"]
    assert streams == {
        "web": {"remote": "s3://bucket/web", "proportion": 0.7},
        "code": {"remote": "s3://bucket/code", "proportion": 0.3},
    }


@pytest.mark.parametrize("format_", ["streaming", "llm-foundry"])
def test_streams_are_shuffled_as_else_one_is_read_after_the_other(format_: Format) -> None:
    value = said(ONE, format_)
    dataset = value if format_ == "streaming" else value["train_loader"]["dataset"]
    assert dataset["shuffle"] is True


@pytest.mark.parametrize(
    ("format_", "told"),
    [
        ("streaming", "holds to the recipe's max_epochs of 4"),
        ("llm-foundry", "one stream is read to its end before the next"),
        ("olmo-core", "requested_tokens: 1000"),
        ("nanotron", "holds to the recipe's max_epochs of 4"),
    ],
)
def test_what_a_file_relies_on_stands_in_it_as_a_comment(format_: Format, told: str) -> None:
    text = export(ONE, format_, HERE)
    assert text.startswith("# The mixture of a Mixwright recipe, 1,000 tokens.\n")
    assert told in " ".join(line for line in text.splitlines() if line.startswith("#"))


def test_torchtitan_gets_a_module_that_packs_each_domain_before_it_mixes(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import ModuleType

    stand_in = ModuleType("torchtitan.components.data")
    for name in ("DatasetMixConfig", "WeightedDataset", "ConcatThenSplitPackingConfig"):
        setattr(stand_in, name, lambda _name=name, **fields: (_name, fields))
    for name in ("torchtitan", "torchtitan.components"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "torchtitan.components.data", stand_in)
    module: dict[str, Any] = {}
    exec(export(ONE, "torchtitan", Destination()), module)
    kind, fields = module["mixture"]({"web": "WEB", "code": "CODE"})
    assert kind == "DatasetMixConfig"
    assert fields["datasets"] == (
        ("WeightedDataset", {"dataset": ("ConcatThenSplitPackingConfig", {"dataset": "WEB"}), "weight": 0.7}),
        ("WeightedDataset", {"dataset": ("ConcatThenSplitPackingConfig", {"dataset": "CODE"}), "weight": 0.3}),
    )


def test_plain_json_and_yaml_say_every_stage_and_every_domain() -> None:
    value = json.loads(export(TWO, "json", Destination()))
    assert value == yaml.safe_load(export(TWO, "yaml", Destination()))
    assert value["stages"][1] == {"tokens": 500, "weights": {"web": 0.0, "code": 0.5, "spam": 0.5}}


@pytest.mark.parametrize("format_", ONE_MIXTURE)
def test_a_format_for_one_mixture_takes_one_stage_and_asks_which(format_: Format) -> None:
    with pytest.raises(ConfigError, match=r"2 stages and .* --stage 0 to --stage 1"):
        export(TWO, format_, HERE)
    text = export(TWO, format_, Destination(HERE.data, stage=1))
    assert "code" in text and "spam" in text and "web" not in text
    with pytest.raises(ConfigError, match="--stage 2: the recipe has 2"):
        export(TWO, format_, Destination(HERE.data, stage=2))


@pytest.mark.parametrize("format_", ["olmo-core", "nanotron", "llm-foundry", "streaming"])
def test_a_format_that_names_files_asks_where_they_are(format_: Format) -> None:
    with pytest.raises(ConfigError, match="--data"):
        export(ONE, format_, Destination())
    with pytest.raises(ConfigError, match=r"only \{domain\} and \{index\}"):
        export(ONE, format_, Destination("/data/{source}"))


def recipe_text(**changes: Any) -> str:
    value = {
        "format": 4,
        "domains": ["a", "b"],
        "stages": [{"tokens": 10, "weights": [0.4, 0.6]}],
        "max_epochs": 4.0,
        "baselines": {name: [0.5, 0.5] for name in ("natural", "uniform", "unimax")},
        "objective": [0.5, 0.5],
    }
    return json.dumps({**value, **changes})


def test_a_recipe_is_read_and_what_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(recipe_text())
    found = read_recipe(path)
    assert (found.domains, found.stages) == (("a", "b"), (RecipeStage(tokens=10, weights=(0.4, 0.6)),))
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"format": 5}, "format 5, this version of Mixwright reads 4"),
        ({"stages": []}, "stages: "),
        ({"name": "natural"}, "called natural, as a baseline is"),
        ({"domains": ["a", "a"]}, "a domain is named twice"),
        ({"domains": ["a"]}, "2 weights for 1 domains"),
        ({"sets": ["a", "b", "arc"]}, "objective: 2 shares for 3 held-out sets"),
        ({"sets": ["arc", "b"]}, "sets: they begin with the domains"),
        ({"stages": [{"tokens": 10}]}, r"stages\.0\.weights"),
        ({"stages": [{"tokens": 10, "weights": [0.4, 0.4]}]}, r"sum to 0\.8"),
        (
            {"stages": [{"tokens": 10, "weights": [0.4, 0.6], "end_weights": [1.0]}]},
            r"stages\.0\.end_weights: 1 weights for 2",
        ),
        (
            {"stages": [{"tokens": 10, "weights": [0.4, 0.6], "peak_fraction": 0.5}]},
            r"stages\.0: warmup_steps and peak_fraction are of a stage's schedule",
        ),
        ({"baselines": {"natural": [0.5, 0.5]}}, r"mistake\(s\): the baseline uniform is missing"),
    )
    for changes, message in wrong:
        path.write_text(recipe_text(**changes))
        with pytest.raises(DataError, match=message):
            read_recipe(path)
    path.write_text("{")
    with pytest.raises(DataError, match="this is not JSON"):
        read_recipe(path)
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(DataError, match="this is no text"):
        read_recipe(path)
    with pytest.raises(DataError, match="no such file"):
        read_recipe(tmp_path / "nothing.json")


def test_a_mistake_in_a_recipe_is_told_in_words_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    stage = {"tokens": 512, "weights": [0.5, 0.4]}
    path.write_text(json.dumps({"format": 2, "domains": ["a", "b"], "stages": [stage], "max_epochs": 4.0}))
    with pytest.raises(DataError) as raised:
        read_recipe(path)
    assert "stages.0: weights: 2 weights sum to 0.900000, not to 1" in str(raised.value)
    assert "Correct it where it was written by hand" in str(raised.value)


def test_a_recipe_of_format_1_is_read_with_its_phases_as_stages_and_one_of_format_2_as_it_is(tmp_path: Path) -> None:
    value = json.loads(recipe_text())
    (tmp_path / "new.json").write_text(json.dumps(value))
    (tmp_path / "two.json").write_text(json.dumps({**value, "format": 2}))
    (tmp_path / "old.json").write_text(json.dumps({**value, "format": 1, "phases": value.pop("stages")}))
    for name in ("two.json", "old.json"):
        assert read_recipe(tmp_path / name) == read_recipe(tmp_path / "new.json")


def test_what_a_stage_has_of_its_own_is_told_in_words_and_values() -> None:
    stage = RecipeStage(
        tokens=9,
        weights=(1, 0, 0),
        sequence_length=512,
        rope_base=5e5,
        schedule=Wsd(),
        warmup_steps=3,
        peak_fraction=0.5,
        metadata=True,
    )
    assert (
        stage.settings == "samples of 512 tokens, RoPE base 500,000, metadata before each document, "
        "schedule wsd after 3 steps of warm-up to 0.5 of the peak"
    )
    told = json.loads(export(ONE.model_copy(update={"stages": (stage,)}), "json", HERE))["stages"][0]
    assert (told["sequence_length"], told["rope_base"], told["schedule"]["kind"]) == (512, 5e5, "wsd")
    assert told["metadata"] is True
    assert set(json.loads(export(ONE, "json", HERE))["stages"][0]) == {"tokens", "weights"}


def test_a_ramp_is_told_by_name_and_refused_where_a_mixture_is_constant() -> None:
    ramp = ONE.model_copy(update={"stages": (RecipeStage(tokens=9, weights=(1, 0, 0), end_weights=(0, 1, 0)),)})
    told = json.loads(export(ramp, "json", HERE))["stages"][0]
    assert (told["weights"]["web"], told["end_weights"]["code"]) == (1, 1)
    assert ramp.searched == (0.5, 0.5, 0) and ramp.changes and not ONE.changes
    for format_ in (*ONE_MIXTURE, "nanotron"):
        with pytest.raises(ConfigError, match="describes constant weights"):
            export(ramp, format_, HERE)


def test_every_format_is_written() -> None:
    assert all(export(ONE, format_, HERE).endswith("\n") for format_ in get_args(Format))
