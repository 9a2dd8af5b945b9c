"""The store in a bucket, on a real server: what each machine sees, what a broken network does, what is refused by name."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from infra import object_cache
from infra.errors import ObjectError, SpaceError, StoreError
from infra.object_cache import Cache
from infra.object_store import ObjectStore, _object, _text
from infra.s3 import ABSENT, Bucket
from tests.fault_proxy import Choose, Faults, at_random, faults_before
from tests.fixtures_s3 import S3
from tests.fixtures_stores import CACHE_BYTES, elsewhere, forget, forget_client, set_environment

pytestmark = pytest.mark.s3
ANY = ("500", "503", "reset", "lost", "truncated", "slow")


@pytest.fixture
def here(bucket: Bucket, tmp_path: Path) -> ObjectStore:
    return ObjectStore(bucket, tmp_path / "here", CACHE_BYTES)


@contextmanager
def broken(s3: S3, choose: Choose, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """Put a proxy between this process and the server."""
    with faults_before(s3.endpoint, choose) as faults:
        set_environment(replace(s3, endpoint=faults.url), monkeypatch)
        yield faults
    set_environment(s3, monkeypatch)


def make(store: ObjectStore, key: str, text: str, data: bytes = b"") -> None:
    with store.attempt("stage", key) as folder:
        (folder / "out").write_text(text)
        (folder / "data").mkdir()
        (folder / "data" / "bytes").write_bytes(data)


def text_of(store: ObjectStore, key: str) -> str | None:
    location = store.find("stage", key)
    return None if location is None else store.read(location, "out")


def copies(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "objects").glob("??/[!.]*"))


def test_another_machine_finds_what_one_has_made_and_its_files_are_the_same(here: ObjectStore, tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000
    make(here, "abcd", "1", data)
    there = elsewhere(here, tmp_path / "there")
    location = there.find("stage", "abcd")
    assert location == here.find("stage", "abcd") and location is not None
    assert (there.local(location, ("out", "data/bytes")) / "data/bytes").read_bytes() == data


def test_of_many_machines_that_commit_at_once_one_is_first_and_all_see_it(here: ObjectStore, tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def work(number: int) -> None:
        with ObjectStore(here.bucket, tmp_path / str(number), CACHE_BYTES).attempt("stage", "abcd") as folder:
            (folder / "out").write_text(str(number))
            together.wait()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    first = text_of(here, "abcd")
    assert first in {"0", "1", "2", "3"}
    assert {text_of(elsewhere(here, tmp_path / str(number)), "abcd") for number in range(4)} == {first}


def test_work_that_was_taken_back_is_made_anew_under_its_key_and_once(here: ObjectStore, tmp_path: Path) -> None:
    make(here, "abcd", "old")
    location = here.find("stage", "abcd")
    assert location is not None
    assert (here.local(location, ("out",)) / "out").read_text() == "old"
    here.discard("stage", "abcd", here.seen(location))
    assert here.find("stage", "abcd") is None
    make(here, "abcd", "new")
    assert (here.local(location, ("out",)) / "out").read_text() == "new"
    make(elsewhere(here, tmp_path / "there"), "abcd", "late")
    assert text_of(here, "abcd") == "new"


def test_a_file_that_a_stranger_changed_is_refused_and_its_work_taken_back(here: ObjectStore, tmp_path: Path) -> None:
    make(here, "abcd", "good", b"bytes")
    location = here.find("stage", "abcd")
    assert location is not None
    digest, _ = here._file(location, "data/bytes")
    here.bucket.put(_object(digest), b"other")
    there = elsewhere(here, tmp_path / "there")
    with pytest.raises(ObjectError, match=r"data/bytes.*was changed by somebody else.*start the same command again"):
        there.local(location, ("data/bytes",))
    assert there.find("stage", "abcd") is None
    make(there, "abcd", "good", b"bytes")
    assert (
        elsewhere(here, tmp_path / "third").local(location, ("data/bytes",)) / "data/bytes"
    ).read_bytes() == b"bytes"


def test_a_list_of_files_that_a_stranger_changed_has_no_files(here: ObjectStore, tmp_path: Path) -> None:
    make(here, "abcd", "good")
    make(here, "efgh", "evil")
    location, evil = here.find("stage", "abcd"), here.find("stage", "efgh")
    found = here.bucket.get("work/stage/abcd.json")
    assert found is not None and location is not None and evil is not None
    edited = found[0].replace(*(here._file(each, "out")[0].encode() for each in (location, evil)))
    outside = _text({"files": [["../out", *here._file(evil, "out")], ["out", *here._file(evil, "out")]]})
    for changed in (edited, outside):
        here.bucket.put("work/stage/abcd.json", changed)
        there = elsewhere(here, tmp_path / "there")
        assert there.find("stage", "abcd") == location and text_of(there, "abcd") is None


def test_an_object_of_another_size_is_not_even_fetched(here: ObjectStore) -> None:
    got = list[bytes]()
    here.bucket.put("objects/x", b"four")
    assert here.bucket.fetch("objects/x", 4, got.append) and got == [b"four"]
    assert not here.bucket.fetch("objects/x", 3, got.append) and not here.bucket.fetch("objects/y", 3, got.append)
    assert got == [b"four"]


def test_workers_elsewhere_are_given_folders_of_this_machine_by_content(here: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").write_text("1")
    files = [("a", "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b", 1)]
    location = here.shared(str(tmp_path / "mine"), files)
    (tmp_path / "mine" / "a").write_text("2")
    assert (elsewhere(here, tmp_path / "there").local(location, ("a",)) / "a").read_text() == "1"
    forget()
    here.bucket.delete(_object(files[0][1]))
    with pytest.raises(ObjectError, match="has changed since this run looked at it"):
        here.shared(str(tmp_path / "mine"), files)


def test_copies_go_by_last_use_and_what_was_lent_stays(here: ObjectStore, tmp_path: Path) -> None:
    for number in range(6):
        make(here, f"key{number}", "", bytes([number]) * 100_000)
    there = replace(elsewhere(here, tmp_path / "there"), cache_bytes=250_000)
    lent = {}
    for number in range(6):
        location = there.find("stage", f"key{number}")
        assert location is not None
        lent[number] = there.local(location, ("data/bytes",)) / "data/bytes"
    assert len(copies(tmp_path / "there")) == 2
    assert all(path.read_bytes() == bytes([number]) * 100_000 for number, path in lent.items())


def test_what_was_lent_to_a_unit_goes_with_it(here: ObjectStore) -> None:
    make(here, "abcd", "1")
    location = here.find("stage", "abcd")
    assert location is not None
    with here.borrowed():
        lent = here.local(location, ("out",)) / "out"
        assert lent.read_text() == "1"
    assert not lent.exists()


def test_a_copy_that_was_edited_on_this_machine_is_not_believed(here: ObjectStore, tmp_path: Path) -> None:
    make(here, "abcd", "good")
    there = elsewhere(here, tmp_path / "there")
    assert text_of(there, "abcd") == "good"
    for path in (tmp_path / "there" / "objects").glob("??/[!.]*"):
        path.write_text("evil")
    forget()
    assert text_of(there, "abcd") == "good"


def test_a_full_disk_is_named_after_other_copies_have_made_room(
    here: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(here, "abcd", "1", b"x" * 1000)
    make(here, "efgh", "2")
    there = elsewhere(here, tmp_path / "there")
    assert text_of(there, "efgh") == "2"
    location = there.find("stage", "abcd")
    assert location is not None
    real, tries = object_cache._fill, list[int]()

    def full(*args: object) -> None:
        tries.append(len(copies(tmp_path / "there")))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(object_cache, "_fill", full)
    with pytest.raises(SpaceError, match="no space left on the device"):
        there.local(location, ("data/bytes",))
    assert tries == [1, 0]
    monkeypatch.setattr(object_cache, "_fill", real)
    assert (there.local(location, ("data/bytes",)) / "data/bytes").stat().st_size == 1000


def test_processes_of_one_machine_share_their_copies_and_leave_each_other_alone(
    here: ObjectStore, tmp_path: Path
) -> None:
    for number in range(8):
        make(here, f"key{number}", "", bytes([number]) * 50_000)
    there = replace(elsewhere(here, tmp_path / "there"), cache_bytes=120_000)

    def read(number: int) -> bool:
        location = there.find("stage", f"key{number % 8}")
        assert location is not None
        with there.open(location, "data/bytes") as stream:
            return stream.read() == bytes([number % 8]) * 50_000

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(read, range(40)))


def through_faults(
    s3: S3, here: ObjectStore, place: Path, monkeypatch: pytest.MonkeyPatch, faults_wanted: int
) -> Faults:
    """Work and read until so many faults were made; every end is the right one."""
    data = bytes(range(256)) * 40
    with broken(s3, at_random(14, 0.3, ANY), monkeypatch) as faults:
        number = 0
        while faults.made.total() < faults_wanted:
            key, store = f"key{number}", replace(here, home=place / f"home{number}")
            make(store, key, "first", data)
            committed = store.bucket.get(f"work/stage/{key}.json")
            make(replace(store, home=place / f"other{number}"), key, "second", data[1:])
            there = elsewhere(store, place / f"there{number}")
            location = there.find("stage", key)
            assert location is not None and text_of(there, key) == "first"
            assert (there.local(location, ("data/bytes",)) / "data/bytes").read_bytes() == data
            assert there.bucket.get(f"work/stage/{key}.json") == committed
            store.note("stage", "note", key)
            assert there.noted("stage", "note") == key
            there.discard("stage", key, there.seen(location))
            assert store.find("stage", key) is None
            number += 1
    return faults


def test_no_fault_of_the_network_changes_an_end(
    s3: S3, here: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = through_faults(s3, here, tmp_path, monkeypatch, 15)
    assert faults.made["lost"] and faults.made["truncated"]


@pytest.mark.slow
def test_two_hundred_faults_have_two_hundred_right_ends(
    s3: S3, here: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = through_faults(s3, here, tmp_path, monkeypatch, 200)
    assert min(faults.made[kind] for kind in ANY) >= 10


def test_a_commit_whose_answer_was_lost_is_known_for_our_own(
    s3: S3, here: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = iter(["lost", "lost"])

    def choose(method: str, path: str) -> str | None:
        return next(lost, None) if method == "PUT" and "/work/" in path else None

    with broken(s3, choose, monkeypatch) as faults:
        assert here.bucket.put("work/a", b"mine", ABSENT)
        assert faults.made["lost"] == 2
        assert not here.bucket.put("work/a", b"another's", ABSENT)


def test_a_body_that_is_cut_off_again_and_again_goes_on_where_it_ended(
    s3: S3, here: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(1_000_000)
    make(here, "abcd", "1", data)
    asked = list[str]()

    def choose(method: str, path: str) -> str | None:
        asked.append(path)
        return "truncated" if method == "GET" and "/objects/" in path and len(asked) < 8 else None

    with broken(s3, choose, monkeypatch):
        there = elsewhere(here, tmp_path / "there")
        location = there.find("stage", "abcd")
        assert location is not None
        assert (there.local(location, ("data/bytes",)) / "data/bytes").read_bytes() == data
    assert len(asked) == 8


@pytest.mark.parametrize("fault", ["503", "reset", "stuck"])
def test_a_server_that_never_comes_through_is_named_in_bounded_time(
    s3: S3, here: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    make(here, "abcd", "1", b"x" * 100)
    store = replace(here, bucket=replace(here.bucket, timeout_s=0.1, deadline_s=0.3), home=tmp_path / "there")
    with broken(s3, lambda method, path: fault, monkeypatch):
        began = time.monotonic()
        with pytest.raises(StoreError, match=r"could not be read within 0\.3 s.*the same command then goes on"):
            store.find("stage", "abcd")
        assert time.monotonic() - began < 20.0  # a busy machine takes its time, an endless call all of it


def test_a_bucket_that_is_not_there_is_named(here: ObjectStore) -> None:
    with pytest.raises(StoreError, match=r"s3://no-such-bucket-of-ours/.*no such bucket\. Make it"):
        replace(here, bucket=Bucket("no-such-bucket-of-ours")).begin()


def test_credentials_that_are_refused_are_named_and_not_shown(
    s3: S3, here: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in (replace(s3, secret="guessed"), replace(s3, key="nobody")):
        set_environment(wrong, monkeypatch)
        with pytest.raises(StoreError, match="the server refuses the credentials") as refused:
            here.begin()
        assert "guessed" not in str(refused.value)


def test_a_machine_without_credentials_is_told_where_they_are_looked_for(
    here: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    forget_client()
    with pytest.raises(StoreError, match="no credentials for S3 on this machine"):
        here.begin()
    forget_client()


def test_who_may_not_write_is_told_before_any_work(s3: S3, here: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    here.begin()
    set_environment(s3.reader(), monkeypatch)
    with pytest.raises(StoreError, match=r"these credentials may not write it\. Give s3:GetObject, PutObject"):
        here.begin()


def test_what_a_server_refuses_in_the_middle_of_work_is_named_with_the_remedy(
    s3: S3, here: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = {
        "400 ExpiredToken": "the credentials have expired. Renew them",
        "403 RequestTimeTooSkewed": "the clock of this machine differs",
        "501 NotImplemented": "does not know conditional writes",
        "301 PermanentRedirect": "another region",
        "507 XMinioStorageFull": "the bucket is full",
        "400 SomethingNew": "the server refuses to write it: .*SomethingNew",
    }
    answers = list(refused)
    with broken(s3, lambda method, path: answers[0] if "/work/" in path else None, monkeypatch):
        while answers:
            with pytest.raises(StoreError, match=refused[answers[0]]):
                make(here, "abcd", "1")
            answers.pop(0)
    assert here.find("stage", "abcd") is None


def test_a_server_that_ignores_conditions_is_refused_before_any_work(
    s3: S3, here: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = here.bucket._client
    put = client.put_object
    monkeypatch.setattr(client, "put_object", lambda IfNoneMatch="", IfMatch="", **request: put(**request))
    with pytest.raises(StoreError, match=r"ignores `If-None-Match` or `If-Match`.*leave MIXWRIGHT_STORE out"):
        here.begin()
    assert list(here.bucket.names("probe/")) == []


def test_two_versions_of_mixwright_on_one_store_are_told_apart(here: ObjectStore) -> None:
    here.begin()
    here.begin()
    here.bucket.put("format.json", b'{"format": 2}')
    with pytest.raises(StoreError, match="another version of Mixwright works on this store"):
        here.begin()


def test_large_files_go_in_parts(here: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.s3._PART_BYTES", 5 << 20)
    data = os.urandom(11 << 20)
    make(here, "abcd", "1", data)
    there = elsewhere(here, tmp_path / "there")
    location = there.find("stage", "abcd")
    assert location is not None
    assert (there.local(location, ("data/bytes",)) / "data/bytes").read_bytes() == data
    whole = here.bucket.get(_object(here._file(location, "data/bytes")[0]))
    assert whole is not None and whole[1].endswith('-3"')  # S3's mark of an object of three parts


def test_what_killed_processes_left_on_this_machine_is_swept(here: ObjectStore) -> None:
    for area in ("stage/ab", "objects/ab", "lent/units"):
        (here.home / area / ".attempt-x-0000").mkdir(parents=True)
    assert here.sweep("stage") == 3
    shutil.rmtree(here.home)


def test_the_cache_keeps_nothing_twice_that_was_written_here(here: ObjectStore) -> None:
    make(here, "abcd", "1", b"bytes")
    cache = Cache(here.home, CACHE_BYTES)
    assert len(copies(here.home)) == 2
    location = here.find("stage", "abcd")
    assert location is not None
    digest, size = here._file(location, "data/bytes")
    with cache.open(digest, size, lambda target: False) as stream:
        assert stream.read() == b"bytes"
