"""The stage: every document is kept or dropped with a reason, once, in the same bytes whoever did the work."""

from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.executors import Executor
from infra.local_executor import LocalExecutor
from tasks.core.account import Account, Count
from tasks.core.errors import DataError, NothingKeptError
from tasks.core.manifest import Manifest
from tasks.core.rng import generator
from tasks.core.scripts import icu_version
from tasks.curate import gather
from tasks.curate.audit.folder import read_curated
from tasks.curate.audit.funnel_table import audit, funnel_table
from tasks.curate.config import CurateParams
from tasks.curate.fates import Fates, tally, warnings
from tasks.curate.native import kernel
from tasks.curate.published.funnel import FateCounts, Funnel
from tasks.curate.rules.profile import Profile
from tasks.curate.stage import run
from tasks.curate.statistics.gopher import STATISTICS
from tasks.curate.why import describe, stands_for, why
from tasks.ingest.published.documents import DOCUMENT
from tasks.runtime.command import _print
from tests.curate.folders import Document, document, ingest_folder, rows, workshop
from tests.curate.paragraphs import PARAGRAPHS
from tests.in_process import InProcess

_SMALL = (
    *("the", "of", "and", "to", "with", "that", "have", "be", "house", "river", "stone", "walked", "under", "green"),
    *("light", "morning", "people", "carried", "water", "slowly"),
)


def prose(number: int, words: int = 120) -> str:
    """Random words with enough stop words: it passes the rules of prose."""
    chosen = generator(3, "prose", number).integers(0, 60, words)
    return " ".join(_SMALL[i] if i < len(_SMALL) else f"word{number}x{i}" for i in chosen)


def corpus() -> list[Document]:
    good = [document(f"good-{i:02d}", prose(i)) for i in range(12)]
    # Cut off, so that the original survives.
    near = [document(f"near-{i}", " ".join(prose(i).split()[:-4]), "mirror") for i in range(4)]
    return [
        *good,
        *near,
        document("same", prose(5), "mirror"),
        document("short", "Too short.", "notes", None),
        document("empty", "", "notes", None),
        document("loop", "spam and eggs to have with that. " * 40, "notes"),
        document("foreign", " ".join(f"wort{i}" for i in range(80)), "poems", "de"),
    ]


def curate(
    folder: Path, shards: list[list[Document]], params: CurateParams | None = None, executor: Executor | None = None
) -> Manifest:
    ingest = folder / "ingest"
    if not ingest.exists():
        ingest_folder(ingest, shards)
    chosen = params or CurateParams()
    return run(chosen, inputs={"ingest": ingest}, output=folder / "curate", workshop=workshop(folder, executor))


def split(documents: list[Document], *sizes: int) -> list[list[Document]]:
    shards, start = [], 0
    for size in (*sizes, len(documents) - sum(sizes)):
        shards.append(documents[start : start + size])
        start += size
    return shards


@pytest.fixture(autouse=True)
def small_shards_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds for shards of a usual size is tried on small ones."""
    monkeypatch.setattr(gather, "SMALL_BYTES", 0)


@pytest.fixture
def curated(tmp_path: Path) -> Path:
    curate(tmp_path, split(corpus(), 8, 7))
    return tmp_path / "curate"


def test_every_document_is_kept_or_dropped_once_and_for_the_right_reason(curated: Path) -> None:
    kept, dropped = rows(curated, "kept"), rows(curated, "dropped")
    assert Counter(row["id"] for row in (*kept, *dropped)) == Counter(row["id"] for row in corpus())
    assert {row["id"]: (row["filter"], row["reason"]) for row in dropped} == {
        **{f"near-{i}": ("near_duplicate", "near_duplicate") for i in range(4)},
        "same": ("exact_duplicate", "exact_duplicate"),
        "short": ("gopher_quality", "too_few_words"),
        "empty": ("gopher_quality", "too_few_words"),
        "loop": ("gopher_repetition", "too_many_characters_in_top_2_gram"),
        "foreign": ("gopher_quality", "too_few_stop_words"),
    }


def test_the_account_closes_on_documents_and_bytes(curated: Path) -> None:
    account = Manifest.read(curated).account
    assert account is not None
    account.closed("here")
    texts = [row["text"] for row in corpus()]
    assert (account.taken.documents, account.taken.bytes) == (len(texts), sum(len(text.encode()) for text in texts))
    kept = rows(curated, "kept")
    assert (account.kept.documents, account.kept.bytes) == (12, sum(len(row["text"].encode()) for row in kept))
    assert account.kept.tokens == sum(row["pretokens"] for row in kept)
    assert sum(row["bytes"] for row in rows(curated, "dropped")) == account.taken.bytes - account.kept.bytes
    # "Too short." has two runs of letters and a dot.
    assert account.dropped["too_few_words"] == Count(2, len("Too short."), 3)


def test_kept_documents_keep_their_columns_and_gain_statistics_quality_and_cluster(curated: Path) -> None:
    schema = pq.read_schema(curated / "kept" / "00000.parquet")
    added = ["bytes", "pretokens", *STATISTICS, "quality", "duplicate_cluster", "duplicate_cluster_documents", "weight"]
    assert schema.names == [*DOCUMENT.names, *added]
    assert [schema.field(name).type for name in DOCUMENT.names] == list(DOCUMENT.types)
    kept = {row["id"]: row for row in rows(curated, "kept")}
    assert all(row["duplicate_cluster"] == name and 0 < row["quality"] <= 1 for name, row in kept.items())
    assert [kept[name]["duplicate_cluster_documents"] for name in ("good-00", "good-05", "good-09")] == [2, 2, 1]


def test_annotations_hold_every_document_in_the_order_of_its_shard(curated: Path) -> None:
    found = rows(curated, "annotations")
    assert [row["id"] for row in found] == [row["id"] for row in corpus()]
    assert list(found[0]) == ["id", "source", "bytes", "pretokens", *STATISTICS]


def test_each_source_is_read_as_its_profile_reads(tmp_path: Path) -> None:
    # The same text under two profiles in one shard, between others: words between blanks, and words by script.
    texts = [
        ("web", PARAGRAPHS["zh"]),
        ("multilingual", PARAGRAPHS["zh"]),
        ("web", prose(1)),
        ("multilingual", prose(2)),
    ]
    every = [document(f"{number}", text, source) for number, (source, text) in enumerate(texts)]
    curate(tmp_path, [every], CurateParams(duplicates=None))
    found = rows(tmp_path / "curate", "annotations")
    assert [row["words"] for row in found] == [1, 121, 120, 120]
    assert icu_version() in Manifest.read(tmp_path / "curate").libraries["icu4py"]


def test_a_dropped_duplicate_names_the_document_that_stands_for_it(curated: Path) -> None:
    details = {row["id"]: row["detail"] for row in rows(curated, "dropped")}
    assert details["same"] == "same text as good-05"
    assert details["near-2"].startswith("near duplicate of good-02 (estimated Jaccard 0.")
    assert details["short"] == "words 2 < 50"


def test_a_document_that_a_rule_drops_never_stands_for_another(tmp_path: Path) -> None:
    # The same text under two profiles: the one that drops it has the smaller id.
    strict = Profile(rules={"min_words": 121, "max_hash_word_ratio": 0.1, "max_ellipsis_word_ratio": 0.1})
    params = CurateParams(
        profiles={"strict": strict, "lax": Profile(rules={"min_words": 115})},
        profile_of_source={"s": "strict", "l": "lax"},
    )
    curate(tmp_path, [[document("a", prose(1), "s"), document("b", prose(1), "l")]], params)
    assert [row["id"] for row in rows(tmp_path / "curate", "kept")] == ["b"]


def test_the_fates_do_not_depend_on_how_documents_lie_in_shards(tmp_path: Path, curated: Path) -> None:
    shuffled = [corpus()[i] for i in generator(0, "shuffle").permutation(len(corpus()))]
    for number, shards in enumerate(([shuffled], split(shuffled, 1, 3, 10), split(shuffled[::-1], 5, 0, 5))):
        curate(tmp_path / str(number), shards)
        for kind in ("kept", "dropped"):
            here = sorted(rows(tmp_path / str(number) / "curate", kind), key=lambda row: str(row["id"]))
            assert here == sorted(rows(curated, kind), key=lambda row: str(row["id"]))


def test_kernels_and_their_fallbacks_publish_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = CurateParams.model_validate(
        {
            "annotate": ["gopher", "english", "pii"],
            "profile_of_source": {"mirror": "datatrove", "notes": "refinedweb", "poems": "web"},
            "duplicates": {"near": {"kind": "datatrove"}, "lines": {"min_chars": 20}},
            "refine": {},
        }
    )
    digests = set()
    for which in ("compiled", "python"):
        monkeypatch.setenv("MIXWRIGHT_KERNELS", which)
        kernel.cache_clear()
        digests.add(curate(tmp_path / which, split(corpus(), 8, 7), params).output)
    kernel.cache_clear()
    assert len(digests) == 1


def test_one_worker_and_two_give_the_same_bytes(tmp_path: Path) -> None:
    shards = split(corpus(), 8, 7)
    one = curate(tmp_path / "one", shards, executor=LocalExecutor(1))
    two = curate(tmp_path / "two", shards, executor=LocalExecutor(2))
    assert one.files == two.files
    assert (tmp_path / "one/curate/manifest.json").read_bytes() == (tmp_path / "two/curate/manifest.json").read_bytes()


def test_a_changed_threshold_computes_no_statistic_and_no_signature_again(tmp_path: Path) -> None:
    curate(tmp_path, split(corpus(), 8, 7))
    executor = InProcess()
    changed = CurateParams.model_validate({"profiles": {"prose": {"rules": {"min_words": 0}}}})
    curate(tmp_path, [], changed, executor)
    assert not {"annotate_shard", "sign_shard"} & set(executor.done) and "decide_shard" in executor.done
    reasons = {row["id"]: row["reason"] for row in rows(tmp_path / "curate", "dropped")}
    assert reasons["short"] == "too_few_stop_words"


def test_another_seed_signs_again_and_computes_no_statistic_again(tmp_path: Path) -> None:
    curate(tmp_path, split(corpus(), 8, 7))
    executor = InProcess()
    curate(tmp_path, [], CurateParams(seed=1), executor)
    assert "annotate_shard" not in executor.done and executor.done.count("sign_shard") == 3


def test_the_same_work_is_taken_as_it_is(tmp_path: Path) -> None:
    first = curate(tmp_path, split(corpus(), 8, 7))
    executor = InProcess()
    assert curate(tmp_path, [], executor=executor) == first
    assert executor.done == []


def test_without_deduplication_every_document_that_passes_is_kept(tmp_path: Path) -> None:
    curate(tmp_path, split(corpus(), 8), CurateParams(duplicates=None))
    kept = rows(tmp_path / "curate", "kept")
    assert len(kept) == 17
    assert all(row["duplicate_cluster"] == row["id"] and row["duplicate_cluster_documents"] == 1 for row in kept)


def test_the_report_says_first_which_source_and_which_language_lost_everything(curated: Path) -> None:
    found = Funnel.read(curated).warnings
    assert found[:4] == (
        "source mirror: all 5 documents were dropped, 4 of them as near_duplicate. They stand in other sources.",
        "source notes: all 3 documents were dropped, 2 of them as too_few_words. If you want it, give it another "
        "profile (curate.profile_of_source; any_language for text that is not English).",
        "source poems: all 1 documents were dropped, 1 of them as too_few_stop_words. If you want it, give it another "
        "profile (curate.profile_of_source; any_language for text that is not English).",
        "2 of 3 languages lost all their documents: unknown (2), de (1).",
    )


def test_a_source_lost_whole_is_the_last_that_a_command_says(curated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _print(Manifest.read(curated), curated, as_json=False)
    last = capsys.readouterr().out.splitlines()[-3:]
    assert [line.split(":")[1] for line in last] == [" source mirror", " source notes", " source poems"]


def test_a_run_that_keeps_nothing_fails_each_time_and_leaves_what_says_why(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(
            NothingKeptError, match=r"kept none of 3 documents: 2 too_few_words, 1 mean_word_too"
        ) as told:
            curate(tmp_path, [[document("a", "短い文"), document("b", ""), document("c", "x " * 60)]])
        assert told.value.exit_code == 1 and "any_language" in str(told.value)
    assert [row["reason"] for row in rows(tmp_path / "curate", "dropped")].count("too_few_words") == 2
    assert "too_few_words" in funnel_table(audit(read_curated(tmp_path / "curate")))


def test_a_rule_that_fails_everything_and_one_that_fails_nothing_are_called_out() -> None:
    failures = {"p": {"too_few_words": 4, "too_many_words": 0, "mean_word_too_long": 2}}
    counts = FateCounts(judged={"p": 4}, failures=failures)
    assert [line.partition(". ")[0].removesuffix(".") for line in warnings(counts)] == [
        "profile p: the rule too_few_words fails every one of its 4 documents",
        "profile p: 1 of 3 rules fail none of its 4 documents: too_many_words",
    ]


def fates(*documents: tuple[str, str, str | None]) -> Fates:
    sizes = np.arange(len(documents), dtype=np.int64)
    kept = np.where([reason is None for *_, reason in documents], sizes - 1, 0)
    return Fates(
        [source for source, *_ in documents],
        [language for _, language, _ in documents],
        [reason and "f" for *_, reason in documents],
        [reason for *_, reason in documents],
        sizes,
        2 * sizes,
        kept,
        2 * kept,
        {"cut": np.ones(len(documents), np.int64)},
        {"cut": np.full(len(documents), 2)},
    )


def test_funnels_of_shards_add_up_to_the_funnel_of_all() -> None:
    every = fates(*product("ab", "xy", (None, "q")))
    first = fates(*[("a", "x", None)] * 3)
    assert tally(first).account == Account(Count(3, 3, 6), Count(3, 0, 0), edited={"cut": Count(0, 3, 6)}).closed(
        "here"
    )
    both = tally(every) + tally(first)
    assert both.account.taken == Count(11, 28 + 3, 2 * (28 + 3)) and both.account.closed("here")
    assert both.filters["a"] == {"f": Count(2, 1 + 3, 2 * (1 + 3))}
    assert FateCounts.model_validate(both.model_dump(mode="json")) == both


def test_audit_shows_the_funnel_of_each_source(curated: Path) -> None:
    found = audit(read_curated(curated))
    mirror = next(row for row in found.rows if row.source == "mirror")
    assert (mirror.taken.documents, mirror.kept.documents) == (5, 0)
    assert {name: count.documents for name, count in mirror.dropped.items()} == {
        "exact_duplicate": 1,
        "near_duplicate": 4,
    }
    assert (found.total.taken.documents, found.total.kept.documents) == (21, 12)
    lines = funnel_table(found).splitlines()
    assert lines[0].startswith("! source mirror") and lines[-1].split()[:4] == ["all", "21", "12", "57.1%"]


def test_why_tells_the_story_of_a_dropped_document(curated: Path) -> None:
    story = why(curated, "short")
    assert not story.kept
    assert (story.filter, story.reason, story.detail) == ("gopher_quality", "too_few_words", "words 2 < 50")
    failed = [check.reason for check in story.checks if not check.passed]
    assert failed == ["too_few_words", "too_few_stop_words"]
    assert "FAIL words 2 (threshold 50, too_few_words)" in describe(story)


def test_why_tells_for_whom_a_kept_document_stands(curated: Path) -> None:
    story = why(curated, "good-02")
    assert story.kept and story.stands_for == ("near-2",) and story.file == "kept/00000.parquet"
    assert why(curated, "good-05").stands_for == ("same",)
    assert all(check.passed for check in story.checks)


def test_a_document_without_others_stands_for_nobody_and_is_not_stood_for_by_itself(
    curated: Path, tmp_path: Path
) -> None:
    (tmp_path / "dropped").mkdir()
    pq.write_table(pa.table({"id": ["a", "b"], "survivor": ["a", "a"]}), tmp_path / "dropped" / "0.parquet")
    assert stands_for(tmp_path, "a") == ["b"]
    lone = replace(why(curated, "short"), survivor="short")
    assert "stood for by" not in describe(lone) and "stood for by x" in describe(replace(lone, survivor="x"))


def test_why_says_when_a_document_was_never_seen(curated: Path) -> None:
    with pytest.raises(DataError, match="nobody: curate never saw"):
        why(curated, "nobody")


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ingest").mkdir()
    with pytest.raises(DataError, match=r"no manifest.json here"):
        curate(tmp_path, [])


def test_the_folder_of_another_stage_is_refused(tmp_path: Path) -> None:
    ingest_folder(tmp_path / "ingest", [corpus()], stage="cluster")
    with pytest.raises(DataError, match="published by cluster; what ingest published is read here"):
        curate(tmp_path, [])
    for question in (lambda: read_curated(tmp_path / "ingest"), lambda: why(tmp_path / "ingest", "a")):
        with pytest.raises(DataError, match="not by curate"):
            question()


def test_an_input_without_documents_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="ingest published no documents"):
        curate(tmp_path, [])


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    shard = ingest_folder(tmp_path / "ingest", [corpus()]) / "documents" / "00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(
        DataError, match=r"1 of 1 files are missing or are not what ingest published.*documents/00000.parquet"
    ):
        curate(tmp_path, [])


def test_an_empty_shard_stays_an_empty_shard(tmp_path: Path) -> None:
    curate(tmp_path, split(corpus(), 5, 0))
    for kind in ("kept", "dropped", "annotations"):
        shard = pq.read_table(tmp_path / "curate" / kind / "00001.parquet")
        assert shard.num_rows == 0
        assert shard.schema == pq.read_schema(tmp_path / "curate" / kind / "00000.parquet")
