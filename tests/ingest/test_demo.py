"""The default input: a sample of this Python installation, spread over sources and packages, the same each time."""

import ast
import json
import sys
import sysconfig
from collections import Counter
from pathlib import Path, PurePosixPath

import pytest
import zstandard

from tasks.ingest import demo, installation, texts
from tasks.ingest.demo import collect
from tasks.ingest.installation import Installed
from tasks.ingest.raw import RawListing, read_listing


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RawListing]:
    folder = tmp_path_factory.mktemp("demo")
    return folder, collect(folder, max_bytes=1_200_000)


def records(folder: Path, listing: RawListing) -> dict[str, list[dict[str, str]]]:
    found = {}
    for file in listing.files:
        content = zstandard.ZstdDecompressor().decompress((folder / str(file.path)).read_bytes()).decode()
        found[file.source] = [json.loads(line) for line in content.removesuffix("\n").split("\n")]
    return found


def test_the_sample_has_at_least_six_sources_within_its_bytes_and_none_dominates(
    sample: tuple[Path, RawListing],
) -> None:
    folder, listing = sample
    sizes = {
        source: sum(len(one["text"].encode()) for one in found) for source, found in records(folder, listing).items()
    }
    assert len(sizes) >= 6
    assert 1_000_000 < sum(sizes.values()) <= 1_200_000
    assert max(sizes.values()) <= 1_200_000 / 6


def test_the_sample_is_listed_beside_its_files_and_the_same_when_taken_again(
    sample: tuple[Path, RawListing], tmp_path: Path
) -> None:
    folder, listing = sample
    assert read_listing(folder) == listing
    assert [file.path for file in listing.files] == [f"{file.source}.jsonl.zst" for file in listing.files]
    assert collect(tmp_path, max_bytes=1_200_000) == listing


def test_ids_are_sorted_unique_and_name_no_folder_of_this_machine(sample: tuple[Path, RawListing]) -> None:
    found = records(*sample)
    ids = [one["id"] for source in found.values() for one in source]
    assert len(set(ids)) == len(ids)
    assert all(not name.startswith("/") and sys.prefix not in name for name in ids)
    for source in found.values():
        assert [one["id"] for one in source] == sorted(one["id"] for one in source)


def test_no_package_dominates_the_code(sample: tuple[Path, RawListing]) -> None:
    code = records(*sample)["code"]
    packages = Counter("/".join(one["id"].split("/")[:2]) for one in code)
    assert len(packages) >= 20
    assert max(packages.values()) <= 0.2 * len(code)


def test_a_file_gives_its_docstrings_or_its_code_but_not_both(sample: tuple[Path, RawListing]) -> None:
    found = records(*sample)
    assert not {one["id"] for one in found["code"]} & {one["id"].split(":")[0] for one in found["docstrings"]}


@pytest.mark.parametrize(
    ("label", "name", "kind"),
    [
        ("site-packages", "numpy-2.4.0.dist-info/METADATA", "readmes"),
        ("site-packages", "numpy-2.4.0.dist-info/RECORD", None),
        ("site-packages", "numpy-2.4.0.dist-info/direct_url.json", None),
        ("site-packages", "numpy-2.4.0.dist-info/licenses/LICENSE.txt", "licences"),
        ("site-packages", "numpy/core/tests/conftest.py", "tests"),
        ("stdlib", "test/test_ast.py", "tests"),
        ("stdlib", "pydoc_data/topics.py", "pydoc_topics"),
        ("include", "object.h", "headers"),
        ("include", "readme.txt", None),
        ("site-packages", "torch/include/ATen.h", "headers"),
        ("site-packages", "botocore/data/x.json", "data"),
        ("site-packages", "torch/lib/libtorch.so", None),
    ],
)
def test_files_are_told_apart_by_their_names(label: str, name: str, kind: str | None) -> None:
    assert installation._kind(label, PurePosixPath(name)) == kind


def test_code_and_docstrings_share_the_modules(tmp_path: Path) -> None:
    kinds = Counter(installation._kind("stdlib", PurePosixPath(f"module{number}.py")) for number in range(200))
    assert set(kinds) == {"code", "docstrings"}
    assert min(kinds.values()) > 60


def test_files_are_taken_package_by_package() -> None:
    files = [Installed(f"site-packages/big/{number}.py", Path()) for number in range(50)]
    files += [Installed(f"site-packages/small{number}/a.py", Path()) for number in range(3)]
    first = [file.name.split("/")[1] for file in installation._spread(files)[:4]]
    assert sorted(first) == ["big", "small0", "small1", "small2"]


def test_an_editable_install_is_not_sampled(tmp_path: Path) -> None:
    for name in ("x.py", "__editable___x_finder.py", "mixwright-0.1.0.dist-info/METADATA", ".hidden/a.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(installation._names(tmp_path)) == ["x.py"]


def test_docstrings_are_read_without_running_the_module(tmp_path: Path) -> None:
    long = ("Say what this is about. " * 20).strip()
    path = tmp_path / "module.py"
    path.write_text(f'raise SystemExit\nclass A:\n    """{long}"""\n    def f(self):\n        """Short."""\n')
    assert [(one.id, one.text) for one in texts.docstrings(Installed("m.py", path))] == [("m.py:A:2", long)]


def test_the_topics_of_the_language_reference_are_read_from_the_source() -> None:
    path = Path(sysconfig.get_path("stdlib")) / "pydoc_data" / "topics.py"
    assert isinstance(ast.parse(path.read_text(encoding="utf-8")), ast.Module)
    topics = {one.id.split(":")[1]: one.text for one in texts.reference_topics(Installed("topics.py", path))}
    assert len(topics) > 50
    assert "while" in topics


def test_a_readme_is_what_follows_the_headers_of_the_metadata(tmp_path: Path) -> None:
    path = tmp_path / "METADATA"
    path.write_text("Metadata-Version: 2.1\nName: x\n\n" + "# About\nA package. " * 20, encoding="utf-8")
    (found,) = texts.long_description(Installed("METADATA", path))
    assert found.text.startswith("# About")


@pytest.mark.parametrize("data", [b"\xff" * 300, b"short", b"x" * 60_000])
def test_what_is_no_text_or_a_stub_or_too_long_is_not_sampled(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    assert list(texts.whole_text(Installed("a.txt", path))) == []


def test_text_that_utf8_cannot_hold_is_not_sampled(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text('"""' + "a half pair \\ud800 " * 40 + '"""\n', encoding="utf-8")
    assert list(texts.docstrings(Installed("m.py", path))) == []


def test_small_sources_give_all_and_the_others_share_the_rest() -> None:
    assert demo._level([10, 40, 40], 70) == 30
    assert demo._level([10, 10], 70) == 70
