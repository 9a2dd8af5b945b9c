"""SIGKILL at random moments of a curation straight from files, until it gets through: the bytes are those of a quiet run."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.core.manifest import Manifest
from tasks.core.rng import generator

# Each seed has other moments, and another number of workers; and at most so many kills.
SEEDS = (pytest.param(0, 6, marks=pytest.mark.slow), (1, 3))
_COMMAND = "from cli.main import main; main()"


def write_corpus(folder: Path) -> None:
    """Two files of the same words in other orders, long enough for many blocks, with copies and near copies."""
    import pydoc_data.topics

    words = " ".join(pydoc_data.topics.topics.values()).split()
    random = generator(5, "corpus")
    folder.mkdir()
    for name in ("a", "b"):
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8", compresslevel=1) as stream:
            for number in range(400):
                start = int(random.integers(0, len(words) - 900))
                text = " ".join(words[start : start + int(random.integers(20, 900))])
                stream.write(json.dumps({"id": f"{name}{number}", "text": text, "source": name}) + "\n")


def command(folder: Path, home: Path, workers: int) -> "subprocess.Popen[str]":
    settings = [
        "ingest.target_shard_bytes=50000",
        "curate.refine={}",
        "curate.annotate=[pii]",
        "curate.duplicates.lines={min_chars: 40}",
        "curate.profile_of_source.b=web",
    ]
    given = ["curate", "--input", str(folder / "corpus"), "--output", str(home / "out"), "--workers", str(workers)]
    return subprocess.Popen(
        [sys.executable, "-c", _COMMAND, *given, *(part for one in settings for part in ("--set", one))],
        env={**os.environ, "MIXWRIGHT_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A folder with the corpus and the output of a run that nobody disturbed, and how long that took."""
    folder = tmp_path_factory.mktemp("curate")
    write_corpus(folder / "corpus")
    start = time.monotonic()
    process = command(folder, folder / "quiet", 2)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return folder, time.monotonic() - start


@pytest.mark.parametrize(("seed", "kills"), SEEDS)
def test_a_curation_killed_at_random_moments_ends_with_the_same_bytes(
    quiet: tuple[Path, float], seed: int, kills: int
) -> None:
    folder, duration = quiet
    random, home = generator(seed, "kills"), folder / f"killed-{seed}"
    for _ in range(kills):
        process = command(folder, home, workers=1 + seed)
        try:
            process.communicate(timeout=float(random.uniform(0.2, 0.9)) * duration)
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    process = command(folder, home, workers=1 + seed)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    found, expected = Manifest.read(home / "out"), Manifest.read(folder / "quiet" / "out")
    assert found.output == expected.output
    assert found.account is not None and found.account.closed("killed") == expected.account
    assert not list((home / "store").glob("*/*/.blocks-*"))
