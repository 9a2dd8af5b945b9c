"""Planted experiments: who is treated, where its texts stand, and that nothing else of a run is another."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from infra.storage import FolderStore
from tasks.core.errors import ConfigError, DataError, MixwrightError
from tasks.runtime.context import Workshop
from tasks.runtime.files import file_handle
from tasks.tokenize import tokenizer as bpe
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.tokenize.tokenizer import Codec
from tasks.training.data import run_data
from tasks.training.ledger import rebuilt_ledger
from tasks.training.params import TrainParams
from tasks.training.planted.items import Item, read_items, require_one_probe
from tasks.training.planted.params import PlantedExperiment
from tasks.training.planted.placing import Lengths, exposures_of
from tasks.training.planted.published import PlantedItem, PlantedPart, PlantedPlan
from tasks.training.planted.unit import planned
from tasks.training.published import TrainedRuns
from tasks.training.run import train
from tasks.training.stage import run
from tasks.training.types import RunSpec
from tests.in_process import InProcess, Listener
from tests.training.conftest import LENGTH, VOCAB_SIZE, small_spec, small_training
from tests.training.test_stage import hand_written, sign

END = VOCAB_SIZE - 1
LENGTHS = Lengths((600, 1000), (16, 32))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(bpe.train_at_most(["fact"], 257), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def codec(tokenizer: Path) -> Codec:
    return bpe.load(tokenizer, bpe.DOCUMENT_END)


def items(count: int, text: str = "fact {}") -> list[Item]:
    return [Item(f"item-{number:03d}", text.format(number), "", "probe") for number in range(count)]


def experiment(name: str = "facts", **changes: Any) -> PlantedExperiment:
    return PlantedExperiment.model_validate({"name": name, "file": "items.jsonl"} | changes)


def plan_of(codec: Codec, *experiments: PlantedExperiment, seed: int = 0, count: int = 60) -> list[PlantedPart]:
    return list(planned(experiments, [items(count)] * len(experiments), codec, seed, LENGTHS))


def test_a_hash_assigns_each_item_by_itself_and_otherwise_for_another_seed_or_experiment() -> None:
    ids = [f"item-{number}" for number in range(4000)]
    config = experiment(exposures=[1, 4], treated_share=0.3)
    levels = exposures_of(config, ids, seed=0)
    assert exposures_of(config, ids[::-1][:3000], seed=0) == levels[::-1][:3000]
    shares = {level: count / len(ids) for level, count in Counter(levels).items()}
    assert shares == pytest.approx({0: 0.7, 1: 0.15, 4: 0.15}, abs=0.02)
    treated = np.array(levels) > 0
    for other in (exposures_of(config, ids, seed=1), exposures_of(experiment("others"), ids, seed=0)):
        # Independent: two such rows of 4,000 have a correlation with a standard deviation of 0.016.
        assert abs(np.corrcoef(treated, np.array(other) > 0)[0, 1]) < 0.06


def test_every_text_has_a_sample_for_itself_within_its_window_and_one_in_each_equal_part_of_it(codec: Codec) -> None:
    late = experiment("late", exposures=[4], window=[0.5, 1.0])
    facts, others = plan_of(codec, experiment(exposures=[1, 8]), late)
    samples = [sample for part in (facts, others) for item in part.items for sample in item.samples]
    assert len(samples) == len({*samples}) == sum(item.exposures for part in (facts, others) for item in part.items)
    assert min(sample for item in others.items for sample in item.samples) >= 500
    for item in (*facts.items, *others.items):
        assert len(item.samples) == len(item.offsets) == item.exposures
        for sample, offset in zip(item.samples, item.offsets, strict=True):
            # Behind the row's first token, which is no target, and wholly within the row.
            assert 1 <= offset <= LENGTHS.of(sample) + 1 - len(item.tokens.split()) - 2
    eight = [item.samples for item in facts.items if item.exposures == 8]
    assert sum(sample // 125 == part for own in eight for part, sample in enumerate(own)) > 0.9 * 8 * len(eight)


def test_an_experiment_that_is_added_moves_no_text_of_those_before_it(codec: Codec) -> None:
    one, two = experiment(exposures=[8]), experiment("others", exposures=[8])
    assert plan_of(codec, one, two)[0] == plan_of(codec, one)[0]
    assert plan_of(codec, one, seed=1) != plan_of(codec, one)


def test_a_run_has_room_for_as_many_texts_as_it_has_samples(codec: Codec) -> None:
    treated = sum(level > 0 for level in exposures_of(experiment(), [item.id for item in items(60)], 0))
    full = experiment(exposures=[1000 // treated])
    found = sorted(sample for item in plan_of(codec, full)[0].items for sample in item.samples)
    assert len(found) == len({*found}) == treated * (1000 // treated)
    with pytest.raises(
        ConfigError, match=r"plants [\d,]+ texts, each in a sample of its own.* of 1,000 samples has not so"
    ):
        plan_of(codec, experiment(exposures=[1000 // treated + 1]))


def write_plan(folder: Path, **samples: list[int]) -> RunSpec:
    """Return a run with texts planted in these samples; an item without any is of the control."""
    own = [
        PlantedItem(
            id=name, context="", probe="p", exposures=len(some), tokens=tokens, samples=some, offsets=[2] * len(some)
        )
        for (name, some), tokens in zip(samples.items(), ("7 7 7", "8 9", "10"), strict=True)
    ]
    folder.mkdir(exist_ok=True)
    plan = PlantedPlan(seed=0, experiments=(PlantedPart(name="facts", items=tuple(own)),))
    return replace(small_spec(), planted=file_handle(plan.write(folder)))


def test_a_planted_text_stands_between_two_ends_and_nothing_else_is_another(pool: TokenPool, tmp_path: Path) -> None:
    spec = write_plan(tmp_path / "plan", a=[3, 41], b=[7], c=[])
    plain, planted = run_data(small_spec(), pool).read(0, 48), run_data(spec, pool).read(0, 48)
    assert planted.tokens[3, 2:7].tolist() == planted.tokens[41, 2:7].tolist() == [END, 7, 7, 7, END]
    assert planted.tokens[7, 2:6].tolist() == [END, 8, 9, END]
    written = np.zeros_like(plain.tokens, dtype=bool)
    written[[3, 41], 2:7], written[7, 2:6] = True, True
    assert (planted.tokens[~written] == plain.tokens[~written]).all()
    assert (planted.samples.domains == plain.samples.domains).all()
    parts = [run_data(spec, pool).read(start, start + 6).tokens for start in range(0, 48, 6)]
    assert (np.concatenate(parts) == planted.tokens).all()


def test_both_engines_read_what_is_planted_and_a_killed_run_gives_the_same_bits(
    pool: TokenPool, tmp_path: Path
) -> None:
    spec = write_plan(tmp_path / "plan", a=[3, 41], b=[7], c=[])
    plain, planted = train(small_spec(), pool), train(spec, pool)
    assert planted.losses[0] != plain.losses[0] and planted.ledger.totals == plain.ledger.totals
    assert planted.ledger == rebuilt_ledger(run_data(spec, pool)) != plain.ledger
    spread = train(replace(spec, training=small_training(parallel={"kind": "ddp"})), pool)
    assert spread.losses == pytest.approx(planted.losses, abs=1e-4) and spread.ledger == planted.ledger

    def die(step: int, _: object) -> None:
        if step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(spec, pool, checkpoints=tmp_path / "kept", on_step=die)
    resumed = train(spec, pool, checkpoints=tmp_path / "kept")
    assert resumed.losses == planted.losses and resumed.ledger == planted.ledger
    assert all(torch.equal(weight, planted.model.weights[name]) for name, weight in resumed.model.weights.items())
    # Checkpoints of another plan are not its own.
    other = write_plan(tmp_path / "other", a=[3, 41], b=[8], c=[])
    with pytest.raises(DataError, match="a checkpoint of another run"):
        train(other, pool, checkpoints=tmp_path / "kept")


def write_items(path: Path, *records: dict[str, str]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return str(path)


def facts(count: int = 12, **changes: str) -> list[dict[str, str]]:
    return [{"id": f"f{number}", "text": f"fact {number}"} | changes for number in range(count)]


@pytest.fixture
def inputs(tmp_path: Path, tokenizer: Path) -> dict[str, Path]:
    """A pool of bytes with its tokenizer, and a recipe written by hand."""
    random = np.random.Generator(np.random.Philox(0))
    tokens = {
        name: {"train": random.integers(1, 257, 2000), "test": random.integers(1, 257, 200)} for name in ("a", "b")
    }
    write_pool(tmp_path / "tokenize", tokens, vocab_size=257, document_end=0)
    (tmp_path / "tokenize" / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    sign("tokenize", tmp_path / "tokenize")
    recipe = hand_written(tmp_path / "mine.json", {"tokens": 12 * 4 * LENGTH, "weights": [0.6, 0.4]}, "a", "b")
    return {"tokenize": tmp_path / "tokenize", "recipe": recipe}


def trained(tmp_path: Path, inputs: dict[str, Path], *experiments: dict[str, Any], num_seeds: int = 2) -> TrainedRuns:
    params = TrainParams.model_validate({"training": small_training(), "num_seeds": num_seeds, "planted": experiments})
    workshop = Workshop(InProcess(), FolderStore(tmp_path / "store"), Listener())
    run(params, inputs=inputs, output=tmp_path / "train", workshop=workshop)
    return TrainedRuns.read(tmp_path / "train")


def test_the_stage_plants_in_every_run_and_its_account_closes(inputs: dict[str, Path], tmp_path: Path) -> None:
    path = write_items(tmp_path / "facts.jsonl", *facts())
    found = trained(tmp_path, inputs, {"name": "facts", "file": path, "exposures": [2]})
    plans = [PlantedPlan.read(tmp_path / "train" / one.folder) for one in found.runs]
    assert [plan.seed for plan in plans] == [0, 1]
    levels = [[item.exposures for item in plan.experiments[0].items] for plan in plans]
    assert levels[0] != levels[1]
    for one, plan in zip(found.runs, plans, strict=True):
        assert one.planted is not None
        told, (part,) = one.planted.experiments["facts"], plan.experiments
        texts = [item for item in part.items for _ in item.samples]
        assert (told.items, told.texts) == (12, 2 * told.treated) and len(texts) == told.texts
        assert told.tokens == sum(len(item.tokens.split()) + 2 for item in texts) == sum(one.planted.displaced.values())
        assert sum(each.tokens for each in one.consumed.values()) == one.tokens
    # The same command finds all done; another text trains anew.
    assert trained(tmp_path, inputs, {"name": "facts", "file": path, "exposures": [2]}) == found
    write_items(tmp_path / "facts.jsonl", *facts(text="another"))
    other = trained(tmp_path, inputs, {"name": "facts", "file": path, "exposures": [2]}, num_seeds=1)
    assert other.runs[0].weights_digest != found.runs[0].weights_digest


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([*facts(), *facts(1)], r"1 of 12 ids stand there more than once; first: 'f0'"),
        ([], "there is no item in it"),
        ([{"id": "a"}], r"line 1: `text` is missing"),
        ([{"id": "a", "text": "b", "probe": ""}], r"line 1: `probe` is ''; it has to be text"),
        ([{"id": "a", "text": "b", "answer": "c"}], r"line 1: unknown field 'answer'"),
        (facts(text="more than fourteen bytes"), r"12 of 12 items have a text of more than 14 tokens"),
        (facts(probe="a probe of 21 letters"), r"12 of 12 items have a context with its probe of more than 16 tokens"),
        (
            facts(3),
            r"of 3 items the hash of seed 1 gives \d to the group that is planted \d times, and each group needs 2",
        ),
    ],
)
def test_items_that_cannot_be_planted_or_asked_are_named_before_the_first_run(
    inputs: dict[str, Path], tmp_path: Path, records: list[dict[str, str]], message: str
) -> None:
    path = write_items(tmp_path / "facts.jsonl", *records)
    with pytest.raises(MixwrightError, match=message):
        trained(tmp_path, inputs, {"name": "facts", "file": path})
    assert not (tmp_path / "train").exists()


def test_more_texts_than_samples_and_a_file_that_is_not_there_are_refused(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    path = write_items(tmp_path / "facts.jsonl", *facts())
    with pytest.raises(ConfigError, match=r"a run of 48 samples has not so many left"):
        trained(tmp_path, inputs, {"name": "facts", "file": path, "exposures": [40]})
    with pytest.raises(ConfigError, match=r"train\.planted: facts: nowhere\.jsonl does not exist"):
        trained(tmp_path, inputs, {"name": "facts", "file": "nowhere.jsonl"})


def test_an_item_of_two_experiments_is_asked_one_thing() -> None:
    other = read_items('{"id": "a", "text": "b", "probe": "c"}', "other")
    with pytest.raises(DataError, match=r"the item 'a' has one context and probe in one and others in two"):
        require_one_probe({"one": read_items('{"id": "a", "text": "b"}', "one"), "two": other})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"treated_share": 0}, "greater than 0"),
        ({"treated_share": 1}, "less than 1"),
        ({"exposures": [4, 1]}, "write each level once, ascending"),
        ({"exposures": []}, "at least 1 item"),
        ({"exposures": [0, 1]}, "greater than 0"),
        ({"window": [0.5, 0.5]}, "begin before it ends"),
    ],
)
def test_experiments_that_compare_nothing_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        experiment(**changes)


def test_experiments_of_one_name_and_branches_beside_them_are_refused() -> None:
    one = experiment()
    with pytest.raises(ValidationError, match="two experiments have one name in facts, facts"):
        TrainParams(planted=(one, one))
    branch = {"name": "b", "step": 40, "stages": [{"tokens": 2048, "weights": {"a": 1.0}}]}
    training = TrainParams().training.model_copy(update={"milestone_every_steps": 40})
    with pytest.raises(ValidationError, match="leave out planted or branches"):
        TrainParams.model_validate({"training": training, "planted": [one], "branches": [branch]})
