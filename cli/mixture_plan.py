"""`mixwright mixture plan`: what a search costs, what it could find, and the noise measured first if one asks for it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import file_type, here, json_option, params_option, preset_option, set_option, working
from tasks.core.errors import ConfigError
from tasks.core.once import Once
from tasks.core.text_table import text_table
from tasks.core.words import percent
from tasks.runtime.command import exit_codes

if TYPE_CHECKING:
    from flows.config import PipelineParams
    from tasks.mixture.config import SearchParams
    from tasks.mixture.noise import Effect, Sizing
    from tasks.mixture.plan import Outlook, PlannedRuns, Speeds
    from tasks.mixture.problem import Problem
    from tasks.mixture.runs import RunTable
    from tasks.tokenize.pool import TokenPool

# Of the interval of the noise itself.
_CONFIDENCE = 0.9
above_zero = click.FloatRange(min=0, min_open=True)


@click.command("plan", cls=Once)
@preset_option
@params_option
@set_option
@click.option("--tokens", "pool_folder", type=file_type, help="Published folder of tokenize: vocabulary, caps, epochs.")
@click.option("--runs", "runs_file", type=file_type, help="runs.csv of an earlier search: the noise between seeds.")
@click.option(
    "--pilot", type=click.IntRange(min=2), metavar="SEEDS", help="Measure the noise now: natural and uniform."
)
@click.option("--effect", type=above_zero, metavar="GAIN", help="Bits per byte that matter: what finding them takes.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Runs at the same time.")
@click.option("--proxy-tokens-per-s", type=above_zero, help="Of one proxy while the others go on, for the hours.")
@click.option("--second-tokens-per-s", type=above_zero, help="Of one run of the second size (search.transfer).")
@click.option("--tokens-per-s", type=above_zero, help="Of one full run, for the hours.")
@click.option("--measure", is_flag=True, help="Time each for about 3 s on one thread of this machine.")
@json_option
def plan_command(
    preset: str,
    params_file: Path | None,
    settings: tuple[str, ...],
    pool_folder: Path | None,
    runs_file: Path | None,
    pilot: int | None,
    effect: float | None,
    workers: int,
    proxy_tokens_per_s: float | None,
    second_tokens_per_s: float | None,
    tokens_per_s: float | None,
    measure: bool,
    as_json: bool,
) -> None:
    """Say what a search and the training after it cost, and the smallest gain they could tell from noise."""
    from flows.config import read_config, resolved
    from tasks.mixture.plan import Speeds, outlook, parts, total
    from tasks.mixture.pool_problem import problem_of
    from tasks.mixture.runs import read_runs
    from tasks.tokenize.pool import read_pool

    with exit_codes():
        params = resolved(read_config(preset, params_file, settings)).params
        if pilot is not None and (pool_folder is None or runs_file is not None):
            raise ConfigError("--pilot trains on a pool: name it with --tokens, and leave --runs out.")
        pool = None if pool_folder is None else read_pool(pool_folder)
        problem, vocab_size = None if pool is None else problem_of(params.search, pool), _vocab_size(params, pool)
        speeds = Speeds(proxy_tokens_per_s, second_tokens_per_s, tokens_per_s)
        speeds = _timed(params, vocab_size, speeds, as_json) if measure else speeds
        costs = parts(params.search, params.train, vocab_size, problem=problem, workers=workers, speeds=speeds)
        runs = None if runs_file is None else read_runs(runs_file)
        if not as_json:
            click.echo("\n".join([*_cost_lines(costs), *_pool_lines(problem)]))
        if pilot is not None and pool_folder is not None:
            runs = _piloted(params.search, pool_folder, pilot, workers, as_json)
        found = outlook(params.search, params.train, params.evaluate.confidence, vocab_size, runs, effect)
        if not as_json:
            click.echo("\n".join(_outlook_lines(found, runs, params)))
            return
        named = {part.name: part.to_json() for part in costs}
        costs_by_kind = {"search": total(costs[:-1]), "training": named.pop("training"), "parts": named}
        click.echo(json.dumps({**costs_by_kind, **found.to_json(), "vocab_size": vocab_size}))


def _timed(params: "PipelineParams", vocab_size: int, given: "Speeds", quiet: bool) -> "Speeds":
    from cli.speed import measured_speed
    from tasks.mixture.plan import Speeds

    second = params.search.transfer
    with working("plan: timing a proxy and a full run", quiet):
        return Speeds(
            given.proxy or measured_speed(params.search.proxy, vocab_size),
            given.second or (None if second is None else measured_speed(second.second, vocab_size)),
            given.training or measured_speed(params.train.training, vocab_size),
        )


def _piloted(params: "SearchParams", pool_folder: Path, seeds: int, workers: int, quiet: bool) -> "RunTable":
    """Return natural and uniform with so many seeds, through the store that every search looks into first."""
    from tasks.mixture.stage import pilot

    with here(quiet, workers) as workshop:
        return pilot(params, pool_folder, workshop, seeds)


def _vocab_size(params: "PipelineParams", pool: "TokenPool | None") -> int:
    from tasks.tokenize.learning import TrainedBpe
    from tasks.tokenize.tokenizer import default_vocab_size

    if pool is not None:
        return pool.vocab_size
    if not isinstance(params.tokenize.tokenizer, TrainedBpe):
        raise ConfigError(
            "the size of your own tokenizer's vocabulary is known after tokenize. Name its folder: --tokens."
        )
    tokenizer = params.tokenize.tokenizer
    return tokenizer.vocab_size or default_vocab_size(tokenizer.training_bytes)


def _cost_lines(costs: "tuple[PlannedRuns, ...]") -> list[str]:
    from tasks.mixture.plan import total

    search, training = total(costs[:-1]), total(costs[-1:])
    rows: list[tuple[str, ...]] = [
        (
            *(part.name, f"{part.runs}", f"{part.parameters:,}", f"{part.tokens:,}", f"{part.runs * part.tokens:,}"),
            *(f"{part.runs * part.flops:.2e}", _formatted(part.tokens_per_s, ",.0f"), _formatted(part.hours, ".2f")),
        )
        for part in costs
    ]
    sums = (f"{search['all_tokens']:,}", f"{search['all_flops']:.2e}", "", _formatted(search["hours"], ".2f"))
    rows.insert(-1, ("search, at most", f"{search['runs']}", "", "", *sums))
    head = ("", "runs", "parameters", "tokens each", "tokens", "FLOPs", "tokens/s", "hours")
    lines = text_table(head, rows)
    share = search["all_flops"] / training["all_flops"]
    lines.append(f"the search costs {share:.0%} of the training, in FLOPs of training steps (measuring is not counted)")
    if search["hours"] is None or training["hours"] is None:
        lines.append(
            "hours are unknown: state --proxy-tokens-per-s and --tokens-per-s, or time them here with --measure"
        )
    return lines


def _formatted(value: float | None, format_: str) -> str:
    return "unknown" if value is None else format(value, format_)


def _pool_lines(problem: "Problem | None") -> list[str]:
    if problem is None:
        return ["caps are not checked: name the folder of tokenize with --tokens"]
    columns = zip(problem.domains, problem.natural, problem.uniform, problem.caps_D, strict=True)
    rows = [(one.name, f"{one.tokens:,}", *(f"{weight:.3f}" for weight in weights)) for one, *weights in columns]
    return text_table(("domain", "tokens", "natural", "uniform", "at most"), rows)


def _outlook_lines(found: "Outlook", runs: "RunTable | None", params: "PipelineParams") -> list[str]:
    if found.noise is None or runs is None:
        why = "no earlier runs were named (--runs)" if runs is None else "no mixture in that table has several seeds"
        return [
            f"the smallest gain that could be claimed is unknown: {why}. Measure the noise first: --pilot 3, or --runs."
        ]
    how = (
        "paired differences between seeds, as measured"
        if found.noise.known == "measured"
        else "at most, as only one mixture was repeated and what pairing cancels is unknown"
    )
    size = "at the proxies' size" if found.of_proxies else "at the size of those runs, not of these proxies"
    lines = [
        f"noise of a difference {found.noise.sd:.4f} {runs.unit}, of one run {found.noise.run_sd:.4f} ({how}), {size}"
    ]
    if (known := found.noise.interval(_CONFIDENCE)) is not None:
        lines.append(
            f"  known from {found.noise.degrees_of_freedom} degrees of freedom: {known[0]:.4f} to {known[1]:.4f} at "
            f"{percent(_CONFIDENCE)}; more seeds narrow it"
        )
    if params.search.confirm is not None and found.confirmed is not None:
        mixtures = params.search.confirm.num_candidates + 2
        lines.append(f"confirmation of {mixtures} mixtures: {_effect(found.confirmed, 'fresh', runs.unit)}")
    if found.evaluated is None:
        seeds = params.train.num_seeds
        lines.append(f"{seeds} seed(s) make no claim, however large the gain: at least 3 are needed (train.num_seeds).")
    else:
        lines.append(f"evaluation: {_effect(found.evaluated, 'paired', runs.unit)}, if full runs are as noisy")
    return [*lines, *_wanted_lines(found, runs)]


def _effect(effect: "Effect", seeds: str, unit: str) -> str:
    return (
        f"a gain of {effect.gain:.4f} {unit} would be claimed with probability {percent(effect.power)} by {effect.seeds} "
        f"{seeds} seeds at {percent(effect.confidence)}"
    )


def _wanted_lines(found: "Outlook", runs: "RunTable") -> list[str]:
    if found.target_gain is None:
        return []
    lines = [f"to find a gain of {found.target_gain:g} {runs.unit} with the same probability:"]
    for name, seeds in (("search.confirm.num_seeds", found.confirm_seeds), ("train.num_seeds", found.train_seeds)):
        lines.append(f"  {name} = {'more than 1000: lower the noise' if seeds is None else seeds}")
    if len(found.sizings) < 2:
        return [
            *lines,
            "  tokens per run: cannot be derived from runs of one size with repeats; pilot another size and name the table "
            "of both. What held-out tokens add is in no table: all runs are measured on the same ones.",
        ]
    return [*lines, "  seeds by size of a run, the cheapest first:", *map(_sizing, found.sizings)]


def _sizing(each: "Sizing") -> str:
    needed = "more than 1000" if each.seeds is None else f"{each.seeds}"
    tokens = "" if each.all_tokens is None else f", {each.all_tokens:,} tokens for two mixtures"
    size = f"{each.model_parameters:,} parameters, {each.tokens:,} tokens"
    return f"    {size}: noise {each.noise.sd:.4f}, {needed} seeds{tokens}"
