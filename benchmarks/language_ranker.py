"""Whether parallel sentences know what a model was trained on: their score against a language's share of the mixture.

    python -m benchmarks.language_ranker --folder FOLDER [--seeds 4] [--steps 300]

English is half of every mixture; German and Korean share the other half, from nothing to all of it. The sentences are the
paragraphs of the Universal Declaration of Human Rights, which the corpus holds in many languages and no model here was
trained on; `bare` ones are without the punctuation at their end, `strangers` beside the English of another paragraph. The
same command goes on where it was stopped: what is finished lies in FOLDER.

Axes: A arms, S seeds.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.inputs import lines_of, shared
from benchmarks.measure import machine
from tasks.arms.published import ArmsComparison
from tasks.comparison.table import interval
from tasks.mixture.predictors.choose import spearman
from tasks.training.params import demo_proxy

Array = npt.NDArray[np.float64]

_HERE = Path(__file__).resolve().parents[1]
_RESULTS = Path(__file__).parent / "results" / "language_ranker.txt"
# What is trained on, by the domain's name; which text of the Declaration is of that language.
_SOURCES = {"english": "wikipedia_core-*", "german": "multi_gesetze-*", "korean": "multi_kowiki-*"}
_DECLARATION, _CODES = "multi_udhr-*", {"english": "eng", "german": "deu", "korean": "kor"}
_LANGUAGES = ("german", "korean")
_ENGLISH, _GERMAN = 0.5, (0.0, 0.25, 0.5)
_CONFIDENCE = 0.95
# With what a sentence ends in any of the languages. The score is about the state at the last token.
_ENDS = ".,;: "
_POOL: dict[str, Any] = {
    "curate": {
        "profiles": {"keep_all": {"rules": {}}},
        "profile": "keep_all",
        "duplicates": {"near": None},
    },
    "cluster": {"domains": {"kind": "source"}},
}


def main() -> None:
    """Train, ask, print and write down how the scores follow the shares."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.language_ranker", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--folder", type=Path, required=True, help="for text, runs and results; kept")
    parser.add_argument("--seeds", type=int, default=4, help="of each mixture (%(default)s)")
    parser.add_argument("--steps", type=int, default=300, help="of 1,024 tokens (%(default)s)")
    options = parser.parse_args()
    if (data := shared()) is None:
        raise SystemExit("no shared data here: this study needs its corpus")
    folder: Path = options.folder.absolute()
    pool = _pool(folder, data / "corpus")
    pairs = _pairs(_declarations(data / "corpus"), pool)
    arms = folder / "arms.yaml"
    arms.write_text(json.dumps(_arms(folder, pairs, options.seeds, options.steps)), encoding="utf-8")
    _mixwright(folder, "compare", "--arms", str(arms), "--tokens", str(pool), "--output", str(folder / "arms"))
    text = (
        f"language_ranker: {machine()}: {len(_GERMAN)} mixtures with {options.seeds} seeds each, "
        f"{options.steps} steps of 1,024 tokens (the demo's proxy), {len(pairs)} parallel sentences. "
        "`python -m benchmarks.language_ranker`\n\n"
        f"{told(ArmsComparison.read(folder / 'arms'))}"
    )
    print(text)
    _RESULTS.write_text(text, encoding="utf-8")


def told(found: ArmsComparison) -> str:
    """Return the table of scores by share, and how each score changes with it."""
    lines = ["score                    " + "".join(f"{share:>9.0%}" for share in _GERMAN) + "   change from 0% to 50%"]
    for language in _LANGUAGES:
        shares_A = np.array([_share(language, german) for german in _GERMAN])
        order = np.argsort(shares_A)
        for score in (language + part for part in ("", "_strangers", "_bare", "_bare_strangers", "_text")):
            scores_SA = _scores(found, score)[:, order]
            slopes_S = np.array([np.polyfit(shares_A[order], row_A, 1)[0] for row_A in scores_SA]) * (1 - _ENGLISH)
            ends = interval(slopes_S, _CONFIDENCE)
            span = "" if ends[0] is None else f" ({ends[0]:+.4f} to {ends[1]:+.4f})"
            cells = "".join(f"{value:>9.4f}" for value in scores_SA.mean(axis=0))
            rank = spearman(shares_A[order], scores_SA.mean(axis=0))
            lines.append(f"{score:<25}{cells}   {slopes_S.mean():+.4f}{span}, rank correlation {rank:+.2f}")
    return "\n".join([*lines, "", *_order(found)]) + "\n"


def _order(found: ArmsComparison) -> Iterator[str]:
    """Yield whether the language with more text has the higher score, mixture by mixture."""
    differing = [place for place, german in enumerate(_GERMAN) if _share("german", german) != _share("korean", german)]
    german_SA, korean_SA = (_scores(found, language)[:, differing] for language in _LANGUAGES)
    more_A = np.array([_share("german", _GERMAN[place]) > _share("korean", _GERMAN[place]) for place in differing])
    right_SA = (german_SA > korean_SA) == more_A
    yield f"the language with the larger share has the higher score in {right_SA.sum()} of {right_SA.size} models"


def _scores(found: ArmsComparison, task: str) -> Array:
    """Return the primary score of a task, [S, A], arms in the order of the German shares."""
    names = [name for name in found.directions if name.partition(".")[0] == task]
    (name,) = names
    seeds = sorted({run.seed for run in found.runs})
    values = {(run.seed, run.arm): run.scores[name] for run in found.runs}
    return np.array([[values[seed, _arm(german)] for german in _GERMAN] for seed in seeds])


def _share(language: str, german: float) -> float:
    return german if language == "german" else 1 - _ENGLISH - german


def _arm(german: float) -> str:
    return f"german-{round(100 * german)}"


def _arms(folder: Path, pairs: Sequence[Mapping[str, str]], seeds: int, steps: int) -> dict[str, Any]:
    """Write the tasks' files, and return the arms."""
    tasks = []
    for language in _LANGUAGES:
        for name, ends in ((language, ""), (f"{language}_bare", _ENDS)):
            own, english = (
                [pair[one].rstrip(ends) if ends else pair[one] for pair in pairs] for one in (language, "english")
            )
            # Strangers: each sentence beside the English of another paragraph.
            half = len(pairs) // 2
            for kind, others in (("", english), ("_strangers", [*english[half:], *english[:half]])):
                records = [{"text": text, "english": other} for text, other in zip(own, others, strict=True)]
                file = _records(folder / f"{name}{kind}.jsonl", records)
                tasks.append({"name": f"{name}{kind}", "file": file, "task": {"kind": "parallel_sentences"}})
        texts = _records(folder / f"{language}_text.jsonl", [{"text": own[language]} for own in pairs])
        tasks.append({"name": f"{language}_text", "file": texts, "task": {"kind": "text"}})
    training = demo_proxy().model_copy(update={"num_tokens": steps * 1024, "checkpoint_every_steps": None})
    arms = [
        {"name": _arm(german), "weights": {"english": _ENGLISH, **{one: _share(one, german) for one in _LANGUAGES}}}
        for german in _GERMAN
    ]
    return {
        "training": training.model_dump(mode="json"),
        "arms": arms,
        "baseline": _arm(_GERMAN[0]),
        "primary": _LANGUAGES[0],
        "num_seeds": seeds,
        "test_tokens_per_domain": 4096,  # what every run is measured on beside its tasks
        "tasks": tasks,
    }


def _declarations(corpus: Path) -> dict[str, list[str]]:
    """Return the lines of the Declaration by language; the corpus has them line by line alike.

    Raises:
        SystemExit: they are not.
    """
    (file,) = corpus.glob(f"{_DECLARATION}.jsonl.gz")
    texts = {record["lang"]: record["text"] for record in map(json.loads, lines_of(file))}
    found = {
        language: [line.strip() for line in texts[code].splitlines() if line.strip()]
        for language, code in _CODES.items()
    }
    if len({len(lines) for lines in found.values()}) > 1:
        raise SystemExit(
            f"the Declaration has other lines in every language: { ({k: len(v) for k, v in found.items()}) }"
        )
    return found


def _pairs(lines: Mapping[str, Sequence[str]], pool: Path) -> list[dict[str, str]]:
    """Return the paragraphs that are sentences and that fit into the models' context, by language."""
    from tasks.evaluation.tasks.models import read_tokenizer
    from tasks.tokenize.published import TOKENIZER_FILE

    tokenizer, most = read_tokenizer(pool / TOKENIZER_FILE), demo_proxy().model.sequence_length - 1
    each = [dict(zip(lines, texts, strict=True)) for texts in zip(*lines.values(), strict=True)]
    return [
        one
        for one in each
        if len(one["english"]) > 30 and all(len(tokenizer.encode(text).ids) <= most for text in one.values())
    ]


def _pool(folder: Path, corpus: Path) -> Path:
    """Return the published tokens of the three languages, a domain each."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pool.yaml").write_text(json.dumps(_POOL), encoding="utf-8")
    for language, pattern in _SOURCES.items():
        records = [
            {"id": record["id"], "text": record["text"], "source": language}
            for file in sorted(corpus.glob(f"{pattern}.jsonl.gz"))
            for record in map(json.loads, lines_of(file))
        ]
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        (folder / f"{language}.jsonl.gz").write_bytes(gzip.compress(lines.encode(), mtime=0))
    inputs = [word for language in _SOURCES for word in ("--input", str(folder / f"{language}.jsonl.gz"))]
    stages = {
        "curate": inputs,
        "cluster": ["--input", str(folder / "curate")],
        "tokenize": ["--input", f"curate={folder / 'curate'}", "--input", f"cluster={folder / 'cluster'}"],
    }
    for stage, given in stages.items():
        _mixwright(folder, stage, *given, "--output", str(folder / stage), "--params", str(folder / "pool.yaml"))
    return folder / "tokenize"


def _records(path: Path, records: Sequence[Mapping[str, str]]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return str(path)


def _mixwright(folder: Path, *words: str) -> None:
    """Run a command whose home is in the folder, so that what is finished is found again."""
    own = os.environ | {"MIXWRIGHT_HOME": str(folder / "home")}
    subprocess.run([sys.executable, "-m", "cli", *words], cwd=_HERE, env=own, check=True)


if __name__ == "__main__":
    main()
