"""A comparison of arms as its user runs it: small models on a small pool, in this process."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from infra.storage import FolderStore
from tasks.arms.config import ArmsParams
from tasks.arms.page import headline
from tasks.arms.plan import arms_of
from tasks.arms.published import ArmComparison, ArmsComparison
from tasks.arms.stage import effect_words, run
from tasks.core.errors import ConfigError, DataError
from tasks.core.manifest import Manifest
from tasks.evaluation.tasks.published import Scores
from tasks.runtime.context import Workshop
from tasks.tokenize.published import TOKENIZER_FILE
from tests.evaluation.test_harness_results import written
from tests.evaluation.test_stage import pool_with_tokenizer, publish
from tests.evaluation.test_task_models import model_folder
from tests.in_process import InProcess
from tests.mixture.test_stage import PROXY, Listener
from tests.report.test_page import Elements

ARMS: list[dict[str, Any]] = [
    {"name": "natural"},
    {"name": "first", "weights": {"d0": 3, "d1": 1}},
    {"name": "slow", "training": {"optimizer": {"learning_rate": 1e-4}}},
]


def params(**changes: Any) -> ArmsParams:
    values = {"training": PROXY, "arms": ARMS, "num_seeds": 3, "max_epochs": 8.0}
    return ArmsParams.model_validate(values | changes)


def compare(root: Path, asked: ArmsParams, pool: Path, executor: InProcess) -> tuple[Manifest, Listener]:
    listener = Listener()
    workshop = Workshop(executor, FolderStore(root / "store"), listener)
    return run(asked, inputs={"tokenize": pool}, output=root / "arms", workshop=workshop), listener


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, ArmsComparison, InProcess]:
    root, executor = tmp_path_factory.mktemp("arms"), InProcess()
    pool = pool_with_tokenizer(root / "tokenize")
    compare(root, params(), pool, executor)
    return root, pool, ArmsComparison.read(root / "arms"), executor


def test_every_arm_is_run_with_every_seed_and_measured_on_the_common_text(
    finished: tuple[Path, Path, ArmsComparison, InProcess],
) -> None:
    root, _, found, executor = finished
    assert [(one.arm, one.seed) for one in found.runs] == [
        (arm["name"], 20_000 + number) for arm in ARMS for number in range(3)
    ]
    assert executor.done.count("train_run") == executor.done.count("measure") == 9
    assert [one.arm for one in found.comparisons] == ["first", "slow"]
    assert len({one.tokens for one in found.runs}) == 1
    for one in found.runs:
        domains = [value for name, value in one.scores.items() if name.startswith("bits_per_byte.")]
        assert one.scores["bits_per_byte"] == pytest.approx(sum(domains) / 3)
    told = (root / "arms" / "arms.md").read_text()
    assert all(one.statement in told for one in found.comparisons) and "| first | bits_per_byte.d0 |" in told


def test_the_page_leads_with_the_decision_and_tells_what_arms_had_otherwise(
    finished: tuple[Path, Path, ArmsComparison, InProcess],
) -> None:
    root, pool, found, _ = finished
    page = (root / "arms" / "page.html").read_text(encoding="utf-8")
    Elements(page)
    assert f'<p class="headline">{headline(found)}</p>' in page
    assert all(f"{one.statement}</p>" in page for one in found.comparisons)
    table = page.partition("Settings in which arms differ")[2].partition("</table>")[0]
    assert table.count("<th>") == 2 and "<th>training.optimizer.learning_rate</th>" in table
    assert '<td class="domain">slow</td><td>0.0001</td>' in table
    for value in (Manifest.read(pool).output, "training loss, nats per token", "seed 20002: "):
        assert value in page


def test_the_headline_says_what_to_do() -> None:
    def told(*arms: tuple[float, bool, float | None]) -> str:
        made = [
            ArmComparison(
                arm=f"arm{number}", gain=gain, lower=gain - 0.01, upper=gain + 0.01, claim=claim, test="paired",
                adjusted=adjusted, detectable=0.01, differences=(gain,) * 3, statement="", secondary={},
            )
            for number, (gain, claim, adjusted) in enumerate(arms)
        ]  # fmt: skip
        found = ArmsComparison(
            baseline="natural", primary="bits_per_byte", confidence=0.95, adjustment="holm", directions={}, runs=(),
            comparisons=tuple(made),
        )  # fmt: skip
        return headline(found)

    assert told((0.1, True, 0.01), (0.2, True, 0.02), (0.3, False, 0.2)) == "Take arm1: it beats natural."
    assert told((-0.1, False, 0.01), (-0.2, False, 0.02)) == "Keep natural: every other arm is worse."
    assert told((-0.1, False, 0.01), (0.005, False, 0.5)) == "Keep natural: no arm is shown to be better."
    assert told((-0.1, False, 0.2)) == "No difference shown: keep natural, or measure with more seeds."


def test_arms_that_were_run_are_not_run_again(finished: tuple[Path, Path, ArmsComparison, InProcess]) -> None:
    root, pool, found, _ = finished
    executor = InProcess()
    more = params(arms=[*ARMS, {"name": "again", "weights": {"d0": 1, "d1": 1, "d2": 2}}])
    compare(root, more, pool, executor)
    assert executor.done.count("train_run") == 3
    known = [one for one in ArmsComparison.read(root / "arms").runs if one.arm != "again"]
    assert known == list(found.runs)


def test_a_task_can_make_the_claim(finished: tuple[Path, Path, ArmsComparison, InProcess], tmp_path: Path) -> None:
    root, pool, _, _ = finished
    file = tmp_path / "pairs.jsonl"
    file.write_text(
        '{"sentence_good": "abc", "sentence_bad": "cba"}\n{"sentence_good": "bcd", "sentence_bad": "dcb"}\n'
    )
    task = {"name": "pairs", "file": str(file), "task": {"kind": "minimal_pairs"}}
    executor = InProcess()
    compare(root, params(tasks=[task], primary="pairs.log_p_correct"), pool, executor)
    assert "train_run" not in executor.done
    found = ArmsComparison.read(root / "arms")
    assert found.primary == "pairs.log_p_correct" and "bits_per_byte" in found.comparisons[0].secondary
    page = (root / "arms" / "page.html").read_text(encoding="utf-8")
    assert page.partition("Other items, the same models")[2].partition("</table>")[0].count("<td>pairs</td>") == 2
    assert len(Scores.read(root / "arms").models) == 9


def test_results_of_the_harness_can_make_the_claim_if_every_run_has_them(
    finished: tuple[Path, Path, ArmsComparison, InProcess], tmp_path: Path
) -> None:
    root, pool, found, _ = finished
    names = [f"{one.arm}-seed{one.seed}" for one in found.runs]
    files = [written(tmp_path / f"{name}.json", model_name=name) for name in names]
    compare(root, params(harness_results=files, primary="toy.acc"), pool, InProcess())
    taken = ArmsComparison.read(root / "arms")
    assert {one.scores["toy.acc"] for one in taken.runs} == {0.75}
    assert taken.primary == "toy.acc" and not any(one.claim for one in taken.comparisons)
    with pytest.raises(ConfigError, match=r"primary: toy has no score speed"):
        compare(root, params(harness_results=files, primary="toy.speed"), pool, InProcess())
    with pytest.raises(DataError, match=f"toy is there for 8 of 9 models; first without: {names[-1]}"):
        compare(root, params(harness_results=files[:-1], primary="toy.acc"), pool, InProcess())


def test_the_one_domain_of_a_pool_cannot_be_left_out_nor_an_arm_be_called_as_one_that_leaves_out() -> None:
    with pytest.raises(
        ConfigError, match="leave_one_out: the pool has one domain, prose, and without it there is nothing"
    ):
        arms_of(params(leave_one_out=True), ("prose",), (1.0,))
    taken = params(arms=[{"name": "natural"}, {"name": "without-code"}], leave_one_out=True)
    with pytest.raises(ConfigError, match="an arm of the file is called without-code too"):
        arms_of(taken, ("prose", "code"), (0.5, 0.5))


def test_domains_in_any_script_are_left_out_by_arms_whose_names_can_be() -> None:
    arms = arms_of(params(leave_one_out=True), ("my web.v2", "日本", "中国", "c++"), (0.25,) * 4)
    assert [arm.name for arm in arms[3:]] == ["without-my_web_v2", "without-__-1", "without-__-2", "without-c++"]
    assert set(arms[4].weights or ()) == {"my web.v2", "中国", "c++"}


def test_leaving_out_every_domain_is_an_option_and_flops_may_be_what_is_equal(tmp_path: Path) -> None:
    larger = {"name": "larger", "training": {"model": {"hidden_size": 2 * PROXY.model.hidden_size}}}
    asked = params(arms=[{"name": "natural"}, larger], leave_one_out=True, equal="flops", num_seeds=2)
    compare(tmp_path, asked, pool_with_tokenizer(tmp_path / "tokenize"), InProcess())
    found = ArmsComparison.read(tmp_path / "arms")
    assert [one.arm for one in found.comparisons] == ["larger", "without-d0", "without-d1", "without-d2"]
    by_arm = {one.arm: one for one in found.runs}
    assert by_arm["larger"].tokens < by_arm["natural"].tokens
    assert by_arm["larger"].flops == pytest.approx(by_arm["natural"].flops, rel=0.3)
    assert all("too few" in one.statement for one in found.comparisons)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"baseline": "nature"}, "no arm is called nature"),
        ({"arms": ARMS[:1]}, "nothing to compare the baseline with"),
        ({"arms": [*ARMS, ARMS[0]]}, "natural stand there twice"),
        ({"primary": "speed"}, "there is no score speed"),
        ({"arms": [*ARMS, {"name": "a", "training": {"evaluations": {"every_steps": 1}}}]}, "is of no arm"),
        ({"arms": [ARMS[0], {"name": "a", "weights": {"d0": 0}}]}, "its weights sum to 0"),
    ],
)
def test_params_that_compare_nothing_are_refused(changes: Mapping[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        params(**changes)


def test_arms_that_cannot_be_run_are_named_together_before_any_is(tmp_path: Path) -> None:
    pool = pool_with_tokenizer(tmp_path / "tokenize")
    longer = {"name": "longer", "training": {"num_tokens": 2 * PROXY.num_tokens}}
    arms = [ARMS[0], {"name": "lost", "weights": {"d9": 1}}, longer]
    executor = InProcess()
    with pytest.raises(ConfigError, match="2 of 3 arms cannot be run") as caught:
        compare(tmp_path, params(arms=arms), pool, executor)
    assert "has weights for d9" in str(caught.value) and "not a comparison at equal tokens" in str(caught.value)
    assert executor.done == []


def test_a_start_that_fits_no_arm_is_refused_for_arms_made_of_domains_too(tmp_path: Path) -> None:
    pool, other = pool_with_tokenizer(tmp_path / "tokenize"), model_folder(tmp_path / "m")
    start = {"kind": "hugging_face", "folder": str(other)}
    arms = [{"name": "natural", "start": {"kind": "scratch"}}]
    executor = InProcess()
    with pytest.raises(ConfigError, match="arm without-d0, start: "):
        compare(tmp_path, params(arms=arms, leave_one_out=True, start=start), pool, executor)
    assert executor.done == []


@pytest.mark.parametrize(
    ("primary", "told"),
    [
        ("bits_per_byte.d9", "the pool has no domain of bits_per_byte.d9"),
        ("pairs.speed", "primary: pairs has no score speed"),
    ],
)
def test_a_primary_score_that_no_arm_will_have_is_refused_before_any_is_run(
    tmp_path: Path, primary: str, told: str
) -> None:
    (tmp_path / "pairs.jsonl").write_text('{"sentence_good": "abc", "sentence_bad": "cba"}\n')
    task = {"name": "pairs", "file": str(tmp_path / "pairs.jsonl"), "task": {"kind": "minimal_pairs"}}
    executor = InProcess()
    with pytest.raises(ConfigError, match=told):
        compare(tmp_path, params(tasks=[task], primary=primary), pool_with_tokenizer(tmp_path / "tokenize"), executor)
    assert executor.done == []


@pytest.mark.parametrize("where", ["tasks", "score_sets"])
def test_the_name_of_the_score_that_every_arm_has_is_nobody_elses(where: str) -> None:
    task = {"name": "bits_per_byte", "file": "f.jsonl", "task": {"kind": "text"}}
    named = {"tasks": [task], "score_sets": [{"name": "bits_per_byte", "weights": {"t": 1}}]}
    others = {"tasks": [task | {"name": "t"}]} if where == "score_sets" else {}
    with pytest.raises(ValidationError, match="bits_per_byte is the score that every arm has"):
        params(**others, **{where: named[where]})


def test_an_arm_may_have_text_of_its_own_in_the_tokens_of_all(tmp_path: Path) -> None:
    pool, other = (pool_with_tokenizer(tmp_path / name) for name in ("tokenize", "other"))
    arms = [{"name": "natural"}, {"name": "filtered", "tokens": str(other), "weights": {"d0": 1, "d1": 1}}]
    compare(tmp_path, params(arms=arms, num_seeds=2), pool, InProcess())
    assert {one.arm for one in ArmsComparison.read(tmp_path / "arms").runs} == {"natural", "filtered"}
    changed = json.loads((other / TOKENIZER_FILE).read_text())
    (other / TOKENIZER_FILE).write_text(json.dumps(changed | {"truncation": None}))
    publish(other, "tokenize")
    with pytest.raises(ConfigError, match="1 of 2 pools have another tokenizer"):
        compare(tmp_path, params(arms=arms, num_seeds=2), pool, InProcess())


def test_workers_that_cannot_share_the_steps_of_an_arm_are_refused_before_any_is_run(tmp_path: Path) -> None:
    executor = InProcess()
    workshop = Workshop(executor, FolderStore(tmp_path / "store"), Listener(), world_size=3)
    inputs = {"tokenize": pool_with_tokenizer(tmp_path / "tokenize")}
    with pytest.raises(ConfigError, match="cannot be shared evenly by 3 workers"):
        run(params(), inputs=inputs, output=tmp_path / "arms", workshop=workshop)
    assert executor.done == []


def test_which_effect_can_be_found_is_said_before_anything_is_spent() -> None:
    assert effect_words(params(num_seeds=2)) == (
        "arms: 2 seeds give no interval and no claim; 3 are needed (num_seeds)"
    )
    assert "1.682 standard deviations" in effect_words(params(num_seeds=5))
    assert "a gain of 0.01682 in bits_per_byte" in effect_words(params(num_seeds=5, noise_sd=0.01))
