"""Presets, params.yaml and the rules between stages."""

from pathlib import Path

import pytest
import yaml

from flows.config import PRESETS, PipelineConfig, PipelineParams, read_config
from flows.run import params_text
from tasks.core.errors import ConfigError


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_is_a_valid_config(path: Path) -> None:
    assert read_config(path.stem).name


def test_params_yaml_holds_the_params_of_the_demo(project: Path) -> None:
    assert (project / "params.yaml").read_text(encoding="utf-8") == params_text(read_config("demo")), (
        "params.yaml is not what the defaults say; write it again: python -m flows params > params.yaml"
    )


def test_params_survive_yaml() -> None:
    text = params_text(read_config("demo"))
    assert PipelineParams.model_validate(yaml.safe_load(text)) == read_config("demo").params


def test_the_caps_hold_for_the_run_that_is_trained() -> None:
    with pytest.raises(ConfigError, match=r"search\.target_tokens is 4,096 but train\.training\.num_tokens"):
        read_config("demo", settings=("search.target_tokens=4096",))


@pytest.mark.parametrize("setting", ["curate.no_such_rule=1", "nonsense.seed=1", "cluster.max_chars=many"])
def test_a_key_or_type_that_does_not_exist_is_refused_with_its_place(setting: str) -> None:
    with pytest.raises(ConfigError, match=setting.partition("=")[0].removesuffix(".seed").replace(".", r"\.")):
        read_config("demo", settings=(setting,))


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: there is no such file"):
        read_config("nowhere")


@pytest.mark.parametrize("name", ["", "Demo", "../up", "a" * 41, "-x"])
def test_a_name_that_cannot_be_a_tag_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        PipelineConfig(name=name)
