"""Mixtures without a run of the pipeline: fit any table, plan a search, replay one, export its result."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from tasks.core.command import exit_codes
from tasks.core.errors import ConfigError, DataError
from tasks.mixture.export import Destination, Format, export, read_recipe
from tasks.mixture.runs import Runs, read_runs

if TYPE_CHECKING:
    from flows.config import PipelineParams
    from tasks.mixture.plan import Effect, Noise, Part
    from tasks.mixture.problem import Problem
    from tasks.mixture.simulate import Replay
    from tasks.mixture.table_fit import Measurements, TableFit
    from tasks.tokenize.pool import TokenPool

file_type = click.Path(path_type=Path)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
preset_option = click.option("--preset", default="demo", show_default=True, help="configs/PRESET.yaml.")
params_option = click.option("--params", "params_file", type=file_type, help="YAML with the sections to change.")
set_option = click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Such as search.rounds=3.")
rate = click.FloatRange(min=0, min_open=True)


@click.group()
def mixture() -> None:
    """Fit a predictor to any table of runs, plan a search, replay one, export a mixture to other trainers."""


@mixture.command("fit")
@click.option("--mixtures", type=file_type, help="CSV of weights, one column per domain; `index` pairs rows.")
@click.option("--losses", type=file_type, help="CSV of losses of the same runs.")
@click.option("--runs", "runs_file", type=file_type, help="runs.csv of a search, instead of the two.")
@click.option("--target", default="mean", show_default=True, help="A column of losses (or domain), or `mean` of all.")
@click.option("--predict", "predict_file", type=file_type, required=True, help="CSV of the weights to predict.")
@click.option("--output", type=file_type, required=True, help="CSV: prediction, lower, upper (90 % of measurements).")
@json_option
def fit_command(
    mixtures: Path | None,
    losses: Path | None,
    runs_file: Path | None,
    target: str,
    predict_file: Path,
    output: Path,
    as_json: bool,
) -> None:
    """Choose a predictor by cross-validation, fit it, and predict other mixtures with intervals."""
    from tasks.mixture.predictors.choose import Selection
    from tasks.mixture.table import aligned, read_table, weights_of
    from tasks.mixture.table_fit import fit_table

    with exit_codes():
        measurements = _measurements(mixtures, losses, runs_file, target)
        wanted = weights_of(aligned(read_table(predict_file), measurements.domains))
        _check_writable(output)
        selection = Selection()
        with _working(f"fit: {len(selection.zoo)} predictors, {selection.num_folds} folds", as_json):
            fitted = fit_table(selection, measurements)
        output.write_text(fitted.predict(wanted.weights_RD).to_csv(), encoding="utf-8")
        result = _fit_result(measurements, fitted, wanted.normalised, len(wanted.weights_RD), output)
        click.echo(json.dumps(result) if as_json else _fit_text(result))


@mixture.command("plan")
@preset_option
@params_option
@set_option
@click.option("--tokens", "pool_folder", type=file_type, help="Published folder of tokenize: vocabulary, caps, epochs.")
@click.option("--runs", "runs_file", type=file_type, help="runs.csv of an earlier search: the noise between seeds.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Runs at the same time.")
@click.option("--proxy-tokens-per-s", type=rate, help="Of one proxy while the others go on, for the hours.")
@click.option("--tokens-per-s", type=rate, help="Of one full run, for the hours.")
@click.option("--measure", is_flag=True, help="Time both for about 3 s each on one thread of this machine.")
@json_option
def plan_command(
    preset: str,
    params_file: Path | None,
    settings: tuple[str, ...],
    pool_folder: Path | None,
    runs_file: Path | None,
    workers: int,
    proxy_tokens_per_s: float | None,
    tokens_per_s: float | None,
    measure: bool,
    as_json: bool,
) -> None:
    """Say what a search and the training after it cost, and the smallest gain they could tell from noise."""
    from flows.config import read_config
    from flows.speed import measured_speed
    from tasks.mixture.plan import detectable, difference_noise, parts
    from tasks.mixture.stage import problem_of
    from tasks.tokenize.pool import read_pool

    with exit_codes():
        params = read_config(preset, params_file, settings).params
        pool = None if pool_folder is None else read_pool(pool_folder)
        problem = None if pool is None else problem_of(params.search, pool)
        vocab_size = _vocab_size(params, pool)
        runs = None if runs_file is None else _read_runs(runs_file)
        if measure:
            with _working("plan: timing a proxy and a full run", as_json):
                proxy_tokens_per_s = proxy_tokens_per_s or measured_speed(params.search.proxy, vocab_size)
                tokens_per_s = tokens_per_s or measured_speed(params.train.training, vocab_size)
        costs = parts(
            params.search,
            params.train,
            vocab_size,
            workers=workers,
            proxy_tokens_per_s=proxy_tokens_per_s,
            tokens_per_s=tokens_per_s,
        )
        noise = None if runs is None else difference_noise(runs)
        effect = None if noise is None else detectable(noise, params.train.num_seeds, params.evaluate.confidence)
        if as_json:
            facts = {"noise": noise and vars(noise), "effect": effect and vars(effect), "vocab_size": vocab_size}
            click.echo(json.dumps({**{part.name: part.to_json() for part in costs}, **facts}))
            return
        click.echo("\n".join([*_cost_lines(costs), *_pool_lines(problem), _effect_text(noise, effect, runs, params)]))


@mixture.command("simulate")
@click.option("--runs", "runs_file", type=file_type, required=True, help="runs.csv: what the truth is fitted to.")
@preset_option
@params_option
@set_option
@click.option("--tokens", "pool_folder", type=file_type, help="Published folder of tokenize, for the caps; else none.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Searches per strategy.")
@click.option("--noise-sd", type=click.FloatRange(min=0), help="Of one run, instead of what the table says.")
@json_option
def simulate_command(
    runs_file: Path,
    preset: str,
    params_file: Path | None,
    settings: tuple[str, ...],
    pool_folder: Path | None,
    seeds: int,
    noise_sd: float | None,
    as_json: bool,
) -> None:
    """Replay the configured search on a truth fitted to measured runs; print its regret beside the baselines."""
    from dataclasses import replace

    from threadpoolctl import threadpool_limits

    from flows.config import read_config
    from infra.terminal import TerminalObserver
    from tasks.mixture.simulate import free_problem, replay, truth_of
    from tasks.mixture.stage import problem_of
    from tasks.tokenize.pool import read_pool

    with exit_codes(), threadpool_limits(1):
        params, runs = read_config(preset, params_file, settings).params.search, _read_runs(runs_file)
        if pool_folder is None:
            problem = free_problem(params, runs, str(runs_file))
        else:
            problem = problem_of(params, read_pool(pool_folder))
            if problem.names != runs.domains:
                raise DataError(
                    f"{runs_file}: its domains are not those of {pool_folder}. Name the pool it was made on."
                )
        truth, choice = truth_of(params, runs, str(runs_file))
        truth = truth if noise_sd is None else replace(truth, run_sd=noise_sd)
        with TerminalObserver(quiet=as_json) as observer:
            result = replay(
                params, problem, truth, seeds, lambda done, total: observer.progress("simulate: rounds", done, total)
            )
        if as_json:
            facts = {"truth": choice.predictor.kind, "run_sd": truth.run_sd, "seed_sd": truth.seed_sd, "seeds": seeds}
            click.echo(json.dumps({**facts, **result.to_json()}))
            return
        click.echo(
            f"truth: {choice.predictor.kind} fitted to {runs_file} (Spearman {choice.score.spearman:.3f} on runs left "
            f"out), noise of a run {truth.run_sd:.4f}, shift of a seed {truth.seed_sd:.4f}. It is one of our own "
            "predictors, so it is kinder than the world."
        )
        click.echo("\n".join(_replay_lines(result)))


@mixture.command("export")
@click.option("--recipe", "recipe_file", type=file_type, required=True, help="recipe.json of a search.")
@click.option("--format", "format_", type=click.Choice(get_args(Format)), required=True)
@click.option("--output", type=file_type, required=True, help="File to write.")
@click.option("--data", help="Where each domain's data is, such as s3://bucket/{domain}/*.npy; {index} works too.")
@click.option("--phase", type=click.IntRange(min=0), help="Of a recipe with several, counted from 0.")
@click.option("--tokens-per-step", type=click.IntRange(min=1), help="nanotron: where a later phase begins.")
def export_command(
    recipe_file: Path, format_: Format, output: Path, data: str | None, phase: int | None, tokens_per_step: int | None
) -> None:
    """Write a recipe's mixture in the shape that another trainer's config takes."""
    with exit_codes():
        text = export(read_recipe(recipe_file), format_, Destination(data, phase, tokens_per_step))
        _check_writable(output)
        output.write_text(text, encoding="utf-8")
        click.echo(f"{output}: the mixture for {format_}")


def _measurements(mixtures: Path | None, losses: Path | None, runs_file: Path | None, target: str) -> "Measurements":
    from tasks.mixture.table import read_table
    from tasks.mixture.table_fit import measurements_of_runs, measurements_of_tables

    if runs_file is not None and mixtures is None and losses is None:
        return measurements_of_runs(_read_runs(runs_file), target, str(runs_file))
    if runs_file is None and mixtures is not None and losses is not None:
        return measurements_of_tables(read_table(mixtures), read_table(losses), target)
    raise ConfigError("what was measured is either --mixtures with --losses, or --runs. Give one of the two.")


def _read_runs(path: Path) -> Runs:
    if not path.is_file():
        raise DataError(f"{path}: there is no such file. Name the runs.csv of a search.")
    return read_runs(path)


def _check_writable(path: Path) -> None:
    if path.is_dir() or not path.parent.is_dir():
        raise ConfigError(f"--output {path}: not a file in an existing folder. Make the folder, or name another.")


@contextmanager
def _working(label: str, quiet: bool) -> Iterator[None]:
    """Show that something is going on; float work runs on one thread, as in the workers."""
    from rich.console import Console
    from threadpoolctl import threadpool_limits

    with Console(stderr=True, quiet=quiet).status(label), threadpool_limits(1):
        yield


def _fit_result(
    measurements: "Measurements", fitted: "TableFit", wanted_normalised: int, predicted: int, output: Path
) -> dict[str, Any]:
    scores = [
        {"predictor": score.kind, "rmse": score.rmse, "spearman": score.spearman, "coverage": score.coverage}
        for score in fitted.choice.scores
    ]
    return {
        "predictor": fitted.choice.predictor.kind,
        "target": measurements.target,
        "runs": len(measurements.measured.weights_RD),
        "domains": len(measurements.domains),
        "scores": scores,
        "interval_width_sd": fitted.width,
        "normalised": measurements.normalised,
        "predicted": predicted,
        "predicted_normalised": wanted_normalised,
        "output": str(output),
    }


def _fit_text(result: dict[str, Any]) -> str:
    lines = [
        f"{result['predictor']} chosen for {result['target']}, from {result['runs']} runs of {result['domains']} domains",
        f"{'predictor':<12} {'rmse':>8} {'spearman':>9} {'90% held':>9}   on runs left out",
    ]
    lines += [
        f"{score['predictor']:<12} {score['rmse']:>8.4f} {score['spearman']:>9.3f} {score['coverage']:>9.1%}"
        for score in result["scores"]
    ]
    lines.append(
        f"intervals: {result['interval_width_sd']:.2f} standard deviations, so that 90 % of those runs lie inside"
    )
    if result["normalised"] or result["predicted_normalised"]:
        lines.append(
            f"normalised: {result['normalised']} of {result['runs']} measured and {result['predicted_normalised']} of "
            f"{result['predicted']} mixtures to predict summed to 1 only up to printed rounding"
        )
    return "\n".join([*lines, f"{result['predicted']} predictions in {result['output']}"])


def _vocab_size(params: "PipelineParams", pool: "TokenPool | None") -> int:
    from tasks.tokenize.config import TrainedBpe

    if pool is not None:
        return pool.vocab_size
    if not isinstance(params.tokenize.tokenizer, TrainedBpe):
        raise ConfigError(
            "the size of your own tokenizer's vocabulary is known after tokenize. Name its folder: --tokens."
        )
    return params.tokenize.tokenizer.vocab_size


def _cost_lines(costs: "tuple[Part, Part]") -> list[str]:
    head = f"{'':<9} {'runs':>5} {'parameters':>12} {'tokens each':>14} {'tokens':>16}"
    lines = [f"{head} {'FLOPs':>9} {'tokens/s':>9} {'hours':>8}"]
    for part in costs:
        hours = "unknown" if part.hours is None else f"{part.hours:.2f}"
        speed = "unknown" if part.tokens_per_s is None else f"{part.tokens_per_s:,.0f}"
        lines.append(
            f"{part.name:<9} {part.runs:>5} {part.parameters:>12,} {part.tokens:>14,} {part.runs * part.tokens:>16,} "
            f"{part.runs * part.flops:>9.2e} {speed:>9} {hours:>8}"
        )
    share = costs[0].runs * costs[0].flops / (costs[1].runs * costs[1].flops)
    lines.append(f"the search costs {share:.0%} of the training, in FLOPs of training steps (measuring is not counted)")
    if any(part.hours is None for part in costs):
        lines.append(
            "hours are unknown: state --proxy-tokens-per-s and --tokens-per-s, or time them here with --measure"
        )
    return lines


def _pool_lines(problem: "Problem | None") -> list[str]:
    if problem is None:
        return ["caps are not checked: name the folder of tokenize with --tokens"]
    lines = [f"{'domain':<40} {'tokens':>12} {'natural':>8} {'uniform':>8} {'at most':>8}"]
    rows = zip(problem.domains, problem.natural, problem.uniform, problem.caps_D, strict=True)
    lines += [f"{d.name:<40.40} {d.tokens:>12,} {n:>8.3f} {u:>8.3f} {cap:>8.3f}" for d, n, u, cap in rows]
    return lines


def _effect_text(noise: "Noise | None", effect: "Effect | None", runs: Runs | None, params: "PipelineParams") -> str:
    seeds = params.train.num_seeds
    if noise is None:
        why = "no earlier runs were named (--runs)" if runs is None else "no mixture in that table has several seeds"
        return f"the smallest gain that could be claimed is unknown: {why}. Repeat natural with other seeds first."
    if effect is None:
        return f"{seeds} seed(s) make no claim, however large the gain: at least 3 are needed (train.num_seeds)."
    how = (
        "paired differences between seeds, as measured"
        if noise.known == "measured"
        else "at most, as only one mixture was repeated and what pairing cancels is unknown"
    )
    return (
        f"a gain of {effect.gain:.4f} bits per byte would be claimed with probability {effect.power:.0%} by {seeds} "
        f"paired seeds at {effect.confidence:.0%}; noise of a difference {noise.sd:.4f} ({how}), at the size of those runs"
    )


def _replay_lines(result: "Replay") -> list[str]:
    lines = [f"{'strategy':<24} {'runs':>5} {'regret':>8} {'sd':>8}"]
    for row in result.to_json()["strategies"]:
        regrets = row["regrets"]
        mean = sum(regrets) / len(regrets)
        spread = (sum((value - mean) ** 2 for value in regrets) / max(len(regrets) - 1, 1)) ** 0.5
        lines.append(f"{row['strategy']:<24} {row['runs']:>5} {mean:>8.4f} {spread:>8.4f}")
    for name, value in (("natural", result.natural), ("uniform", result.uniform)):
        lines.append(f"{name:<24} {'':>5} {value - result.best:>8.4f}")
    return lines
