"""A recipe's mixture in the words of other trainers: what each one's config takes, read in its own documentation.

| format | goes into | read in |
|---|---|---|
| torchtitan | a Python module: `DatasetMixConfig` of `WeightedDataset` | torchtitan/components/data/README.md |
| olmo-core | YAML for `SourceMixtureList.from_file` | olmo_core/data/source_mixture.py and its source_mixtures/*.yaml |
| nanotron | YAML section `data_stages`, a `NanosetDatasetsArgs` each | nanotron/config/config.py |
| llm-foundry | YAML section `train_loader.dataset.streams` | llmfoundry/data/text_data.py |
| streaming | YAML: keyword arguments of each `streaming.Stream` | streaming/base/stream.py |
| json, yaml | every stage with its weights by name | here |

Domains with weight 0 are left out where a trainer asks for positive weights. No format carries our data order: trainers
draw their own. What a trainer's own defaults would spoil is written out; what a file relies on stands in it as a comment.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_never

from tasks.core.errors import ConfigError
from tasks.mixture.published import Recipe, RecipeStage

Format = Literal["torchtitan", "olmo-core", "nanotron", "llm-foundry", "streaming", "json", "yaml"]

_TITAN = '''"""The mixture of a Mixwright recipe ({tokens:,} tokens) for torchtitan's Grain data pipeline."""

from torchtitan.components.data import ConcatThenSplitPackingConfig, DatasetMixConfig, WeightedDataset

WEIGHTS = {weights}


def mixture(datasets):
    """Return the mix of one dataset config per domain; each is packed first, so that weights count tokens."""
    return DatasetMixConfig(
        datasets=tuple(
            WeightedDataset(dataset=ConcatThenSplitPackingConfig(dataset=datasets[name]), weight=weight)
            for name, weight in WEIGHTS.items()
        ),
    )
'''


@dataclass(frozen=True)
class Destination:
    """What a recipe does not know: where a domain's data is, which stage is meant, and how large a step is.

    `data` has the fields {domain} and {index}; `stage` counts from 0, None = the recipe has one.
    """

    data: str | None = None
    stage: int | None = None
    tokens_per_step: int | None = None


def export(recipe: Recipe, format_: Format, destination: Destination) -> str:
    """Return the text of the file.

    Raises:
        ConfigError: the format needs something that the destination does not say, or cannot say what the recipe does.
    """
    value: Mapping[str, Any]
    match format_:
        case "torchtitan":
            return torchtitan(recipe, destination)
        case "json":
            return json.dumps(plain(recipe), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        case "yaml":
            value = plain(recipe)
        case "olmo-core":
            value = olmo_core(recipe, destination)
        case "nanotron":
            value = nanotron(recipe, destination)
        case "llm-foundry":
            value = llm_foundry(recipe, destination)
        case "streaming":
            value = streaming(recipe, destination)
        case _:
            assert_never(format_)
    return _relied_on(recipe, destination, format_) + _yaml(value)


def torchtitan(recipe: Recipe, destination: Destination) -> str:
    """Return a module whose `mixture(datasets)` is a `DatasetMixConfig`, for `GrainDataLoader.Config(dataset=...)`.

    torchtitan is configured in Python; mixing packed children is what makes its weights count tokens, not documents.
    """
    stage = _one_stage(recipe, destination, "torchtitan")
    weights = "".join(f"    {name!r}: {weight!r},\n" for _, name, weight in _used(recipe, stage, "torchtitan"))
    return _TITAN.format(tokens=stage.tokens, weights=f"{{\n{weights}}}")


def olmo_core(recipe: Recipe, destination: Destination) -> dict[str, Any]:
    """Return a `SourceMixtureList`: source_name, target_ratio (they sum to 1), paths, max_repetition_ratio >= 1.

    Its `SourceMixtureDatasetConfig` also takes `requested_tokens`: the stage's tokens.
    """
    stage = _one_stage(recipe, destination, "olmo-core")
    sources = [
        {
            "source_name": name,
            "target_ratio": weight,
            "paths": [_data(destination, "olmo-core", index, name)],
            "max_repetition_ratio": max(recipe.max_epochs, 1.0),
        }
        for index, name, weight in _used(recipe, stage, "olmo-core")
    ]
    return {"sources": sources}


def nanotron(recipe: Recipe, destination: Destination) -> dict[str, Any]:
    """Return `data_stages`, one per stage, each with the folders and weights of a Nanoset.

    A stage begins at a step (the first at 1), so that several stages need to know how many tokens a step has.
    """
    chosen = recipe.stages if destination.stage is None else (_one_stage(recipe, destination, "nanotron"),)
    stages, done = [], 0
    for number, stage in enumerate(chosen):
        used = _used(recipe, stage, "nanotron")
        dataset = {
            "dataset_folder": [_data(destination, "nanotron", index, name) for index, name, _ in used],
            "dataset_weights": [weight for _, _, weight in used],
        }
        # 42 is nanotron's own default seed; the field itself has none.
        data = {"dataset": dataset, "num_loading_workers": 1, "seed": 42}
        stages.append({"name": f"stage {number}", "start_training_step": _step(destination, done), "data": data})
        done += stage.tokens
    return {"data_stages": stages}


def llm_foundry(recipe: Recipe, destination: Destination) -> dict[str, Any]:
    """Return `train_loader` with `dataset`: `streams` by name, the keyword arguments of a `Stream` each, and `shuffle`."""
    return {"train_loader": {"name": "text", "dataset": streaming(recipe, destination, "llm-foundry")}}


def streaming(recipe: Recipe, destination: Destination, format_: str = "streaming") -> dict[str, Any]:
    """Return `streams`: by name, the keyword arguments of `streaming.Stream`; and `shuffle`, an argument of the dataset.

    `StreamingDataset(streams=[Stream(**stream) for stream in config["streams"].values()], shuffle=config["shuffle"], ...)`.
    Without `shuffle` one stream is read to its end before the next, whatever the proportions. A `proportion` is relative
    and must be positive; it counts samples, which are tokens where samples have one length. Data with a scheme, such as
    s3://, is `remote`, and cached where Streaming sees fit; other data is `local`.
    """
    stage = _one_stage(recipe, destination, format_)
    streams = {}
    for index, name, weight in _used(recipe, stage, format_):
        data = _data(destination, format_, index, name)
        streams[name] = {"remote" if "://" in data else "local": data, "proportion": weight}
    return {"streams": streams, "shuffle": True}


def plain(recipe: Recipe) -> dict[str, Any]:
    """Return all stages with their weights by domain, zeros included."""

    def by_name(stage: RecipeStage) -> dict[str, Mapping[str, Any]]:
        rows: dict[str, Mapping[str, Any]] = {
            field: dict(zip(recipe.domains, row, strict=True)) for field, row in stage.named_weights
        }
        off = set() if stage.metadata else {"metadata"}
        own = stage.model_dump(mode="json", exclude={"tokens", "weights", "end_weights"} | off, exclude_none=True)
        return {**rows, **own}

    return {
        "stages": [{"tokens": stage.tokens, **by_name(stage)} for stage in recipe.stages],
        "max_epochs": recipe.max_epochs,
    }


_SHUFFLED = (
    "shuffle is false by default in mosaicml-streaming, and then one stream is read to its end before the next: keep it.",
    "An epoch has as many samples as all streams together unless epoch_size is given. A stream is repeated as often as its",
    "proportion asks: nothing there holds to the recipe's max_epochs of {epochs:g}.",
)
_RELIED_ON: Mapping[Format, tuple[str, ...]] = {
    "streaming": _SHUFFLED,
    "llm-foundry": _SHUFFLED,
    "olmo-core": (
        "Ask for requested_tokens: {tokens}. A source too small for its ratio at its max_repetition_ratio is refused.",
        "The paths are flat arrays of token ids, of as many bits as the dataset's dtype says (of our pools: token_bits in",
        "tokens.json). The mixture is exact in instances, and the data loader has to shuffle them (its default).",
    ),
    "nanotron": (
        "Nanosets draw by dataset_weights at random, with the seed below. dataset_folder holds .ds files of datatrove.",
        "Nothing there holds to the recipe's max_epochs of {epochs:g}.",
    ),
}


def _relied_on(recipe: Recipe, destination: Destination, format_: Format) -> str:
    """Return as comments what a trainer has to do by itself for the mixture to come out."""
    lines = _RELIED_ON.get(format_, ())
    if not lines:
        return ""
    stages = recipe.stages if destination.stage is None else (recipe.stages[destination.stage],)
    tokens = sum(stage.tokens for stage in stages)
    head = f"The mixture of a Mixwright recipe, {tokens:,} tokens."
    filled = [line.format(epochs=recipe.max_epochs, tokens=tokens) for line in lines]
    return "".join(f"# {line}\n" for line in [head, *filled])


def _used(recipe: Recipe, stage: RecipeStage, format_: str) -> Sequence[tuple[int, str, float]]:
    """Return index, name and weight of the domains that have one."""
    if stage.end_weights is not None or stage.hook is not None or stage.replay is not None:
        raise ConfigError(
            f"a stage of {stage.tokens:,} tokens is a ramp, has replay or is decided by a hook, and {format_} describes "
            "constant weights. Write it as several stages, or export json or yaml."
        )
    pairs = zip(recipe.domains, stage.weights, strict=True)
    return [(index, name, weight) for index, (name, weight) in enumerate(pairs) if weight > 0]


def _one_stage(recipe: Recipe, destination: Destination, format_: str) -> RecipeStage:
    stages = recipe.stages
    if destination.stage is None and len(stages) > 1:
        raise ConfigError(
            f"the recipe has {len(stages)} stages and {format_} describes one mixture. Export them one by one: "
            f"--stage 0 to --stage {len(stages) - 1}."
        )
    number = destination.stage or 0
    if not 0 <= number < len(stages):
        raise ConfigError(f"--stage {number}: the recipe has {len(stages)} stage(s), counted from 0.")
    return stages[number]


def _data(destination: Destination, format_: str, index: int, name: str) -> str:
    """Return where a domain's data is."""
    if destination.data is None:
        raise ConfigError(
            f"{format_} names the data of every domain, which the recipe does not know. Say where it is: "
            "--data 's3://bucket/{domain}/*.npy' ({domain} and {index} are filled in)."
        )
    try:
        return destination.data.format(domain=name, index=index)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise ConfigError(f"--data {destination.data}: only {{domain}} and {{index}} can be filled in.") from error


def _step(destination: Destination, tokens: int) -> int:
    """Return the step, counted from 1, that begins after so many tokens."""
    if tokens == 0:
        return 1
    if destination.tokens_per_step is None:
        raise ConfigError(
            "nanotron begins a stage at a step, and the recipe counts tokens. Say how many a step has: --tokens-per-step."
        )
    if tokens % destination.tokens_per_step:
        raise ConfigError(
            f"a stage ends after {tokens:,} tokens, within a step of {destination.tokens_per_step:,}. Use a step that "
            "divides the stages, or change their length."
        )
    return tokens // destination.tokens_per_step + 1


def _yaml(value: Mapping[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True, width=120))
