"""The data order: exact, even, without repetition, and a function of nothing but its arguments."""

import hashlib
import tracemalloc
from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import ConfigError
from tasks.training.exposure import appearances, sample_number, times_seen
from tasks.training.interleave import interleaved, phase_times, standing_before
from tasks.training.order import DataOrder, Past, check_caps, data_order, starved
from tasks.training.permutation import permuted
from tasks.training.sample_counts import largest_remainder, usable_rows, weight_caps
from tasks.training.types import Phase

weights = (
    st.lists(st.integers(0, 100), min_size=1, max_size=6).filter(any).map(lambda parts: [p / sum(parts) for p in parts])
)


def order_of(*phases: tuple[int, list[float]], rows: list[int], seed: int = 0) -> DataOrder:
    made = [Phase(samples * 8, tuple(shares)) for samples, shares in phases]
    return data_order(made, [f"domain-{index}" for index in range(len(rows))], rows, 8, seed)


@given(st.integers(1, 3000), st.integers(0, 2**62))
@settings(max_examples=40)
def test_a_permutation_sends_every_position_to_another_place(size: int, key: int) -> None:
    keys = np.random.default_rng(key).integers(0, 1 << 63, size=(6, 1), dtype=np.uint64).repeat(size, axis=1)
    assert sorted(permuted(np.arange(size), np.full(size, size), keys).tolist()) == list(range(size))


@given(weights, st.integers(1, 400), st.integers(0, 5))
@settings(max_examples=60)
def test_a_phase_has_each_domains_share_up_to_one_sample(shares: list[float], samples: int, seed: int) -> None:
    order = order_of((samples, shares), rows=[50] * len(shares), seed=seed)
    counts = np.bincount(order.samples(0, samples).domains, minlength=len(shares))
    assert counts.sum() == samples
    assert (abs(counts - np.array(shares) * samples) < 1 + 1e-6).all()


@given(weights, st.integers(1, 400), st.integers(0, 5))
@settings(max_examples=60)
def test_every_prefix_has_each_domains_share_up_to_two_samples(shares: list[float], samples: int, seed: int) -> None:
    order = order_of((samples, shares), rows=[50] * len(shares), seed=seed)
    seen = np.cumsum(order.samples(0, samples).domains[:, None] == np.arange(len(shares)), axis=0)
    due = np.arange(1, samples + 1)[:, None] * np.array(order.counts[0]) / samples
    # Each domain stands within 1 of its time, and the others' deviations move the clock by less than their number.
    assert (abs(seen - due) <= 1 + (len(shares) - 1) * np.array(order.counts[0]) / samples).all()
    assert len(shares) > 3 or (abs(seen - due) <= 2).all()


@given(st.data())
@settings(max_examples=60)
def test_any_range_is_the_same_part_of_the_whole(data: st.DataObject) -> None:
    order = order_of((70, [0.6, 0.4, 0.0]), (50, [0.1, 0.1, 0.8]), rows=[20, 30, 7], seed=data.draw(st.integers(0, 9)))
    start = data.draw(st.integers(0, 120))
    stop = data.draw(st.integers(start, 120))
    whole, part = order.samples(0, 120), order.samples(start, stop)
    assert part.domains.tolist() == whole.domains[start:stop].tolist()
    assert part.rows.tolist() == whole.rows[start:stop].tolist()
    assert part.epochs.tolist() == whole.epochs[start:stop].tolist()


def test_no_row_comes_twice_within_an_epoch_and_all_come_before_the_next() -> None:
    order = order_of((100, [0.7, 0.3]), rows=[20, 9])
    samples = order.samples(0, 100)
    for domain, rows in enumerate((20, 9)):
        drawn = samples.rows[samples.domains == domain]
        epochs = samples.epochs[samples.domains == domain]
        assert epochs.tolist() == [k // rows for k in range(len(drawn))]
        for epoch in range(len(drawn) // rows):
            assert sorted(drawn[epochs == epoch].tolist()) == list(range(rows))
    first, second = (samples.rows[(samples.domains == 0) & (samples.epochs == epoch)].tolist() for epoch in (0, 1))
    assert first != second


def test_phases_switch_at_the_exact_sample() -> None:
    order = order_of((37, [1.0, 0.0]), (23, [0.0, 1.0]), rows=[50, 50])
    assert order.samples(0, 60).domains.tolist() == [0] * 37 + [1] * 23


def ramped(samples: int, first: list[float], last: list[float], rows: list[int], seed: int = 0) -> DataOrder:
    phases = [Phase(samples * 8, tuple(first), tuple(last))]
    return data_order(phases, [f"domain-{index}" for index in range(len(rows))], rows, 8, seed)


@given(weights, st.integers(1, 400), st.integers(0, 5))
@settings(max_examples=60)
def test_every_prefix_of_a_ramp_has_what_its_weights_sum_to_until_there(
    first: list[float], samples: int, seed: int
) -> None:
    last = first[::-1]
    order = ramped(samples, first, last, [50] * len(first), seed)
    seen = np.cumsum(order.samples(0, samples).domains[:, None] == np.arange(len(first)), axis=0)
    time_S1 = np.arange(1, samples + 1)[:, None] / samples
    due = samples * (np.array(first) * time_S1 + (np.array(last) - np.array(first)) * time_S1**2 / 2)
    assert seen[-1].tolist() == list(order.counts[0])
    # As in a constant phase, with up to one sample more for what the counts were rounded by.
    assert (abs(seen - due) <= len(first) + 1).all()
    assert len(first) > 3 or (abs(seen - due) <= 3).all()


@given(st.data())
@settings(max_examples=40)
def test_any_range_of_a_ramp_is_the_same_part_of_the_whole(data: st.DataObject) -> None:
    order = ramped(120, [1.0, 0.0, 0.0], [0.0, 0.9, 0.1], [20, 30, 7], data.draw(st.integers(0, 9)))
    start = data.draw(st.integers(0, 120))
    stop = data.draw(st.integers(start, 120))
    whole, part = order.samples(0, 120), order.samples(start, stop)
    assert part.domains.tolist() == whole.domains[start:stop].tolist()
    assert part.rows.tolist() == whole.rows[start:stop].tolist()


def test_a_ramp_to_where_it_begins_is_a_constant_phase_to_the_sample() -> None:
    flat = order_of((150, [0.5, 0.3, 0.2]), rows=[40, 40, 40]).samples(0, 150)
    same = ramped(150, [0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [40, 40, 40]).samples(0, 150)
    assert (flat.domains.tolist(), flat.rows.tolist()) == (same.domains.tolist(), same.rows.tolist())


def test_a_ramp_needs_as_many_weights_at_its_end_as_at_its_start() -> None:
    with pytest.raises(ConfigError, match="begins with 2 weights and ends with 1"):
        Phase(80, (0.5, 0.5), (1.0,))
    with pytest.raises(ConfigError, match=r"sum to 0\.9"):
        Phase(80, (0.5, 0.5), (0.5, 0.4))


ROWS = [20, 30, 7]


def branched(at: int, trunk: DataOrder, *phases: tuple[int, list[float]], seed: int = 0) -> DataOrder:
    made = [Phase(samples * 8, tuple(shares)) for samples, shares in phases]
    return data_order(made, trunk.names, ROWS, 8, seed, past=Past(trunk, at))


def drawn(order: DataOrder) -> list[tuple[int, int, int]]:
    samples = order.samples(0, order.num_samples)
    return list(zip(samples.domains.tolist(), samples.rows.tolist(), samples.epochs.tolist(), strict=True))


def test_a_branch_at_the_end_of_a_phase_with_the_next_one_is_the_run_itself() -> None:
    first, second = (70, [0.6, 0.4, 0.0]), (50, [0.1, 0.1, 0.8])
    whole = order_of(first, second, rows=ROWS)
    assert drawn(branched(70, whole, second)) == drawn(whole)
    twice = branched(95, branched(70, order_of(first, rows=ROWS), second), (25, [0.1, 0.1, 0.8]))
    assert drawn(twice)[:95] == drawn(whole)[:95] and twice.num_samples == 120


@given(st.integers(0, 110), st.integers(0, 3), st.integers(0, 3))
@settings(max_examples=30)
def test_a_branch_keeps_the_past_and_repeats_no_row_before_its_epoch_is_through(at: int, seed: int, other: int) -> None:
    trunk = order_of((70, [0.6, 0.4, 0.0]), (50, [0.1, 0.1, 0.8]), rows=ROWS, seed=seed)
    order = branched(at, branched(at, trunk, (40, [0.3, 0.3, 0.4]), seed=other), (90, [0.2, 0.2, 0.6]), seed=other + 1)
    assert drawn(order)[:at] == drawn(trunk)[:at]
    for domain, size in enumerate(ROWS):
        of_it = [(epoch, row) for own, row, epoch in drawn(order) if own == domain]
        assert len(of_it) == order.totals[domain]
        assert [epoch for epoch, _ in of_it] == [k // size for k in range(len(of_it))]
        assert len({*of_it}) == len(of_it)
    before = np.bincount([own for own, _, _ in drawn(order)[: at + 33]], minlength=3)
    assert order.drawn_before(at + 33).tolist() == before.tolist()
    numbered = list(enumerate(drawn(order)))
    for domain, size in enumerate(ROWS):
        rows = [row for _, (own, row, _) in numbered if own == domain]
        assert order.drawn(np.full(len(rows), domain), np.arange(len(rows))).rows.tolist() == rows
        found = appearances(order, domain, np.arange(size))
        assert found.times.tolist() == np.bincount(rows, minlength=size).tolist()
        draws = [rows.index(row) if row in rows else 0 for row in range(size)]
        assert found.first.tolist() == draws
        of_it = [number for number, (own, _, _) in numbered if own == domain]
        assert [sample_number(order, domain, draw) for draw in range(0, len(rows), 7)] == of_it[::7]
    part = order.samples(max(at - 5, 0), at + 20)
    assert part.rows.tolist() == [row for _, row, _ in drawn(order)[max(at - 5, 0) : at + 20]]


def test_a_branch_with_another_seed_draws_what_is_left_in_another_order() -> None:
    trunk = order_of((40, [0.6, 0.4, 0.0]), rows=ROWS)
    one, other = (drawn(branched(20, trunk, (30, [0.5, 0.5, 0.0]), seed=seed))[20:] for seed in (0, 1))
    # The rows of the epoch that the trunk had begun of the first domain.
    left, right = ([row for domain, row, epoch in found if (domain, epoch) == (0, 0)] for found in (one, other))
    assert left != right and sorted(left) == sorted(right)


def test_a_domains_order_does_not_depend_on_the_weights() -> None:
    one, other = (order_of((90, shares), rows=[40, 40]) for shares in ([0.8, 0.2], [0.3, 0.7]))
    for domain in (0, 1):
        left, right = (
            [row for row, own in zip(s.rows, s.domains, strict=True) if own == domain]
            for s in (one.samples(0, 90), other.samples(0, 90))
        )
        common = min(len(left), len(right))
        assert left[:common] == right[:common]


def test_another_seed_gives_another_order() -> None:
    one, other = (order_of((90, [0.5, 0.5]), rows=[40, 40], seed=seed).samples(0, 90) for seed in (0, 1))
    assert one.rows.tolist() != other.rows.tolist()
    assert one.domains.tolist() != other.domains.tolist()


def test_a_seek_to_sample_a_billion_walks_through_none_of_those_before() -> None:
    order = order_of((10**10, [0.5, 0.3, 0.2]), rows=[10**9, 10**8, 7])
    start = process_time()
    samples = order.samples(10**9, 10**9 + 64)
    assert process_time() - start < 0.05
    assert samples.rows.tolist() == order.samples(10**9 - 64, 10**9 + 64).rows[64:].tolist()


def test_a_run_of_a_thousand_domains_and_ten_billion_tokens_is_planned_in_two_seconds() -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(1000))
    tracemalloc.start()
    start = process_time()
    phases = [Phase(10**10 // 4096 * 2048, tuple(weights)) for weights in (shares, shares[::-1])]
    order = data_order(phases, [f"domain-{index}" for index in range(1000)], [5000] * 1000, 2048, 0)
    check_caps([order], 30.0, "run")
    drawn = [order.drawn_before(order.num_samples * block // 20) for block in range(21)]
    assert process_time() - start < 2
    assert tracemalloc.get_traced_memory()[1] < 200e6
    tracemalloc.stop()
    assert drawn[-1].tolist() == list(order.totals)


@given(weights, st.integers(0, 120), st.integers(0, 5))
@settings(max_examples=60)
def test_what_was_drawn_before_a_sample_is_what_counting_says(shares: list[float], position: int, seed: int) -> None:
    order = order_of((70, shares), (50, shares[::-1]), rows=[20] * len(shares), seed=seed)
    counted = np.bincount(order.samples(0, position).domains, minlength=len(shares))
    assert order.drawn_before(position).tolist() == counted.tolist()


def test_samples_at_one_time_are_counted_one_by_one() -> None:
    times = phase_times(np.full(5, 4), np.full(5, 0.5))
    for position in range(21):
        counted = np.bincount(interleaved(times, 0, position)[0], minlength=5)
        assert standing_before(times, position).tolist() == counted.tolist()


def test_the_order_of_a_recipe_is_this_one() -> None:
    order = order_of((700, [0.6, 0.3, 0.1]), (300, [0.1, 0.1, 0.8]), rows=[400, 90, 7], seed=3)
    samples = order.samples(0, 1000)
    text = "".join(f"{one} " for one in zip(samples.domains.tolist(), samples.rows.tolist(), strict=True))
    assert hashlib.sha256(text.encode()).hexdigest().startswith("4e36e425b775a6a6")


@given(st.lists(st.integers(0, 60), min_size=1, max_size=5).filter(any), st.floats(0, 1, exclude_max=True))
@settings(max_examples=60)
def test_interleaving_gives_every_sample_once(counts: list[int], offset: float) -> None:
    total = sum(counts)
    domains, ordinals = interleaved(phase_times(np.array(counts), np.full(len(counts), offset)), 0, total)
    expected = sorted((domain, k) for domain, count in enumerate(counts) for k in range(count))
    assert sorted(zip(domains.tolist(), ordinals.tolist(), strict=True)) == expected


def test_largest_remainders_are_rounded_up_first() -> None:
    assert largest_remainder([0.5, 0.3, 0.2], 7) == (4, 2, 1)
    assert largest_remainder([1 / 3, 1 / 3, 1 / 3], 10) == (4, 3, 3)


def test_a_domain_repeated_too_often_is_refused_with_its_epochs() -> None:
    order = order_of((100, [0.5, 0.5]), rows=[100, 10])
    check_caps([order], 5.0, "run")
    with pytest.raises(
        ConfigError, match=r"domain-1, 50 samples asked of 10 there are = 5\.00 epochs.*at\s+most 0\.4\d"
    ):
        check_caps([order], 4.9, "run")


@given(st.lists(st.integers(1, 50), min_size=2, max_size=5), st.integers(1, 300), st.floats(0.5, 6))
@settings(max_examples=80)
def test_weights_at_their_caps_are_accepted(rows: list[int], samples: int, max_epochs: float) -> None:
    caps = weight_caps(rows, samples, max_epochs)
    if caps.sum() < 1:
        return
    shares = np.zeros(len(rows))
    for index, cap in enumerate(caps):
        shares[index] = min(cap, 1 - shares.sum())
    check_caps([order_of((samples, shares.tolist()), rows=rows)], max_epochs, "run")


def test_a_domain_with_a_weight_and_no_samples_is_refused() -> None:
    with pytest.raises(ConfigError, match="domain-1"):
        order_of((10, [0.5, 0.5]), rows=[5, 0])


def test_a_phase_that_ends_within_a_sample_is_refused_with_the_nearest_lengths() -> None:
    with pytest.raises(ConfigError, match="80 and 88"):
        data_order([Phase(81, (1.0,))], ["a"], [10], 8, 0)


def test_weights_for_another_number_of_domains_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 weights for 1 domains"):
        data_order([Phase(80, (0.5, 0.5))], ["a"], [10], 8, 0)


def test_a_weight_too_small_for_one_sample_is_told() -> None:
    phases = [Phase(80, (0.99, 0.01))]
    assert starved(data_order(phases, ["a", "b"], [10, 10], 8, 0), phases) == ("b",)


@pytest.mark.parametrize("shares", [(0.5, 0.4), (1.5, -0.5), (float("nan"), 1.0)])
def test_weights_that_are_no_shares_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError):
        Phase(80, shares)


def shared_order(shares: list[float], rows: list[int], share: float | None, seed: int = 0) -> DataOrder:
    phases = [Phase(120 * 8, tuple(shares))]
    return data_order(phases, [f"domain-{index}" for index in range(len(rows))], rows, 8, seed, share)


@pytest.mark.parametrize("share", [None, 1.0])
def test_all_rows_may_be_used_unless_a_share_is_asked(share: float | None) -> None:
    whole = order_of((120, [0.7, 0.3]), rows=[50, 9]).samples(0, 120)
    same = shared_order([0.7, 0.3], [50, 9], share).samples(0, 120)
    assert whole.rows.tolist() == same.rows.tolist()
    assert whole.epochs.tolist() == same.epochs.tolist()


def test_a_share_of_the_rows_is_repeated_as_often_as_it_is_smaller() -> None:
    order = shared_order([0.7, 0.3], [400, 90], 0.1)
    assert order.rows == (40, 9)
    samples = order.samples(0, 120)
    for domain, (rows, available) in enumerate(((40, 400), (9, 90))):
        drawn = samples.rows[samples.domains == domain]
        assert len(set(drawn.tolist())) == rows
        assert drawn.max() < available
        # All over the domain, not its first rows.
        assert drawn.max() > available / 2
        epochs = samples.epochs[samples.domains == domain]
        assert sorted(drawn[epochs == 1].tolist()) == sorted(drawn[epochs == 0].tolist())


def test_mixtures_with_one_seed_may_use_the_same_rows_and_a_smaller_share_is_part_of_a_larger() -> None:
    def used(order: DataOrder) -> set[int]:
        samples = order.samples(0, 120)
        return set(samples.rows[samples.domains == 0].tolist())

    one, other = (shared_order(shares, [400, 90], 0.1) for shares in ([0.5, 0.5], [0.9, 0.1]))
    assert used(one) == used(other)
    assert used(shared_order([0.5, 0.5], [400, 90], 0.05)) < used(one)
    assert used(shared_order([0.5, 0.5], [400, 90], 0.1, seed=1)) != used(one)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=5), st.floats(1e-6, 1.0))
def test_a_domain_keeps_its_share_of_rows_and_at_least_one(rows: list[int], share: float) -> None:
    for there, used in zip(rows, usable_rows(rows, share), strict=True):
        assert used == 0 if there == 0 else 1 <= used <= there
        assert abs(used - there * share) <= 1


def test_exposure_counts_the_rows_of_the_whole_domain() -> None:
    order = shared_order([0.5, 0.5], [400, 90], 0.1)
    assert times_seen(order, 0).shape == (400,)
    assert times_seen(order, 0).sum() == 60
