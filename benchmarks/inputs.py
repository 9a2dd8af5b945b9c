"""What is measured on: the shared real corpus where there is one, else the text of this machine's Python installation."""

import gzip
import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Corpus:
    """JSONL files (gz) with the fields id and text: how many documents and UTF-8 bytes of text they hold."""

    name: str
    files: tuple[Path, ...]
    documents: int
    bytes: int

    @property
    def megabytes(self) -> float:
        """Raw text in units of 10^6 bytes."""
        return self.bytes / 1e6

    @property
    def pattern(self) -> str:
        """A glob that names the files."""
        return str(self.files[0].parent / "*.jsonl.gz")

    def texts(self) -> list[str]:
        """Return the texts of all documents."""
        return [json.loads(line)["text"] for file in self.files for line in lines_of(file)]


def shared() -> Path | None:
    """Return the folder of shared real data: MIXWRIGHT_SHARED, else `../shared` beside the checkout; None without."""
    folder = Path(os.environ.get("MIXWRIGHT_SHARED") or ROOT.parent / "shared")
    return folder / "data" if (folder / "data" / "corpus").is_dir() else None


def whole_corpus(folder: Path) -> Corpus:
    """Return the shared corpus, or write the text of this machine's Python installation (24 MB) into `folder`."""
    if found := shared():
        return _corpus("the shared corpus", sorted((found / "corpus").glob("*.jsonl.gz")))
    from tasks.ingest.demo import collect

    (folder / "python").mkdir(parents=True)
    collect(folder / "collected")
    written = [_rewritten(path, folder / "python") for path in sorted((folder / "collected").glob("*.jsonl.zst"))]
    return _corpus("the text of this Python installation (no shared data here)", written)


def every_nth(corpus: Corpus, every: int, folder: Path) -> Corpus:
    """Return every n-th document of every file of a corpus, written to `folder` with its id and text only."""
    folder.mkdir(parents=True)
    written = []
    for file in corpus.files:
        if lines := [_id_and_text(line) for line in list(lines_of(file))[::every]]:
            written.append(_write(folder / file.name, lines))
    return _corpus(corpus.name if every == 1 else f"1 in {every} documents of {corpus.name}", written)


def lines_of(file: Path) -> Iterator[bytes]:
    """Yield the lines of a JSONL file, gz or zst."""
    with file.open("rb") as raw:
        if file.suffix == ".gz":
            yield from gzip.GzipFile(fileobj=raw)
        else:
            # Not everything that is measured needs it: `stacked` runs where it is not installed.
            import zstandard

            yield from io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))


def _id_and_text(line: bytes) -> bytes:
    record = json.loads(line)
    return json.dumps({"id": record["id"], "text": record["text"]}, ensure_ascii=False).encode() + b"\n"


def _rewritten(file: Path, folder: Path) -> Path:
    return _write(folder / (file.name.removesuffix(".zst") + ".gz"), list(lines_of(file)))


def _write(path: Path, lines: Sequence[bytes]) -> Path:
    # No name and no time of its own in it: the same bytes every time.
    path.write_bytes(gzip.compress(b"".join(lines), compresslevel=6, mtime=0))
    return path


def _corpus(name: str, files: Sequence[Path]) -> Corpus:
    documents = num_bytes = 0
    for file in files:
        for line in lines_of(file):
            documents += 1
            num_bytes += len(json.loads(line)["text"].encode())
    return Corpus(name, tuple(files), documents, num_bytes)
