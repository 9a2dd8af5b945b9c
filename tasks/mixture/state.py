"""Where a search stands: what it searches, and what is known so far. Every step of it is a pure function of this."""

from dataclasses import dataclass, replace

from tasks.mixture.config import SearchParams
from tasks.mixture.decay import DecayRuns
from tasks.mixture.earlier_runs.warm_start import CurrentSearch
from tasks.mixture.expected_curve import RunCurve
from tasks.mixture.problem import Problem
from tasks.mixture.published_candidates import Round
from tasks.mixture.runs import JUDGING, RunTable
from tasks.mixture.third_size import Fall
from tasks.mixture.transfer import Size
from tasks.training.model_size import num_parameters


@dataclass(frozen=True)
class State:
    """Where a search stands: what it searches, what was measured, and what each round proposed.

    `earlier` are runs of an earlier version that inform the predictor, `data` what today's proxies have in common
    (`ProxyRun.data`). `tokens` is the digest of what is trained on, None where there is no pool; `decay` is what
    the branches of the last stage came to, `curves` what runs read of their training loss, `onward` how losses fall to the
    full run where a ladder says it, `other_text` how much each set's loss differs on other text, all at the end.
    """

    params: SearchParams
    problem: Problem
    vocab_size: int
    data: str
    runs: RunTable
    rounds: tuple[Round, ...] = ()
    earlier: RunTable | None = None
    tokens: str | None = None
    decay: DecayRuns | None = None
    curves: tuple[RunCurve, ...] = ()
    onward: Fall | None = None
    other_text: tuple[float, ...] = ()

    @property
    def size(self) -> Size:
        """The proxies' size."""
        proxy = self.params.proxy
        return Size(num_parameters(proxy.model, self.vocab_size)[0], proxy.num_tokens)

    @property
    def second_size(self) -> Size | None:
        """The size of the second proxies, if any are asked for."""
        if self.params.transfer is None:
            return None
        training = self.params.transfer.second
        return Size(num_parameters(training.model, self.vocab_size)[0], training.num_tokens)

    @property
    def target(self) -> Size | None:
        """The size of the run that the recipe is for, where it is known."""
        parameters = self.params.target_parameters
        if parameters is None and self.params.target_model is not None:
            parameters = num_parameters(self.params.target_model, self.vocab_size)[0]
        return None if parameters is None else Size(parameters, self.params.target.tokens)

    @property
    def searched(self) -> RunTable:
        """The proxies of the search itself: of one size, without those that only judge the pick."""
        rows = self.runs.at(self.size.model_parameters, self.size.tokens).rows
        return replace(self.runs, rows=tuple(row for row in rows if row.kind not in JUDGING))

    @property
    def paired(self) -> RunTable:
        """The proxies that a predictor is fitted to: those with the search's own seed."""
        return self.searched.paired(self.params.seed)

    @property
    def current(self) -> CurrentSearch:
        """What is measured now, as an earlier table is asked for it."""
        problem, size = self.problem, self.size
        return CurrentSearch(
            problem.names,
            problem.set_names,
            problem.objective,
            self.runs.unit,
            self.data,
            self.params.seed,
            size.model_parameters,
            size.tokens,
        )
