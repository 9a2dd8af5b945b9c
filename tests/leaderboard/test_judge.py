"""What seeds say of many selectors together: the error of the whole family, and what too few seeds say."""

import numpy as np
import pytest

from tasks.arms.published import ArmRun
from tasks.core.errors import EvidenceError
from tasks.core.rng import generator
from tasks.leaderboard import judge
from tasks.leaderboard.entrants import Entrant
from tasks.leaderboard.judge import simultaneous
from tasks.leaderboard.published import Kept
from tasks.leaderboard.rank import Measured, confirmation, ranked, statements, winner

# Two keep rates: a twin, and three that are compared with it, each.
PAIRS = [(1, 0), (2, 0), (3, 0), (5, 4), (6, 4), (7, 4)]


DRAWN = [True, False, False, True, True, False, False, True]


@pytest.mark.parametrize(("drawn", "sd"), [([], 1.0), (DRAWN, 3.0)], ids=["one variance", "two"])
def test_of_many_selectors_that_are_no_better_one_is_claimed_as_often_as_was_asked(
    drawn: list[bool], sd: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "_DRAWS", 2_000)
    random, rounds = generator(0, "null"), 1_000
    scale = np.where(DRAWN, sd, 1.0)[:, None]
    noise = scale * random.standard_normal((rounds, 8, 3)) + 3 * random.standard_normal((rounds, 1, 3))
    claimed = pooled = 0
    for values_AS in noise:
        found, alike = (simultaneous(values_AS, PAIRS, 0.95, which) for which in (drawn, []))
        assert found.halves_K is not None and alike.halves_K is not None and found.adjusted_K is not None
        beyond_K = abs(found.gains_K) > found.halves_K
        claimed += bool(beyond_K.any())
        pooled += bool((abs(alike.gains_K) > alike.halves_K).any())
        assert (found.adjusted_K[beyond_K] < 0.06).all() and (found.adjusted_K[~beyond_K] > 0.04).all()
    # Three standard errors of a share of .05 in so many rounds.
    assert claimed / rounds == pytest.approx(0.05, abs=0.021)
    assert (pooled / rounds > 0.08) == bool(drawn)


def test_entrants_that_kept_the_same_documents_are_one_in_what_is_known_of_noise() -> None:
    values_AS = generator(0, "same").standard_normal((8, 3))
    values_AS[2] = values_AS[1]
    once, twice = (simultaneous(values_AS[own], PAIRS[:1], 0.95) for own in ([0, 1, 3, 4, 5, 6, 7], [*range(8)]))
    assert once.halves_K is not None and twice.halves_K is not None
    assert twice.halves_K[0] == pytest.approx(once.halves_K[0], rel=0.03)
    alone = simultaneous(values_AS[:3], [(1, 0)], 0.95, [True, False, False])
    assert alone.halves_K is not None and alone.halves_K[0] > 0


def test_two_seeds_give_gains_alone_and_copies_of_one_run_are_no_evidence() -> None:
    values_AS = generator(0, "two").standard_normal((8, 2))
    found = simultaneous(values_AS, PAIRS, 0.95)
    assert found.halves_K is None and found.adjusted_K is None and len(found.gains_K) == 6
    with pytest.raises(EvidenceError, match="copies of one run are no evidence"):
        simultaneous(np.ones((8, 3)), PAIRS, 0.95)
    with pytest.raises(EvidenceError, match=r"1 scores are no finite numbers"):
        simultaneous(np.where(np.arange(24).reshape(8, 3) == 5, np.nan, 1.0), PAIRS, 0.95)


FIELD = [
    Entrant("random-10", "random", 0.1, "twin", ()),
    Entrant("null1-10", "null1", 0.1, "null", ()),
    Entrant("dsir-10", "dsir", 0.1, "selector", ()),
]
KEPT = Kept(documents=1, tokens=1, epochs=1.0, sources={}, languages={}, diversity={}, contaminated=None)


def board(gains: dict[str, float], *, device: str = "cpu", price: float = 0, confirmed: bool = False) -> list[str]:
    noise = generator(0, "runs")
    runs = [
        ArmRun(
            arm=one.name, seed=seed, tokens=8, flops=1, device=device if one.role == "selector" else "cpu",
            instruction_set="x", scores={"a": 2 - gains.get(one.name, 0) + 0.01 * noise.standard_normal(), "b": seed,
                    "c": 2 + price * (one.role == "selector") + 0.01 * noise.standard_normal()},
        )
        for one in FIELD
        for seed in range(3)
    ]  # fmt: skip
    measured = Measured(runs, dict.fromkeys("abc", "lower"), {"target": ("a",), "held_out": ("c",)})
    names = [one.name for one in FIELD]
    rows = ranked(FIELD, measured, dict.fromkeys(names, KEPT), {name: {"d": 1} for name in names}, {}, 0.95)
    best = winner(rows)
    assert (best is not None) == (gains.get("dsir-10", 0) > 0.5 and device == "cpu")
    again = confirmation(best, "random-10", measured, 0.95) if confirmed and best is not None else None
    return [*statements(rows, again, None, 0.95, 3)]


def test_a_random_selector_that_shows_a_gain_takes_the_trust_from_all() -> None:
    assert any(one.startswith("Trust none of this: null1-10") for one in board({"null1-10": 1.0}))
    assert not any(one.startswith("Trust none") for one in board({"dsir-10": 1.0}))


def test_the_first_sentence_names_the_price_of_the_winner_where_it_is_shown() -> None:
    assert "Its price is -0.99" in board({"dsir-10": 1.0}, price=1.0, confirmed=True)[0]
    assert "Its price" not in board({"dsir-10": 1.0}, confirmed=True)[0]


def test_runs_of_different_machines_claim_nothing() -> None:
    first, *_ = board({"dsir-10": 1.0}, device="gpu")
    assert first.startswith("No claim: runs were made on different machines")
