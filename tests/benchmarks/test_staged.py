"""The studies of data in time: their arms are arms, and their tables say what was found."""

import argparse

import pytest

from benchmarks.studies import late_upsampling, meco, stability_gap, staged
from tasks.arms.published import ArmComparison, ArmRun, ArmsComparison

STUDIES = {"late_upsampling": late_upsampling, "meco": meco, "stability_gap": stability_gap}


@pytest.mark.parametrize("name", STUDIES)
def test_every_question_of_a_study_compares_arms(name: str) -> None:
    for values in STUDIES[name].questions(argparse.Namespace(seeds=3)).values():
        params = staged.arms_of(values, 3)
        assert params.num_seeds == 3 and len(params.arms) + bool(params.leave_one_out) > 1


def test_the_table_has_the_domain_of_a_study_beside_the_others() -> None:
    runs = [
        ArmRun(
            arm=arm, seed=0, tokens=1, flops=1, device="cpu", instruction_set="AVX2",
            scores={"bits_per_byte": 2.0, "bits_per_byte.qa": qa, "bits_per_byte.web": 3.0},
        )
        for arm, qa in (("natural", 2.0), ("late", 1.0))
    ]  # fmt: skip
    one = ArmComparison(
        arm="late", gain=1.0, lower=0.5, upper=1.5, claim=True, test="paired", adjusted=0.01, detectable=0.1,
        differences=(1.0,), statement="Claim: late beats natural.", secondary={},
    )  # fmt: skip
    found = ArmsComparison(
        baseline="natural", primary="bits_per_byte.qa", confidence=0.95, adjustment="holm",
        directions=dict.fromkeys(runs[0].scores, "lower"), runs=tuple(runs), comparisons=(one,),
    )  # fmt: skip
    told = staged.table(found)
    assert "* Claim: late beats natural." in told
    assert "| late | 2.0000 | 1.0000 | 3.0000 | +1.0000 | +0.5000 to +1.5000 |" in told
