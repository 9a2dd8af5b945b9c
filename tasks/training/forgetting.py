"""Forgetting and transfer in a run whose stages are domains, from its evaluations on the way."""

from collections.abc import Iterable, Sequence
from itertools import accumulate

from tasks.training.published import TrainedPhase, TrainedRun
from tasks.training.published_forgetting import Forgetting, RunForgetting
from tasks.training.published_run import EvaluationRow
from tasks.training.types import mean_weights


def forgetting(
    runs: Iterable[tuple[TrainedRun, Sequence[EvaluationRow]]], domains: Sequence[str], tokens_per_step: int
) -> Forgetting | None:
    """Return what is known of runs with their evaluations; None where none was measured at the ends of its stages."""
    found = [_of_run(run, rows, domains, tokens_per_step) for run, rows in runs]
    told = tuple(one for one in found if one is not None)
    return Forgetting(domains=tuple(domains), runs=told) if told else None


def _of_run(
    run: TrainedRun, rows: Sequence[EvaluationRow], domains: Sequence[str], tokens_per_step: int
) -> RunForgetting | None:
    ends = [0, *accumulate(phase.tokens for phase in run.phases)]
    steps = [tokens // tokens_per_step for tokens in ends]
    values = {(row.step, row.domain): row.bits_per_byte for row in rows}
    measured = all((step, domain) in values for step in steps for domain in domains)
    if run.trunk is not None or len(run.phases) < 2 or any(end % tokens_per_step for end in ends) or not measured:
        return None
    matrix = [[values[step, domain] for domain in domains] for step in steps]
    stages = [_domain_of(phase, domains) for phase in run.phases]
    backward, forward = transfers(stages, domains, matrix)
    return RunForgetting(
        run=run.name,
        mixture=run.mixture,
        seed=run.seed,
        steps=tuple(steps),
        stages=tuple(stages),
        bits_per_byte=tuple(map(tuple, matrix)),
        backward=backward,
        forward=forward,
    )


def transfers(
    stages: Sequence[str], domains: Sequence[str], matrix: Sequence[Sequence[float]]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return what each stage's domain but the last lost until the end, and what each but the first had gained before it.

    >>> transfers(["a", "b"], ["a", "b"], [[4.0, 4.0], [2.0, 3.5], [2.25, 1.0]])
    ({'a': 0.25}, {'b': -0.5})
    """
    if len({*stages}) < len(stages):
        return {}, {}
    places = [domains.index(name) for name in stages]
    backward = {stages[stage]: matrix[-1][place] - matrix[stage + 1][place] for stage, place in enumerate(places[:-1])}
    forward = {stages[stage]: matrix[stage][place] - matrix[0][place] for stage, place in enumerate(places) if stage}
    return backward, forward


def _domain_of(phase: TrainedPhase, domains: Sequence[str]) -> str:
    """Return the domain that has most of a stage's tokens; of equal ones the first."""
    shares = mean_weights(phase.weights, phase.end_weights)
    return domains[shares.index(max(shares))]
