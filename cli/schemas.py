"""JSON Schemas of what stages publish, for whoever reads it elsewhere: `python -m cli.schemas` writes docs/schemas anew."""

import json
from pathlib import Path

import click

from tasks.core.published import Published
from tasks.stages import STAGES

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "schemas"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """Return the text of every schema, by its name in docs/schemas: the stage or command, then the file."""
    return {f"{name}/{Path(contract.FILE).stem}.schema.json": _text(contract) for name, contract in contracts()}


def contracts() -> list[tuple[str, type[Published]]]:
    """Return every contract with its stage, and those of `mixture compare`, `compare --arms`, and other commands."""
    from tasks.arms.published import ArmsComparison
    from tasks.comparison.published import ComparedMixtures, ComparisonTable
    from tasks.evaluation.planted.published import Dependence
    from tasks.generation.published import Generated
    from tasks.ladder.published import Ladder, LadderForecast
    from tasks.laws.published import LawFit
    from tasks.leaderboard.published import Leaderboard

    of_stages = [(stage.name, contract) for stage in STAGES for contract in stage.load_publishes()]
    of_ladder: list[tuple[str, type[Published]]] = [("ladder", Ladder), ("ladder", LadderForecast)]
    compared: list[type[Published]] = [ComparisonTable, ComparedMixtures, ArmsComparison]
    others: list[tuple[str, type[Published]]] = [("planted", Dependence), ("law", LawFit), ("select", Leaderboard)]
    others.append(("generate", Generated))
    return [*of_stages, *(("compare", one) for one in compared), *of_ladder, *others]


def write_schemas(folder: Path) -> None:
    """Write every schema into a folder, and remove those of files that are no longer published."""
    made = schemas()
    for path in folder.rglob("*.schema.json"):
        if path.relative_to(folder).as_posix() not in made:
            path.unlink()
    for name, text in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def _text(contract: type[Published]) -> str:
    schema = {"$schema": _DIALECT} | contract.model_json_schema(mode="serialization")
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write_schemas(FOLDER)
    click.echo(f"{len(schemas())} schemas in {FOLDER}")
