"""The models of a leaderboard: each selection as an arm with a pool of its own, and the random twins with other budgets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.arms.config import Arm, ArmsParams
from tasks.arms.measuring import GivenArms, Pools, measure
from tasks.arms.plan import PlannedArm, planned
from tasks.arms.published import ArmRun
from tasks.core.params import validate
from tasks.evaluation.tasks.item import Direction
from tasks.evaluation.unit import SPLIT
from tasks.leaderboard.config import LeaderboardParams
from tasks.leaderboard.entrants import Entrant
from tasks.leaderboard.pools import selected_pools
from tasks.runtime.context import Workshop
from tasks.runtime.records import UnitRecord
from tasks.tokenize.published import Split
from tasks.training.config import TrainingConfig
from tasks.training.runs.stage import TRAIN


@dataclass(frozen=True)
class Models:
    """Every entrant with every seed: runs that bear the entrant's name, or `budget_name` of a twin with other budgets."""

    runs: tuple[ArmRun, ...]
    directions: Mapping[str, Direction]
    records: Sequence[UnitRecord]


@dataclass(frozen=True)
class Entered:
    """Entrants with the pools of what each selects for each seed, by the name of the pool, and what people call it."""

    field: Sequence[Entrant]
    seeds: Sequence[int]
    pools: Mapping[str, Path]
    given: GivenArms
    phase: str

    @staticmethod
    def of(
        params: LeaderboardParams,
        field: Sequence[Entrant],
        seeds: Sequence[int],
        base: Path,
        inputs: Mapping[str, Path],
        workshop: Workshop,
        phase: str = "select",
    ) -> "Entered":
        """Make the pools; `inputs` has the `tokenize` of the run, on whose text all are measured.

        Raises:
            ConfigError: a selector keeps no document.
        """
        pools = selected_pools(field, seeds, base, inputs["tokenize"], workshop, f"{phase}: pools")
        shared = {name: getattr(params, name) for name in ArmsParams.model_fields if name in type(params).model_fields}
        arms = [Arm(name=name, tokens=str(folder)) for name, folder in pools.items()]
        # A baseline is asked for, and is nobody's here: entrants are compared with their twins.
        values = {**shared, "arms": arms, "baseline": arms[0].name, "num_seeds": max(2, len(seeds))}
        return Entered(field, seeds, pools, GivenArms.of(ArmsParams(**values), inputs, workshop), phase)

    def pool_of(self, entrant: Entrant) -> Path:
        """Return what an entrant selects for the first seed."""
        return self.pools[entrant.pool(self.seeds[0])]

    def measure(self, workshop: Workshop, budgets: Sequence[float] = (), split: Split = SPLIT) -> Models:
        """Train all models, those of twins with every one of `budgets` too, and measure them."""
        called: dict[str, str] = {}

        def plan(arms: ArmsParams, pools: Pools) -> list[PlannedArm]:
            found = []
            for one in self.field:
                for budget in (1.0, *(budgets if one.role == "twin" else ())):
                    for arm, seeds in self._arms(one, budget, called):
                        training = _with_budget(arms.training, budget)
                        update = {"training": training, "baseline": arm.name, "seed": seeds[0], "num_seeds": len(seeds)}
                        found += planned(arms.model_copy(update=update), [arm], pools)
            return found

        total = sum(len(self.seeds) * (1 + len(budgets) * (one.role == "twin")) for one in self.field)
        inside = workshop.inside((TRAIN.label,), TRAIN.label, f"{self.phase}: models", total)
        made = measure(self.given, inside, plan, split)
        runs = tuple(run.model_copy(update={"arm": called[run.arm]}) for run in made.runs)
        return Models(runs, made.directions, made.records)

    def _arms(self, entrant: Entrant, budget: float, called: dict[str, str]) -> list[tuple[Arm, list[int]]]:
        """Return an entrant's arms, each with its seeds, and note whose they are."""
        seeds: dict[str, list[int]] = {}
        for seed in self.seeds:
            seeds.setdefault(entrant.pool(seed), []).append(seed)
        found = []
        for pool, own in seeds.items():
            name = budget_name(pool, budget)
            called[name] = budget_name(entrant.name, budget)
            found.append((Arm(name=name, tokens=str(self.pools[pool])), own))
        return found


def budget_name(name: str, budget: float) -> str:
    """Return the name of what is trained with so many times the tokens.

    >>> budget_name("random-10", 1.0), budget_name("random-10", 0.5)
    ('random-10', 'random-10-x0_5')
    """
    return name if budget == 1 else f"{name}-x{f'{budget:.6g}'.replace('.', '_')}"


def _with_budget(training: TrainingConfig, budget: float) -> TrainingConfig:
    if budget == 1:
        return training
    steps = max(1, round(budget * training.num_steps))
    values = training.model_dump() | {"num_tokens": steps * training.tokens_per_step}
    return validate(TrainingConfig, values, f"training with {budget:g} times the tokens")
