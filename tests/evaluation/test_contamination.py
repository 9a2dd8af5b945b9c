"""Task items in what models were trained on: which, how often by the executed plan, and what that did to their scores."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from infra.storage import FolderStore
from tasks.core.errors import ConfigError
from tasks.core.manifest import Manifest
from tasks.core.rng import generator
from tasks.curate.decontaminate.benchmarks import Benchmark
from tasks.curate.decontaminate.index import index_of
from tasks.curate.decontaminate.params import NgramParams
from tasks.evaluation.config import EvaluateParams
from tasks.evaluation.contamination import (
    difference,
    exposure_groups,
    slope_across_runs,
    slope_over_items,
    split_scores,
)
from tasks.evaluation.hits import places_of_matches, readable
from tasks.evaluation.item_exposure import Trained, times_whole
from tasks.evaluation.published_contamination import Contamination, FoundItems
from tasks.evaluation.stage import run
from tasks.evaluation.tasks.item import ItemScores
from tasks.evaluation.tasks.minimal_pairs import MinimalPairs
from tasks.evaluation.tasks.multiple_choice import MultipleChoice
from tasks.evaluation.tasks.shown import item_texts
from tasks.runtime.context import Workshop
from tasks.tokenize import tokenizer as bpe
from tasks.tokenize.pool import TokenPool, read_pool, write_pool
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.data import run_data
from tasks.training.export import write_model
from tasks.training.exposure import times_seen, tokens_seen
from tasks.training.model import initial_model
from tasks.training.params import TrainParams
from tasks.training.planted.published import PlantedItem, PlantedPart, PlantedPlan
from tasks.training.published import Consumed, Planted, PlantedTold, TrainedPhase, TrainedRun, TrainedRuns
from tasks.training.types import Phase, RunSpec
from tests.evaluation.made import forecast, recipe
from tests.evaluation.test_stage import publish
from tests.in_process import InProcess
from tests.mixture.test_stage import Listener
from tests.training.conftest import small_training
from tests.training.made import trained_run

DOMAINS = ("d0", "d1", "d2")
TRAINING = small_training(sequence_length=64, num_tokens=64 * 800)
PAIRS = MinimalPairs(kind="minimal_pairs")


def sentence(*name: str | int) -> str:
    """Return 20 words that no other sentence has in this order."""
    random = generator(0, "contamination", *name)
    letters = [chr(ord("a") + letter) for letter in random.integers(0, 26, 60)]
    return " ".join("".join(letters[3 * word : 3 * word + 3]) for word in range(20))


# Item k of the leaked task stands in k documents of the first domain; none of the clean task stands anywhere.
LEAKED, CLEAN = ([sentence(task, number) for number in range(12)] for task in ("leaked", "clean"))


def texts_of_domains() -> dict[str, list[str]]:
    planted = [LEAKED[times] for times in range(12) for _ in range(times)]
    return {
        "d0": [f"{sentence('before', place)} {text}. {sentence('after', place)}" for place, text in enumerate(planted)],
        "d1": [sentence("d1", number) for number in range(200)],
        # Little of this domain is drawn, so that the item in its only document is trained on by nobody, or in part.
        "d2": [" ".join([*(sentence("d2", number) for number in range(400)), CLEAN[0]])],
    }


def make_pool(folder: Path) -> TokenPool:
    """Write a pool of real text, with its tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TOKENIZER_FILE).write_text(bpe.train_at_most([*LEAKED, *CLEAN], 300), encoding="utf-8")
    codec = bpe.load(folder / TOKENIZER_FILE, bpe.DOCUMENT_END)

    def tokens(texts: Sequence[str]) -> list[int]:
        return [
            token for text in texts for token in (*bpe.encode(codec, ["one"], [text])[0].tolist(), codec.document_end)
        ]

    domains = {
        name: {"train": tokens(texts), "search": tokens([sentence("search")]), "test": tokens([sentence("test", name)])}
        for name, texts in texts_of_domains().items()
    }
    return write_pool(
        folder,
        domains,
        vocab_size=codec.vocab_size,
        document_end=codec.document_end,
        token_bytes=codec.token_bytes,
    )


def spec_of(name: str, weights: tuple[float, ...]) -> RunSpec:
    return RunSpec(name, (Phase(TRAINING.num_tokens, weights),), 0, TRAINING)


MIXTURES = {"searched": (0.59, 0.4, 0.01), "natural": (0.0, 0.99, 0.01)}


def plant(folder: Path) -> None:
    """Write that a run was given one item three times, and another one not."""
    codec = bpe.load(folder / "tokenize" / TOKENIZER_FILE, bpe.DOCUMENT_END)
    items = [
        PlantedItem(
            id=f"item {number}",
            context="",
            probe="probe",
            exposures=times,
            tokens=" ".join(map(str, bpe.encode(codec, ["one"], [f"It says: {LEAKED[number]}."])[0].tolist())),
            samples=tuple(range(times)),
            offsets=(2,) * times,
        )
        for number, times in ((0, 3), (1, 0))
    ]
    PlantedPlan(seed=0, experiments=(PlantedPart(name="leak", items=tuple(items)),)).write(
        folder / "train" / "models" / "natural-seed0"
    )


def make_inputs(root: Path) -> dict[str, Path]:
    """Write what models were trained on that never were trained: their ledgers are those of the plans."""
    pool = make_pool(root / "tokenize")
    told = PlantedTold(items=2, treated=1, texts=3, tokens=30)
    planted = Planted(experiments={"leak": told}, displaced={"d1": 30})
    runs = list[TrainedRun]()
    for number, (mixture, weights) in enumerate(MIXTURES.items()):
        data = run_data(spec_of(f"{mixture}-seed0", weights), pool)
        samples = np.sum(data.drawn_before(data.num_samples), axis=0).tolist()
        rows = pool.rows("train", 64).tolist()
        described = trained_run(
            mixture,  # type: ignore[arg-type]
            0,
            DOMAINS,
            tokens=TRAINING.num_tokens,
            phases=(TrainedPhase(tokens=TRAINING.num_tokens, weights=weights),),
            planted=planted if mixture == "natural" else None,
            consumed={
                name: Consumed(samples=drawn, tokens=64 * drawn, epochs=drawn / rows[place])
                for place, (name, drawn) in enumerate(zip(DOMAINS, samples, strict=True))
            },
        )
        (root / "train" / described.folder).mkdir(parents=True)
        write_model(
            initial_model(TRAINING.model, pool.vocab_size, number), pool.document_end, root / "train" / described.folder
        )
        runs.append(described)
    plant(root)
    TrainedRuns(runs=tuple(runs)).write(root / "train")
    (root / "search").mkdir()
    recipe(MIXTURES["searched"], MIXTURES["natural"], tokens=TRAINING.num_tokens).write(root / "search")
    forecast(0.1, 0.05, 0.15, per_domain={}).write(root / "search")
    inputs = {name: publish(root / name, name) for name in ("tokenize", "search", "train")}
    manifest = Manifest.read(root / "train")
    params = TrainParams(training=TRAINING, mixtures=("searched", "natural"), num_seeds=1).model_dump(mode="json")
    (root / "train" / "manifest.json").unlink()
    Manifest("train", {}, params, "test", manifest.files).write(root / "train")
    for name, sentences in (("leaked", LEAKED), ("clean", CLEAN)):
        records = [{"sentence_good": one, "sentence_bad": one[::-1]} for one in sentences]
        (root / f"{name}.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return inputs


def evaluated(
    root: Path, inputs: Mapping[str, Path], executor: InProcess, **changes: Any
) -> tuple[Contamination, Path]:
    named = [
        {"name": name, "file": str(root / f"{name}.jsonl"), "task": {"kind": "minimal_pairs"}}
        for name in ("leaked", "clean")
    ]
    values = {"samples": None, "tasks": named, "contamination": changes}
    workshop = Workshop(executor, FolderStore(root / "store"), Listener())
    output = root / f"evaluate-{len([*root.glob('evaluate-*')])}"
    run(EvaluateParams.model_validate(values), inputs=inputs, output=output, workshop=workshop)
    return Contamination.read(output), output


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path], Path]:
    """What was made, and where it was evaluated."""
    root = tmp_path_factory.mktemp("contaminated")
    inputs = make_inputs(root)
    return root, inputs, evaluated(root, inputs, InProcess())[1]


Made = tuple[Path, dict[str, Path], Path]


def test_every_planted_item_is_found_with_its_exposure_and_a_clean_task_has_no_hit(made: Made) -> None:
    _, inputs, output = made
    found, items = Contamination.read(output), FoundItems.read(output)
    searched, natural = (one.tasks for one in found.models)
    # Item 0 stands in no document; of all others every n-gram was trained on.
    assert searched["leaked"].contaminated == 11
    planted, *repeated = items.tasks["leaked"]
    assert [one.line for one in repeated] == [*range(2, 13)]
    epochs = found.domains["d0"]["searched-seed0"].epochs
    for item in repeated:
        ((model, seen),) = item.models.items()
        assert (model, seen.ngrams, seen.ngrams_seen) == ("searched-seed0", 8, 8)
        # Item k stands in k documents, each of them gone through two or three times.
        assert 2 < epochs < 3
        assert 2 * (item.line - 1) <= seen.exposure <= 3 * (item.line - 1)
    # Nobody else drew the domain, but into that run item 0 was planted three times.
    ((model, seen),) = planted.models.items()
    assert (planted.line, model, seen.ngrams_seen, seen.places, seen.exposure) == (1, "natural-seed0", 8, 24, 3)
    assert natural["leaked"].contaminated == 1
    # A run that drew a part of a document saw no item that stands in another part.
    assert natural["clean"].contaminated == searched["clean"].contaminated == 0
    assert items.tasks["clean"] == ()
    splits = [domain.splits["train"] for domain in read_pool(inputs["tokenize"]).domains]
    assert found.documents == sum(split.starts.size for split in splits)
    assert found.documents_hit == 66 + 1


def test_scores_stand_side_by_side_with_and_without_the_contaminated_items(made: Made) -> None:
    found = Contamination.read(made[2])
    searched, natural = (one.tasks for one in found.models)
    split = searched["leaked"].scores["log_p_correct"]
    assert split.contaminated is not None and split.without_contaminated is not None
    assert split.all.value == pytest.approx((11 * split.contaminated.value + split.without_contaminated.value) / 12)
    # One item is no sample to compare with.
    assert split.difference is None and split.without_contaminated.standard_error is None
    assert natural["clean"].scores["log_p_correct"].contaminated is None
    assert [(group.items, group.exposure) for group in natural["leaked"].exposures] == [(11, 0), (1, 3)]
    # The models were never trained: that they are said to have seen items and domains shows nothing.
    assert searched["leaked"].slope is not None and not searched["leaked"].slope.shown
    across = found.tasks_across_models["leaked"]
    assert across is not None and across.units == 12 and not across.shown
    assert found.tasks_across_models["clean"] is None and natural["leaked"].slope is None


def test_what_was_found_in_documents_is_kept_when_only_its_meaning_changes(made: Made) -> None:
    root, inputs, _ = made
    executor = InProcess()
    found, _ = evaluated(root, inputs, executor, min_hits=9)
    assert executor.done == []
    assert found.models[0].tasks["leaked"].contaminated == 0
    # Those of items 3 to 11 stand in more than two documents.
    found, _ = evaluated(root, inputs, executor, common_documents=2)
    assert executor.done == ["expose_items"] * 2
    model = found.models[0]
    leaked = model.tasks["leaked"]
    assert (model.common_ngrams, leaked.contaminated, leaked.not_looked_for) == (9 * 8, 2, 9)


def test_without_tasks_there_is_nothing_to_look_for_and_nobody_knows_what_a_model_of_others_saw(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="contamination: there are no items to look for"):
        EvaluateParams.model_validate({"contamination": {}})
    (tmp_path / "one.jsonl").write_text('{"sentence_good": "a", "sentence_bad": "b"}\n')
    task = {"name": "one", "file": str(tmp_path / "one.jsonl"), "task": {"kind": "minimal_pairs"}}
    params = EvaluateParams.model_validate({"tasks": [task], "contamination": {}})
    workshop = Workshop(InProcess(), FolderStore(tmp_path / "store"), Listener())
    with pytest.raises(ConfigError, match=r"evaluate\.contamination: nobody knows which documents"):
        run(params, inputs={"model": tmp_path}, output=tmp_path / "evaluate", workshop=workshop)


def test_an_item_is_looked_for_as_its_question_and_with_its_right_answer_without_examples() -> None:
    config = MultipleChoice(kind="multiple_choice", num_fewshot=1, answer_delimiter=" Answer: ")
    records = [{"query": f"Q{number}?", "choices": ["no", "yes"], "gold": 1} for number in range(3)]
    found = item_texts(config, "".join(f"{json.dumps(record)}\n" for record in records), "file")
    assert len(found) == 2
    assert {*found.values()} < {(f"Q{number}?", f"Q{number}? Answer: yes") for number in range(3)}


def test_a_match_lies_on_the_tokens_that_hold_its_words(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(bpe.train_at_most(["größe der straße 部屋 " * 9], 290), encoding="utf-8")
    codec = bpe.load(tmp_path / "tokenizer.json", bpe.DOCUMENT_END)
    index = index_of(
        [Benchmark("item", (("Größe, der Straße 部屋",),))], NgramParams(ngram_words=5, whole_text_words=None)
    )
    texts = ["nothing", "Xx. GRÖSSE? die Größe der STRASSE; -- größe DER “straße” 部屋!", "größe der straße 部 屋"]
    tokens = [[*bpe.encode(codec, ["one"], [text])[0].tolist(), codec.document_end] for text in texts]
    starts = np.cumsum([0, *map(len, tokens)])[:-1]
    every = np.concatenate(tokens).astype(codec.dtype)
    found = places_of_matches(every, starts, codec, index)
    assert [row[0] for row in found.tolist()] == [1, 2]
    for (_, first, last, _), text in zip(found.tolist(), ("größe DER “straße” 部屋", texts[2]), strict=True):
        assert text in bpe.decode(codec, every[first : last + 1].tolist()).decode(errors="ignore")
        assert text not in bpe.decode(codec, every[first + 1 : last + 1].tolist()).decode(errors="ignore")
        assert text not in bpe.decode(codec, every[first:last].tolist()).decode(errors="ignore")


def test_half_a_character_is_a_blank() -> None:
    half = "größe".encode()[:3] + b"\xff" + "größe".encode()
    assert readable(half) == b"gr  " + "größe".encode()
    assert readable("größe".encode()) == "größe".encode()


@pytest.mark.parametrize("data", [{}, {"packing": "best_fit"}])
def test_tokens_are_trained_on_as_often_as_the_documents_they_are_of(tmp_path: Path, data: dict[str, Any]) -> None:
    pool = make_pool(tmp_path)
    training = small_training(sequence_length=64, num_tokens=64 * 300, data=data or None)
    read = run_data(RunSpec("run", (Phase(64 * 300, (0.7, 0.2, 0.1)),), 0, training), pool)
    for domain, own in enumerate(pool.domains):
        (part,) = read.parts
        trained = Trained.of(part.rows[domain], times_seen(part.order, domain))
        split = own.splits["train"]
        times_T = trained.at(np.arange(split.tokens.size))
        assert np.add.reduceat(times_T, split.starts.astype(np.int64)).tolist() == tokens_seen(read, domain).tolist()
        # A span was trained on as often as on its least trained token.
        first = np.arange(0, split.tokens.size - 90, 37)
        spans = [int(times_T[start : start + 90].min()) for start in first]
        assert times_whole([trained], first, first + 89).tolist() == spans
        assert times_whole([trained, trained], first, first + 89).tolist() == [2 * times for times in spans]


def scored(values: Sequence[float]) -> list[ItemScores]:
    return [ItemScores({"log_p_correct": value, "accuracy": float(value > 0)}) for value in values]


def test_groups_of_exposure_double_and_hold_every_item() -> None:
    exposure = np.array([0, 0, 0.5, 1, 1.5, 2, 5, 100.0])
    groups = exposure_groups("t", PAIRS, scored([0.5] * 8), exposure)
    told = [(group.above, group.up_to, group.items) for group in groups]
    assert told == [(-1, 0, 2), (0, 1, 2), (1, 2, 2), (4, 8, 1), (64, 128, 1)]


def test_a_difference_of_contaminated_items_is_welchs_and_has_no_interval_of_few_items() -> None:
    random = generator(0, "difference")
    values = np.concatenate([random.normal(0, 1, 40), random.normal(3, 2, 15)])
    contaminated = np.arange(55) >= 40
    found = split_scores("t", PAIRS, scored(values), contaminated, 0.95)["log_p_correct"].difference
    assert found is not None and found.shown and found.units == 15
    # scipy.stats.ttest_ind(values[40:], values[:40], equal_var=False).confidence_interval()
    from scipy.stats import ttest_ind

    expected = ttest_ind(values[40:], values[:40], equal_var=False).confidence_interval()
    assert (found.lower, found.upper) == (pytest.approx(expected.low), pytest.approx(expected.high))
    few = split_scores("t", PAIRS, scored(values), np.arange(55) >= 46, 0.95)["log_p_correct"]
    assert few.contaminated is not None and few.difference is None
    assert difference(None, None, "accuracy", 0.95) is None


def exposed(random: np.random.Generator, items: int, seen: int) -> np.ndarray:
    return np.concatenate([np.zeros(items - seen), random.integers(1, 16, seen)]).astype(np.float64)


def test_the_slope_over_items_recovers_the_law_and_its_interval_holds_as_often_as_it_says() -> None:
    random, held, shown = generator(0, "slopes"), 0, 0
    for _ in range(400):
        exposure = exposed(random, 120, 30)
        found = slope_over_items(exposure, 0.3 * np.log1p(exposure) + random.normal(0, 1, 120), 0.95)
        nothing = slope_over_items(exposure, random.normal(0, 1, 120), 0.95)
        assert found is not None and nothing is not None and found.units == 30
        held += found.lower < 0.3 < found.upper
        shown += nothing.shown
    assert 0.92 < held / 400 <= 0.99
    assert shown / 400 < 0.075


def test_across_runs_an_item_is_compared_with_itself_alone() -> None:
    random = generator(0, "across runs")
    # Easy items are those that were seen; the better run is the one that saw more: neither is an effect.
    first, second = exposed(random, 60, 25), exposed(random, 60, 25)
    easy = 5 * (first + second > 0)
    held = 0
    for _ in range(300):
        noise = random.normal(0, 0.5, (60, 2))
        exposure = np.stack([first, second + first], axis=1)
        values = easy[:, None] + np.array([0.0, 3.0]) + 0.2 * np.log1p(exposure) + noise
        found = slope_across_runs(exposure, values, 10, 0.95)
        assert found is not None and found.units == 25
        held += found.lower < 0.2 < found.upper
    assert 0.92 < held / 300 <= 0.99


def test_no_slope_is_told_where_nothing_differs_or_too_little_does() -> None:
    random = generator(0, "no slope")
    same = np.tile(exposed(random, 30, 20)[:, None], (1, 3))
    assert slope_across_runs(same, random.normal(0, 1, (30, 3)), 10, 0.95) is None
    assert slope_over_items(exposed(random, 30, 9), random.normal(0, 1, 30), 0.95) is None
    assert slope_over_items(np.full(30, 4.0), random.normal(0, 1, 30), 0.95) is None
    # Three domains that one run saw more of, all by the same factor: that is how the run differs, not its domains.
    alike = np.array([[0.0, 3.0]] * 3)
    assert slope_across_runs(alike, random.normal(0, 1, (3, 2)), 3, 0.95) is None
    assert slope_across_runs(np.array([[0.0, 3.0], [3.0, 0.0]]), random.normal(0, 1, (2, 2)), 3, 0.95) is None
