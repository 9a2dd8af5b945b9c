"""Numbers by chance: uniform, the same wherever a document lies, and another order with another seed."""

import numpy as np
import pyarrow as pa

from tasks.curate.scorers.method import documents_of
from tasks.curate.scorers.random_order import METHOD, RandomOrder

IDS = [f"document {number}" for number in range(2_000)]


def scores(seed: int, ids: list[str]) -> np.ndarray:
    documents = documents_of(pa.table({"id": ids, "text": pa.array([""] * len(ids), pa.large_string())}))
    return METHOD.score(RandomOrder(name="chance", seed=seed), documents, None)[""]


def test_numbers_are_uniform_and_follow_from_the_seed_and_the_id_alone() -> None:
    all_of = scores(0, IDS)
    assert all_of.tolist() == [*scores(0, IDS[:700]), *scores(0, IDS[700:])]
    assert all_of.min() >= 0 and all_of.max() < 1 and len({*all_of.tolist()}) == len(IDS)
    # Four standard errors each.
    assert abs(all_of.mean() - 0.5) < 4 / np.sqrt(12 * len(IDS))
    assert abs(np.corrcoef(all_of, scores(1, IDS))[0, 1]) < 4 / np.sqrt(len(IDS))
