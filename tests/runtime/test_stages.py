"""A driver from its inputs to its manifest, in a folder and in a store that is none; and what it refuses."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from infra.object_store import ObjectStore
from infra.progress import SilentObserver
from infra.s3 import Bucket
from infra.storage import FolderStore, Store
from tasks.core.account import Account, Count
from tasks.core.errors import AccountError, ConfigError, DamagedError, DataError
from tasks.core.handles import ByteRange, Handle, Tree
from tasks.core.manifest import Manifest
from tasks.core.params import Params
from tasks.core.published import Published
from tasks.core.results import Here, UnitResult
from tasks.runtime.context import Workshop
from tasks.runtime.explain import explain, last_published
from tasks.runtime.stages import StageRun, environment_over, published, stage_input
from tasks.runtime.step import Step
from tests.fixtures_stores import CACHE_BYTES, spoil
from tests.in_process import InProcess
from tests.runtime.bucket import BucketStore
from tests.runtime.test_step import Heard, contents


class Lengths(Published):
    FILE: ClassVar[str] = "lengths.json"
    format: Literal[1] = 1
    lengths: tuple[int, ...]


class WordParams(Params):
    words: tuple[str, ...] = ("a", "bb")
    ending: str | None = None


@dataclass(frozen=True)
class Whole:
    words: Tree
    first: Handle
    ending: str | None


def write(word: str, here: Here) -> UnitResult:
    """Write a word."""
    (here.folder / "word.txt").write_text(word)
    return UnitResult(Account(Count(1, len(word)), Count(1, len(word))))


def join(args: Whole, here: Here) -> UnitResult:
    """Write all words in one file, and the first byte of the first."""
    texts = [(args.words.local() / name).read_text() for name in args.words.names]
    with args.first.open() as stream:
        first = stream.read()
    (here.folder / "all.txt").write_text(" ".join(texts) + (args.ending or "") + first.decode())
    return UnitResult()


WRITE = Step("toy.write", "words", write)
JOIN = Step("toy.join", "joined", join)


def words(params: WordParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """A stage that reads nothing."""
    stage = StageRun(workshop, "words", __name__, params, {}, output)
    if (found := stage.unchanged()) is not None:
        return found
    records = WRITE.map(workshop, params.words)
    files = {f"words/{number}.txt": record.file("word.txt") for number, record in enumerate(records)}
    account = sum((record.account for record in records if record.account), Account())
    lengths = Lengths(lengths=tuple(map(len, params.words)))
    return stage.publish({**files, Lengths.FILE: lengths}, account=account, environment=environment_over(records))


def joined(params: WordParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """A stage that reads what `words` published."""
    given = stage_input(workshop, inputs, "words")
    stage = StageRun(workshop, "joined", __name__, params, {"words": given.digest}, output)
    if (found := stage.unchanged()) is not None:
        return found
    tree = given.tree("words/")
    assert given.read(Lengths).lengths == tuple(handle.bytes for handle in tree)
    first = next(iter(tree))
    part = Handle(first.store, first.location, first.name, first.digest, first.bytes, ByteRange(0, 1))
    record = JOIN.one(workshop, Whole(tree, part, params.ending))
    return stage.publish({"all.txt": record.file("all.txt"), "note.txt": "done\n"})


def shop(store: Store) -> Workshop:
    return Workshop(InProcess(), store, Heard())


def said(workshop: Workshop) -> list[str]:
    assert isinstance(workshop.observer, Heard)
    return workshop.observer.said


def both(store: Store, place: Path, params: WordParams | None = None) -> tuple[Manifest, Manifest, Workshop]:
    workshop, given = shop(store), params or WordParams()
    one = words(given, inputs={}, output=place / "words", workshop=workshop)
    two = joined(given, inputs={"words": place / "words"}, output=place / "joined", workshop=workshop)
    return one, two, workshop


def test_a_folder_and_a_store_that_is_none_give_the_same_manifests_and_bytes(tmp_path: Path) -> None:
    folder, bucket = FolderStore(tmp_path / "store"), BucketStore(tmp_path / "bucket", tmp_path / "home")
    here = both(folder, tmp_path / "here")
    there = both(bucket, tmp_path / "there")
    assert here[:2] == there[:2]
    assert not (tmp_path / "there").exists()  # nothing was written but through the store
    kept = published(bucket, str(tmp_path / "there" / "joined"))
    assert kept.tree()["all.txt"].text() == "a bba" == (tmp_path / "here" / "joined" / "all.txt").read_text()


@pytest.mark.s3
def test_a_bucket_gives_the_same_manifests_and_bytes_as_a_folder(tmp_path: Path, bucket: Bucket) -> None:
    here = both(FolderStore(tmp_path / "store"), tmp_path / "here")
    there = both(ObjectStore(bucket, tmp_path / "home", CACHE_BYTES), tmp_path / "there")
    assert here[:2] == there[:2]
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_a_second_run_does_nothing_and_says_so(tmp_path: Path, store: Store) -> None:
    before = both(store, tmp_path)
    after = both(store, tmp_path)
    assert before[:2] == after[:2]
    assert after[2].executor.done == []  # type: ignore[attr-defined]
    assert all("unchanged" in sentence for sentence in said(after[2]))


def test_a_damaged_unit_is_told_and_made_again_wherever_it_lies(tmp_path: Path, store: Store) -> None:
    before = both(store, tmp_path / "one")
    for key in store.keys("toy.write"):
        spoil(store, "toy.write", key, "word.txt", b"bc")
    after = both(store, tmp_path / "two")
    assert before[:2] == after[:2]
    assert [sentence for sentence in said(after[2]) if sentence.endswith("This unit is made again.")]


def test_an_input_that_was_edited_is_named_with_the_stage_that_makes_it(tmp_path: Path) -> None:
    _, _, workshop = both(FolderStore(tmp_path / "s"), tmp_path)
    edited = tmp_path / "words" / "words" / "1.txt"
    edited.unlink()
    edited.write_text("bc")
    with pytest.raises(DamagedError, match=r"not what words published; first: words/1\.txt\. Run words again"):
        joined(
            WordParams(ending="!"), inputs={"words": tmp_path / "words"}, output=tmp_path / "joined", workshop=workshop
        )


def test_what_has_changed_is_said_when_a_stage_is_run_again(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "s")
    both(store, tmp_path / "one")
    _, _, workshop = both(store, tmp_path / "one", WordParams(ending="!"))
    assert said(workshop)[0] == 'words: run again, because params.ending was off and is "!"'
    # In another folder, too: the store knows what was published last.
    _, _, workshop = both(store, tmp_path / "two", WordParams(ending="?"))
    assert said(workshop)[0] == 'words: run again, because params.ending was "!" and is "?"'
    # What a stage has never seen is no work done again.
    _, _, workshop = both(store, tmp_path / "two", WordParams(words=("c",), ending="?"))
    new = [line.partition(" was ")[0] for line in said(workshop) if line.startswith("joined: ")]
    assert new == ["joined: new input: words"]
    last = last_published(store, "joined")
    assert last is not None and last.params["ending"] == "?"


def test_an_option_that_is_off_is_the_same_work(tmp_path: Path) -> None:
    one, two, _ = both(FolderStore(tmp_path / "s"), tmp_path)
    assert (
        one.key
        == words(
            WordParams(ending=None), inputs={}, output=tmp_path / "words", workshop=shop(FolderStore(tmp_path / "s"))
        ).key
    )
    assert one.key != two.key


def test_what_no_stage_has_made_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(output: Path) -> Manifest:
        return words(WordParams(), inputs={}, output=output, workshop=shop(FolderStore(tmp_path / "s")))

    mine = tmp_path / "results"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match=r"results: this folder holds 1 files or folders but no manifest\.json"):
        run(mine)
    with pytest.raises(ConfigError, match=r"thesis\.txt: this is a file, and what is published is a folder"):
        run(mine / "thesis.txt")
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    for here in (Path(), Path("../empty"), tmp_path):
        with pytest.raises(ConfigError, match="the output is the folder this runs in"):
            run(here)
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_what_another_stage_has_published_is_neither_read_for_this_one_nor_replaced(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "s")
    both(store, tmp_path)
    before = contents(tmp_path / "words")
    inputs = {"words": tmp_path / "joined"}
    with pytest.raises(DataError, match="joined: published by joined; what words published is read here"):
        joined(WordParams(), inputs=inputs, output=tmp_path / "new", workshop=shop(store))
    inputs = {"words": tmp_path / "words"}
    with pytest.raises(ConfigError, match="words: words published this folder, and joined would replace it"):
        joined(WordParams(), inputs=inputs, output=tmp_path / "words", workshop=shop(store))
    assert contents(tmp_path / "words") == before


def test_an_account_that_does_not_close_publishes_nothing(tmp_path: Path) -> None:
    stage = StageRun(
        Workshop(InProcess(), FolderStore(tmp_path / "s"), SilentObserver()),
        "words",
        __name__,
        WordParams(),
        {},
        tmp_path / "out",
    )
    with pytest.raises(AccountError):
        stage.publish({}, account=Account(taken=Count(2, 2), kept=Count(1, 1)))
    assert not (tmp_path / "out").exists()


def test_a_manifest_that_is_no_text_is_damage_and_made_again(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "s")
    one, _, _ = both(store, tmp_path)
    (tmp_path / "words" / "manifest.json").write_bytes(b"\xff\xfe")
    with pytest.raises(DamagedError, match=r"words/manifest\.json: it cannot be read"):
        published(store, str(tmp_path / "words"))
    assert both(store, tmp_path)[0] == one


def test_a_published_folder_is_replaced_whole(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "s")
    both(store, tmp_path, WordParams(words=("a", "bb", "ccc")))
    both(store, tmp_path, WordParams(words=("c",)))
    assert sorted(contents(tmp_path / "words")) == ["lengths.json", "manifest.json", "words/0.txt"]


def explained(place: Path, store: Store, params: WordParams, against: Manifest | None = None) -> list[str]:
    inputs = {"words": place / "words"}
    return explain(joined, params, inputs=inputs, output=place / "joined", workshop=shop(store), against=against)


def test_an_explanation_says_what_would_be_done_and_does_nothing(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "s")
    words(WordParams(), inputs={}, output=tmp_path / "words", workshop=shop(store))
    assert explained(tmp_path, store, WordParams()) == [
        "joined: 1 of 1 units (toy.join) would be done: no unit of this step was finished before"
    ]
    both(store, tmp_path)
    before = contents(tmp_path)
    assert explained(tmp_path, store, WordParams()) == [
        "joined: unchanged (same inputs, params, code, libraries and device), taken as it is"
    ]
    assert explained(tmp_path, store, WordParams(ending="!")) == [
        'joined: run again, because params.ending was off and is "!"',
        'joined: 1 of 1 units (toy.join) would be done: done again, because ending was off and is "!" (compared with the '
        "most similar unit that was done before)",
    ]
    # The words themselves are params that no unit of this stage reads.
    assert explained(tmp_path, store, WordParams(words=("c",))) == [
        'joined: run again, because params.words was ["a", "bb"] and is ["c"]',
        "joined: every unit is finished; they would be published, and nothing else be done",
    ]
    assert contents(tmp_path) == before


def test_an_explanation_can_be_against_another_run(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "s")
    _, other, _ = both(store, tmp_path, WordParams(ending="?"))
    both(store, tmp_path)
    assert explained(tmp_path, store, WordParams(), against=other)[0] == (
        'joined: run again, because params.ending was "?" and is off'
    )
    same = Manifest.read(tmp_path / "joined")
    assert explained(tmp_path, store, WordParams(), against=same) == [
        "joined: the same work (same inputs, params, code, libraries and device) as what it is compared with"
    ]
