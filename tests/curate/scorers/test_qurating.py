"""QuRating: judgements of pairs, from files or an endpoint, explained by a score that every document has."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from cli.costs import StepRow, stage_table
from infra.errors import BudgetError
from infra.settings import EndpointSettings
from tasks.core.errors import ConfigError, DataError, EvidenceError
from tasks.curate import gather
from tasks.curate.config import CurateParams
from tasks.curate.published.scored import Scored
from tasks.curate.scorers.judgements import Judged, pairs_of, read_judgements
from tasks.curate.scorers.students import Student
from tasks.curate.selection.quantiles import Quantiles
from tasks.curate.selection.sampled import Sampled
from tasks.curate.stage import run
from tasks.runtime.asked import Asked
from tasks.runtime.context import Workshop
from tests.curate.folders import Document, document, ingest_folder, rows, workshop
from tests.curate.scorers.latent import latent_documents, texts_shown, value_of
from tests.curate.test_selection import kept, values
from tests.infra.endpoint_server import Body, EndpointServer, Reply, endpoint_server


@pytest.fixture(autouse=True)
def small_shards_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "SMALL_BYTES", 0)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def curate(
    place: Path, shards: Sequence[Sequence[Document]], scorer: dict[str, Any], places: Workshop | None = None
) -> dict[str, float]:
    if not (place / "ingest").exists():
        ingest_folder(place / "ingest", shards)
    scorers = [{"kind": "qurating", "name": "edu", "num_buckets": 4096} | scorer]
    values = {"scorers": scorers, "profile": "all", "profiles": {"all": {"rules": {}}}, "duplicates": None}
    params = CurateParams.model_validate(values)
    run(params, inputs={"ingest": place / "ingest"}, output=place / "out", workshop=places or workshop(place))
    return {row["id"]: row["edu"] for row in rows(place / "out", "scores/edu")}


def judged(documents: Sequence[Document], latent: Any, count: int, noise: float, path: Path) -> Path:
    """Write judgements drawn from the Bradley-Terry model, some of them wrong."""
    rng = np.random.default_rng(1)
    lines = []
    for a, b in rng.choice(len(documents), (count, 2)):
        if a != b:
            won = rng.random() < 1 / (1 + np.exp(latent[b] - latent[a]))
            p = float(won != (rng.random() < noise))
            lines.append(json.dumps({"a": documents[a]["id"], "b": documents[b]["id"], "p": p}))
    path.write_text("\n".join([*lines, json.dumps({"a": "nobody", "b": documents[0]["id"], "p": 1})]) + "\n")
    return path


def test_scores_of_documents_nobody_judged_are_ordered_as_the_truth_is(tmp_path: Path) -> None:
    # The check of the recipe: Bradley-Terry, 3 % of the judgements wrong, held-out documents.
    documents, latent = latent_documents(900)
    file = judged(documents[:600], latent, 3000, 0.03, tmp_path / "pairs.jsonl")
    scores = curate(tmp_path, [documents[:500], documents[500:]], {"judgements": [str(file)]})
    found = [scores[row["id"]] for row in documents[600:]]
    assert spearmanr(found, latent[600:]).statistic >= 0.95
    told = Scored.read(tmp_path / "out").scorers["edu"].learned
    assert told["not_in_pool"] == 1 and told["held_out_accuracy"] > 0.7


def reply_by(value: Any, prefers: str | None = None) -> Any:
    def reply(body: Body, before: int) -> Reply:
        a, b = texts_shown(str(body["messages"][-1]["content"]))
        if prefers is not None:
            return Reply(prefers)
        return Reply("I cannot say." if "word7 " in a[:60] else "A" if value(a) > value(b) else "B")

    return reply


def asked(server: EndpointServer, **more: Any) -> dict[str, Any]:
    return {"endpoint": {"base_url": server.url, "model": "m"}, "num_documents": 60, "num_pairs": 150, **more}


def test_an_endpoint_is_asked_once_for_any_shards_and_its_published_answers_give_the_same_scores(
    tmp_path: Path,
) -> None:
    documents, latent = latent_documents(90)
    places = workshop(tmp_path)
    with endpoint_server(reply_by(value_of())) as server:
        scores = curate(tmp_path / "a", [documents], asked(server, excerpt_chars=700), places)
        assert len(server.asked) == 300, "both orders of each pair"
        again = curate(tmp_path / "b", [documents[:20], documents[20:]], asked(server, excerpt_chars=700), places)
        assert len(server.asked) == 300
    told = Scored.read(tmp_path / "a" / "out").scorers["edu"].learned
    answers = tmp_path / "a" / "out" / "learned" / "edu" / "answers.jsonl"
    unread = sum("cannot" in json.loads(line)["answer"] for line in answers.read_text().splitlines())
    assert told["unreadable"] == unread > 0 and told["one_order_only"] > 0
    assert scores == again
    assert spearmanr([scores[row["id"]] for row in documents], latent).statistic > 0.8
    from_file = curate(tmp_path / "c", [documents], {"judgements": [str(answers)], "excerpt_chars": 700})
    assert from_file == scores


def test_a_budget_ends_a_curation_and_the_same_command_goes_on_from_there(tmp_path: Path) -> None:
    documents, _ = latent_documents(40)
    with endpoint_server(reply_by(value_of())) as server:
        places = workshop(tmp_path)
        limited = Workshop(places.executor, places.store, asking=EndpointSettings(max_requests=100))
        scorer = asked(server, num_documents=20, num_pairs=60)
        with pytest.raises(BudgetError, match="100 of 120 requests are answered and kept"):
            curate(tmp_path, [documents], scorer, limited)
        assert len(curate(tmp_path, [documents], scorer, places)) == 40
        curate(tmp_path / "again", [documents], scorer, places)
        assert len(server.asked) == 120
    paid = [_paid(places, folder) for folder in (tmp_path, tmp_path / "again")]
    assert paid[0].asked == paid[0].asked_here == paid[1].asked and paid[0].asked.requests == 120
    assert paid[0].asked.input_tokens > 0 < paid[0].asked.output_tokens
    assert paid[1].asked_here == Asked()


def _paid(places: Workshop, folder: Path) -> StepRow:
    table = stage_table(places.store, "curate", folder / "out")
    assert table is not None
    return next(row for row in table.rows if row.label == "curate: questions of edu")


def test_a_model_that_answers_by_place_is_told_from_one_that_judges(tmp_path: Path) -> None:
    documents, _ = latent_documents(30)
    with endpoint_server(reply_by(None, "A")) as server, pytest.raises(EvidenceError, match=r"0 pairs .*by place 40"):
        curate(tmp_path, [documents], asked(server, num_documents=20, num_pairs=40))
    with endpoint_server(reply_by(None, "Both!")) as server, pytest.raises(EvidenceError, match="unreadable 80"):
        curate(tmp_path / "b", [documents], asked(server, num_documents=20, num_pairs=40))


def test_pairs_are_chosen_by_ids_and_each_once() -> None:
    ids = [f"d{i}" for i in range(9)]
    pairs = pairs_of(ids, 30, 0)
    assert pairs == pairs_of(ids[::-1], 30, 0) != pairs_of(ids, 30, 1)
    assert len({frozenset(pair) for pair in pairs}) == 30
    assert len(pairs_of(ids, 1000, 0)) == 36
    often = [sum(name in pair for pair in pairs_of(ids, 8, 0)) for name in ids]
    assert max(often) - min(often) <= 2


def test_both_orders_make_a_judgement_and_half_of_the_answers_must_be_read(tmp_path: Path) -> None:
    answers = [
        ("a", "b", "A"), ("a", "b", "A"), ("b", "a", "B"), ("b", "a", "A"),  # (1 + 1 - .5) / 2
        ("c", "d", "A"), ("d", "c", "A"),  # by place
        ("e", "f", "A"), ("f", "e", "?"),
        ("g", "h", "A"), ("g", "h", "-"), ("h", "g", "B"),  # no more than half
    ]  # fmt: skip
    lines = [json.dumps({"a": a, "b": b, "answer": answer}) for a, b, answer in answers]
    lines += ['{"a": "i", "b": "k", "answer": null, "why": "refused"}', '{"a": "l", "b": "m", "p": 0.25}']
    file = tmp_path / "answers.jsonl"
    file.write_text("\n".join(lines))
    found = read_judgements([file], "test")
    assert found.pairs == (Judged("a", "b", 0.75), Judged("c", "d", 0.5), Judged("l", "m", 0.25))
    assert (found.by_place, found.half, found.unreadable, found.without) == (1, 3, 2, 1)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('{"a": "d0", "b": "d0", "p": 1}', r'line 1: expected {"a": ID, "b": ID'),
        ('{"a": "d0", "b": "d1", "p": 2}', "p is 2; the chance"),
        ('{"a": "d0"', "this is no JSON"),
        (
            '{"a": "x", "b": "y", "p": 1}\n{"a": "z", "b": "y", "p": 1}',
            "none of its 2 judged pairs .* first is of x and y",
        ),
    ],
)
def test_files_of_judgements_that_cannot_be_used_are_named(lines: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text(lines + "\n")
    with pytest.raises(DataError, match=said):
        curate(tmp_path, [[document("d0", "a text"), document("d1", "another")]], {"judgements": [str(file)]})


def test_judgements_come_from_files_or_an_endpoint(tmp_path: Path) -> None:
    endpoint = {"base_url": "http://x/v1", "model": "m"}
    for wrong in ({}, {"endpoint": endpoint, "judgements": ["x.jsonl"]}):
        with pytest.raises(ValueError, match="name judgements"):
            curate(tmp_path, [], wrong)
    with pytest.raises(ValueError, match=r"raise endpoint\.temperature"):
        curate(tmp_path, [], {"endpoint": endpoint, "generations": 2})
    for url, said in (("https://name:word@x/v1", "user name or password"), ("https://x/v1?api_key=17", "api_key")):
        with pytest.raises(ValueError, match=said) as error:
            curate(tmp_path, [], {"endpoint": endpoint | {"base_url": url}})
        assert "word@" not in str(error.value).split("input_value")[0]
    with pytest.raises(ConfigError, match="there is no such file"):
        curate(tmp_path / "b", [[document("d0", "a text")]], {"judgements": ["nowhere.jsonl"]})


def test_a_text_without_words_has_no_score() -> None:
    found = Student(np.ones((7, 1), np.float32), np.zeros(1)).scores(["two words", " \n"])
    assert found[0, 0] == pytest.approx(1) and np.isnan(found[1, 0])


def test_sampling_at_a_temperature_keeps_sources_that_the_highest_scores_lose() -> None:
    # The recipe's second check: sources differ in their mean score, as theirs do.
    rng = np.random.default_rng(0)
    source = np.repeat(np.arange(8), 500)
    given = values(rng.normal(size=4000) + 0.8 * source)

    def entropy(selection: Sampled | Quantiles) -> float:
        share = np.bincount(source[kept(selection, given)], minlength=8)
        share = share[share > 0] / share.sum()
        return float(-(share * np.log(share)).sum() / np.log(8))

    assert entropy(Sampled(score="s", share=0.2, temperature=2.0)) >= 0.8
    assert entropy(Quantiles(score="s", low=0.8)) < 0.6
