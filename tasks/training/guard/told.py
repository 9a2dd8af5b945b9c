"""What a guard said of runs, as a table: a row for each."""

from tasks.training.guard.published import Guard, GuardedRun, GuardVerdict

WORDS = {
    "within": "kept",
    "will_break": "will be broken",
    "broken": "broken",
    "broken_before": "broken before the first step",
    "unknown": "too few evaluations",
}


def table_of(found: Guard) -> list[dict[str, object]]:
    """Return a row for every run: the loss on the earlier domains before, allowed, foretold halfway, and at the end."""
    return [_row(run) for run in found.runs if run.verdicts]


def _row(run: GuardedRun) -> dict[str, object]:
    last = run.verdicts[-1]
    half = next((one for one in run.verdicts if 2 * one.tokens >= last.tokens), last)
    warned = next((one.step for one in run.verdicts if one.state in {"will_break", "broken", "broken_before"}), None)
    return {
        "run": run.run,
        "before": f"{run.before:.4f}",
        "allowed": f"{run.limit:.4f}",
        "foretold halfway": _forecast(half),
        "at the end": f"{last.loss:.4f}",
        "tolerance": WORDS[last.state],
        "warned at step": "" if warned is None else str(warned),
        "new share": f"{last.ratio:.2f}",
        "largest that keeps it": _critical(last),
    }


def _forecast(said: GuardVerdict) -> str:
    if said.predicted is None:
        return ""
    return f"{said.predicted:.4f} ({said.lower:.4f} to {said.upper:.4f})"


def _critical(said: GuardVerdict) -> str:
    if said.critical_ratio is None:
        return ""
    return f"{said.critical_ratio:.2f} ({said.critical_lower:.2f} to {said.critical_upper:.2f})"
