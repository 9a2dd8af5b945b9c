"""The results of lm-evaluation-harness (0.4) read: scores of tasks, and what each of them was asked."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import TopologicalSorter
from math import isfinite
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, TypeAdapter, ValidationError, field_validator

from tasks.core.digest import canonical_json, digest_bytes, digest_file, digest_json
from tasks.core.errors import DataError
from tasks.evaluation.harness.params import HarnessResultsParams
from tasks.evaluation.harness.samples import SampledItem, read_samples
from tasks.evaluation.tasks.published import Score, TaskScores

# Metrics that are shares of items.
_SHARES = ("acc", "exact_match")
# What says where a task's data lie and who was asked: no part of what was asked.
_PLACES = frozenset({"dataset_kwargs", "metadata", "task_alias", "tag", "group"})


@dataclass(frozen=True)
class TakenTask:
    """The scores of a model on a task of the harness, all that decides what the task asks, and its items where known."""

    scores: TaskScores
    asked: Mapping[str, Any]
    items: Sequence[SampledItem] = ()

    @cached_property
    def digest(self) -> str:
        """The digest of what the task is: two scores are of one task where it is the same."""
        return digest_json(self.asked)


@dataclass(frozen=True)
class HarnessResults:
    """What one file says of one model: `weights` is the digest of its weights, where our adapter computed."""

    file: str
    digest: str
    named: str | None
    name: str
    weights: str | None
    tasks: Mapping[str, TakenTask]


class _Config(BaseModel):
    model_config = ConfigDict(extra="ignore")

    model: str
    limit: float | None = None
    fewshot_seed: int | None = None
    gen_kwargs: Any = None
    model_sha: str | None = None


class _File(BaseModel):
    """What is read of a file of results; there is more in it."""

    model_config = ConfigDict(extra="ignore")

    results: dict[str, dict[str, Any]]
    directions: dict[str, dict[str, bool | None]] = Field(alias="higher_is_better")
    samples: dict[str, dict[str, NonNegativeInt]] = Field(alias="n-samples")
    shots: dict[str, Any] = Field(alias="n-shot")
    versions: dict[str, Any]
    configs: dict[str, dict[str, Any]]
    config: _Config
    model_name: str
    group_subtasks: dict[str, list[str]] = {}
    task_hashes: dict[str, str] = {}
    chat_template_sha: str | None = None
    system_instruction_sha: str | None = None
    fewshot_as_multiturn: bool | None = None

    @field_validator("configs", "config", "versions", "shots", mode="before")
    @classmethod
    def _has_a_digest(cls, value: Any) -> Any:
        # Python's JSON may hold NaN and half of a surrogate pair, which have none.
        canonical_json(value).encode()
        return value

    @field_validator("configs")
    @classmethod
    def _lists_its_metrics(cls, configs: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        lists: TypeAdapter[list[dict[str, Any]] | None] = TypeAdapter(list[dict[str, Any]] | None)
        for config in configs.values():
            lists.validate_python(config.get("metric_list"))
        return configs

    @field_validator("group_subtasks")
    @classmethod
    def _is_no_part_of_itself(cls, groups: dict[str, list[str]]) -> dict[str, list[str]]:
        TopologicalSorter(groups).prepare()
        return groups

    def leaves(self, name: str) -> Iterator[str]:
        """Yield the tasks that a group is made of; a task is its own."""
        parts = self.group_subtasks.get(name) or []
        if not parts:
            yield name
        for part in parts:
            yield from self.leaves(part)


def read_results(params: Iterable[HarnessResultsParams]) -> list[HarnessResults]:
    """Return what files of results say, in their order.

    Raises:
        DataError: a file is missing, damaged or of another kind, or a number in it is none.
    """
    return [_read(one) for one in params]


def _read(params: HarnessResultsParams) -> HarnessResults:
    path = Path(params.file)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror}. Name a results_*.json that lm-evaluation-harness wrote."
        ) from error
    try:
        told = _File.model_validate(json.loads(data))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise DataError(
            f"{path}: these are no results of lm-evaluation-harness 0.4 ({place}: {first['msg']}). Name a results_*.json "
            "that it wrote; samples_*.jsonl stand in `samples`."
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: this is no JSON: {error}. Name a whole results_*.json; samples_*.jsonl stand in `samples`."
        ) from error
    tasks = {name: task for name in told.results if (task := _task(told, name, str(path))) is not None}
    if not tasks:
        raise DataError(f"{path}: there is no score in it. Run the harness again, without --predict_only.")
    if strangers := [name for name in params.samples if name not in tasks]:
        raise DataError(f"{path}: samples of {strangers[0]}, which is no task of it. Tasks: {', '.join(tasks)}.")
    for name, samples in params.samples.items():
        tasks[name] = replace(tasks[name], items=read_samples(samples, name, tasks[name].scores))
    name = Path(told.model_name).name
    weights = told.config.model_sha if told.config.model == "mixwright" else None
    digests = [digest_bytes(data), *(digest_file(Path(one)) for _, one in sorted(params.samples.items()))]
    digest = digests[0] if len(digests) == 1 else digest_json(digests)
    return HarnessResults(params.file, digest, params.model, name, weights or None, tasks)


def _task(told: _File, name: str, where: str) -> TakenTask | None:
    """Return a task, or a group of tasks that has scores of its own; None where there is no score."""
    leaves = list(told.leaves(name))
    if strangers := [leaf for leaf in leaves if leaf not in told.samples]:
        raise DataError(
            f"{where}: it has no n-samples of {strangers[0]}, so that it is damaged. Run the harness again."
        )
    directions = {metric: higher for leaf in leaves for metric, higher in told.directions.get(leaf, {}).items()}
    scores = dict(_scores(told.results[name], directions, f"{where}, {name}"))
    if not scores:
        return None
    items = sum(told.samples[leaf].get("effective", 0) for leaf in leaves)
    if not items:
        raise DataError(f"{where}, {name}: its scores are of 0 items. Run the harness again, with a higher --limit.")
    wanted = [str(one.get("metric")) for one in told.configs.get(name, {}).get("metric_list") or []]
    primary = next((score for score in wanted if score in scores), next(iter(scores)))
    found = TaskScores(items=items, left_out=0, primary=primary, scores=scores)
    return TakenTask(found, {"task": name, "parts": {leaf: _asked(told, leaf) for leaf in leaves}})


def _scores(row: Mapping[str, Any], directions: Mapping[str, bool | None], where: str) -> Iterator[tuple[str, Score]]:
    """Yield the scores of a row, `METRIC` or `METRIC,FILTER`; one whose better end the harness does not know is left out."""
    for key, value in row.items():
        metric, comma, filter_ = key.partition(",")
        higher = directions.get(metric)
        if not comma or metric.endswith("_stderr") or higher is None or value == "N/A":
            continue
        most = 1.0 if metric.startswith(_SHARES) else float("inf")
        error = row.get(f"{metric}_stderr,{filter_}")
        yield (
            metric if filter_ == "none" else key,
            Score(
                value=_number(value, f"{where}: {key}", 0.0 if most == 1 else float("-inf"), most),
                standard_error=None
                if error in (None, "N/A")
                else _number(error, f"{where}: standard error of {key}", 0),
                direction="higher" if higher else "lower",
            ),
        )


def _number(value: Any, where: str, least: float = float("-inf"), most: float = float("inf")) -> float:
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
    except OverflowError:
        number = float("inf")
    if not (isfinite(number) and least <= number <= most):
        raise DataError(f"{where} is {value!r:.40}, not a number that it can be. Run the harness again.")
    return number


def _asked(told: _File, task: str) -> dict[str, Any]:
    """Return all that decides what a task asks: its version, prompts and examples, which items, how they are wrapped."""
    config = {key: value for key, value in told.configs.get(task, {}).items() if key not in _PLACES}
    return {
        "version": told.versions.get(task),
        "n-shot": told.shots.get(task),
        "items": told.samples[task],
        "limit": told.config.limit,
        "fewshot_seed": told.config.fewshot_seed,
        "gen_kwargs": told.config.gen_kwargs,
        "chat_template_sha": told.chat_template_sha,
        "system_instruction_sha": told.system_instruction_sha,
        "fewshot_as_multiturn": told.fewshot_as_multiturn,
        "task_hashes": told.task_hashes.get(task),
        "config": config,
    }


def scores_of_models(
    taken: Sequence[HarnessResults], weights: Mapping[str, str | None]
) -> tuple[dict[str, dict[str, TaskScores]], dict[str, str]]:
    """Return the scores by model and task, and what each task is; `weights` are the digests of the models' weights.

    Raises:
        DataError: results are of no model here, of other weights than the model's, there twice, not there for every model,
            or asked in two ways.
    """
    found: dict[str, dict[str, TaskScores]] = {name: {} for name in weights}
    first: dict[str, tuple[str, TakenTask]] = {}
    for one in taken:
        for model in _models(one, weights):
            for name, task in one.tasks.items():
                if name in found[model]:
                    raise DataError(f"harness_results: {name} of {model} stands there twice, lastly in {one.file}.")
                file, other = first.setdefault(name, (one.file, task))
                if other.digest != task.digest:
                    raise DataError(
                        f"harness_results: {name} was asked in two ways: {_difference(other.asked, task.asked)} is not the "
                        f"same in {file} and {one.file}. Ask all models in the same way."
                    )
                found[model][name] = task.scores
    for name in first:
        if missing := [model for model in weights if name not in found[model]]:
            raise DataError(
                f"harness_results: {name} is there for {len(weights) - len(missing)} of {len(weights)} models; first "
                f"without: {missing[0]}. Run the harness on it too."
            )
    return found, {name: task.digest for name, (_, task) in first.items()}


def items_of_models(
    taken: Sequence[HarnessResults], weights: Mapping[str, str | None]
) -> dict[str, dict[str, Sequence[SampledItem]]]:
    """Return the items of each task whose samples are there, by task and model; all models were asked the same ones.

    Raises:
        DataError: samples are not there for every model, or are of other items.
    """
    found: dict[str, dict[str, Sequence[SampledItem]]] = {}
    for one in taken:
        for name, task in one.tasks.items():
            if task.items:
                found.setdefault(name, {}).update(dict.fromkeys(_models(one, weights), task.items))
    for name, by_model in found.items():
        if missing := [model for model in weights if model not in by_model]:
            raise DataError(
                f"harness_results: samples of {name} are there for {len(by_model)} of {len(weights)} models; first without: "
                f"{missing[0]}. Name them too, or none."
            )
        first, *others = weights
        for other in others:
            if _shape(by_model[other]) != _shape(by_model[first]):
                raise DataError(
                    f"harness_results: the samples of {name} have other items or scores for {other} than for {first}. Ask "
                    "all models in the same way."
                )
    return found


def _shape(items: Sequence[SampledItem]) -> list[tuple[str, ...]]:
    return [(item.id, *item.scores.values) for item in items]


def _models(one: HarnessResults, weights: Mapping[str, str | None]) -> list[str]:
    """Return the models that results are of: of weights that are the same, all."""
    same = [name for name, digest in weights.items() if one.weights is not None and digest == one.weights]
    if one.named is None and same:
        return same
    name = one.named or one.name
    if name not in weights:
        raise DataError(
            f"{one.file}: results of {name}, and no model is called so; models: {', '.join(weights)}. Name the one that was "
            "asked: harness_results, `model`."
        )
    if one.weights is not None and weights[name] is not None and one.weights != weights[name]:
        raise DataError(
            f"{one.file}: results of other weights ({one.weights[:12]}) than those of {name} ({str(weights[name])[:12]}). "
            "Run the harness on this model."
        )
    return [name]


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return the path of the first value in which two mappings differ."""
    for key in dict.fromkeys([*one, *other]):
        left, right = one.get(key), other.get(key)
        if left != right:
            if isinstance(left, Mapping) and isinstance(right, Mapping):
                return f"{key}.{_difference(left, right)}"
            return key
    return "nothing"
