"""The study of experts: its arms differ in the balance alone, and its table has paired differences."""

from benchmarks.studies import experts


def test_the_arms_differ_in_what_is_balanced_alone_and_a_micro_batch_is_one_sample() -> None:
    ours, theirs = (experts.training_of(over, 0.1, 20) for over in experts.ARMS)
    assert ours.sequences_per_step == ours.micro_batches
    assert ours.model.experts is not None and ours.model.experts.balance is not None
    balance = ours.model.experts.balance.model_copy(update={"over": "micro_batch"})
    model = ours.model.model_copy(update={"experts": ours.model.experts.model_copy(update={"balance": balance})})
    assert ours.model_copy(update={"model": model}) == theirs != ours


def test_the_table_has_means_and_paired_differences() -> None:
    found = {"global_batch": [(0.3, 2.0, 1.1), (0.5, 2.2, 1.2), (0.4, 2.1, 1.0)], "micro_batch": [(0.1, 2.0, 1.0)] * 3}
    _, ours, theirs, difference = experts.table(found).splitlines()
    assert ours.split() == ["global_batch", "0.4000", "2.1000", "1.1000"] and theirs.split()[1] == "0.1000"
    assert difference.split()[1] == "+0.3000"
