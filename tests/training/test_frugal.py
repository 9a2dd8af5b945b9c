"""FRUGAL: its two ends are AdamW and signs, and its choices follow from the number of the step."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tasks.core.errors import ConfigError
from tasks.tokenize.pool import TokenPool
from tasks.training.config import ModelConfig
from tasks.training.model import weight_shapes
from tasks.training.optimizers.adamw import AdamW
from tasks.training.optimizers.frugal import Frugal
from tasks.training.optimizers.kinds import OptimizerKind, method
from tasks.training.optimizers.method import Step
from tasks.training.parallel.choice import chosen_parallel
from tasks.training.parallel.ddp import Ddp
from tasks.training.parallel.fsdp import Fsdp
from tasks.training.run import train
from tasks.training.spikes import SkipSpikes
from tasks.training.stacked import train_stacked
from tasks.training.types import Phase, RunSpec, Trunk
from tests.training.conftest import small_spec, small_training

PROJECTIONS = ("columns", "matrices", "svd")
NAMES = tuple(f"model.layers.{layer}.mlp.up_proj.weight" for layer in range(4))
EMBEDDING, NORM = "model.embed_tokens.weight", "model.norm.weight"
SHAPES = {**dict.fromkeys(NAMES, (12, 8)), EMBEDDING: (10, 8), NORM: (8,)}


def made(number: int) -> dict[str, Tensor]:
    """Random numbers for every weight."""
    random = torch.Generator().manual_seed(number)
    return {name: torch.randn(shape, generator=random) for name, shape in SHAPES.items()}


def weights_after(kind: OptimizerKind, steps: int, state: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """What steps make of the same weights with the same gradients."""
    weights = made(0)
    state = method(kind).init(kind, SHAPES, "cpu") if state is None else state
    for number in range(steps):
        step = Step(number, 0.05, 0.1, dict.fromkeys(SHAPES, 1.0))
        method(kind).update(kind, weights, made(number + 1), state, step)
    return weights


def of_density(density: float, projection: str = "columns", **more: object) -> Frugal:
    """An optimizer that chooses every three steps."""
    return Frugal.model_validate({"density": density, "projection": projection, "every_steps": 3, **more})


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_with_a_state_for_all_it_is_adamw_to_the_bit(pool: TokenPool, projection: str) -> None:
    plain, found = weights_after(AdamW(), 7), weights_after(of_density(1, projection), 7)
    assert all(torch.equal(found[name], weight) for name, weight in plain.items())
    one, other = (train(small_spec(method=kind), pool) for kind in (AdamW(), of_density(1, projection)))
    assert other.losses == one.losses
    assert all(torch.equal(other.model.weights[name], weight) for name, weight in one.model.weights.items())


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_without_a_state_matrices_move_by_signs_and_the_rest_by_adamw(projection: str) -> None:
    found, adamw = weights_after(of_density(0, projection, sign_scale=0.5), 5), weights_after(AdamW(), 5)
    weights = made(0)
    for number in range(5):
        for name in NAMES:
            weights[name] *= 1 - 0.05 * 0.1
            weights[name] -= 0.5 * 0.05 * made(number + 1)[name].sign()
    for name in NAMES:
        torch.testing.assert_close(found[name], weights[name])
    assert all(torch.equal(found[name], adamw[name]) for name in (EMBEDDING, NORM))


def test_chosen_columns_have_adamw_anew_with_every_choice_and_the_others_signs() -> None:
    kind = of_density(0.25)
    start, chosen = weights_after(kind, 3), []
    for steps in (3, 6):
        before, after = weights_after(kind, steps), weights_after(kind, steps + 1)
        gradient, name = made(steps + 1), NAMES[0]
        shrunk = before[name] * (1 - 0.05 * 0.1)
        signed = torch.isclose(shrunk - after[name], 0.05 * gradient[name].sign(), atol=1e-6).all(dim=0)
        # The first step of AdamW with new statistics is one by the sign too, up to epsilon: the second is not.
        assert signed.all()
        later = weights_after(kind, steps + 2)
        moved = after[name] * (1 - 0.05 * 0.1) - later[name]
        columns = ~torch.isclose(moved.abs(), torch.tensor(0.05), atol=1e-6).all(dim=0)
        assert columns.sum() == 2
        chosen.append(columns.tolist())
    assert chosen[0] != chosen[1] and start.keys() == SHAPES.keys()


def test_matrices_of_random_layers_have_adamw_and_the_others_signs() -> None:
    kind, chosen = of_density(0.5, "matrices"), []
    for steps in (1, 4, 7, 10):
        before, after = weights_after(kind, steps), weights_after(kind, steps + 1)
        moved = {name: before[name] * (1 - 0.05 * 0.1) - after[name] for name in NAMES}
        signed = [bool(torch.isclose(one.abs(), torch.tensor(0.05), atol=1e-6).all()) for one in moved.values()]
        assert sum(signed) == 2
        chosen.append(tuple(signed))
    assert len(set(chosen)) > 1


def test_along_singular_vectors_the_first_step_is_by_signs_of_both_parts() -> None:
    kind, name = of_density(0.25, "svd"), NAMES[0]
    moved, gradient = made(0)[name] * (1 - 0.05 * 0.1) - weights_after(kind, 1)[name], made(1)[name]
    _, _, right = torch.linalg.svd(gradient, full_matrices=False)
    inside = gradient @ right[:2].T
    rest = gradient - inside @ right[:2]
    torch.testing.assert_close(moved, 0.05 * (inside.sign() @ right[:2] + rest.sign()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_statistics_of_another_choice_are_forgotten_even_where_its_first_step_was_left_out(projection: str) -> None:
    kind = of_density(0.5, projection)
    state, fresh = (method(kind).init(kind, SHAPES, "cpu") for _ in range(2))
    weights_after(kind, 3, state)
    one, other = made(0), made(0)
    for weights, own in ((one, state), (other, fresh)):
        # Step 3 would have chosen.
        step = Step(4, 0.05, 0.1, dict.fromkeys(SHAPES, 1.0))
        method(kind).update(kind, weights, made(9), own, step)
    assert all(torch.equal(one[name], other[name]) for name in NAMES)
    assert not torch.equal(one[EMBEDDING], other[EMBEDDING])


class KilledError(RuntimeError):
    """What a test throws into a run, where a kill would end it."""


def test_one_decoder_killed_between_two_choices_goes_on_to_the_same_bits(pool: TokenPool, tmp_path: Path) -> None:
    # Directions are chosen in steps 0, 4 and 8; the checkpoint is of step 6. In a stack: test_optimizer_state.
    kind = Frugal(density=0.5, projection="svd", every_steps=4)
    spec = small_spec(method=kind, parallel=Ddp())

    def die(step: int, numbers: object) -> None:
        if step == 8:
            raise KilledError

    whole = train(spec, pool)
    with pytest.raises(KilledError):
        train(spec, pool, checkpoints=tmp_path / "kept", on_step=die)
    resumed = train(spec, pool, checkpoints=tmp_path / "kept")
    assert resumed.losses == whole.losses
    assert all(torch.equal(resumed.model.weights[name], one) for name, one in whole.model.weights.items())


def test_both_engines_make_the_same_run_and_a_run_is_the_same_in_any_stack(pool: TokenPool) -> None:
    kind = Frugal(density=0.5, every_steps=5)
    skips = SkipSpikes(window_steps=8, standard_deviations=1.0)
    specs = [small_spec(method=kind, seed=seed, skip_spikes=skips) for seed in range(2)]
    alone, spread = (
        train(specs[1], pool),
        train(small_spec(method=kind, seed=1, skip_spikes=skips, parallel=Ddp()), pool),
    )
    assert spread.losses == pytest.approx(alone.losses, abs=1e-4)
    together = train_stacked(specs, pool)[1]
    assert together.losses == alone.losses  # type: ignore[union-attr]


def test_what_would_choose_nothing_is_refused_and_auto_gives_it_no_shards() -> None:
    for projection in PROJECTIONS:
        kind = of_density(0.05, projection)
        with pytest.raises(ConfigError, match=r"density of 0\.05 is none of the"):
            method(kind).init(kind, SHAPES, "meta")
    large = ModelConfig(
        hidden_size=8192, num_layers=80, num_heads=64, num_kv_heads=8, intermediate_size=28672, sequence_length=1024
    )
    taken = [
        chosen_parallel(small_training(method=one, parallel="auto").model_copy(update={"model": large}), 100 << 30, 8)
        for one in (AdamW(), Frugal())
    ]
    assert isinstance(taken[0], Fsdp) and isinstance(taken[1], Ddp)


def test_a_branch_has_the_density_and_projection_of_its_trunk() -> None:
    trunk = small_spec(method=Frugal(density=0.5))
    training = small_training(method=Frugal(density=0.25, every_steps=7))
    with pytest.raises(ConfigError, match=r"optimizer\.method\.density differ"):
        RunSpec("branch", (Phase(training.num_tokens // 2, (0.5, 0.3, 0.2)),), 0, training, trunk=Trunk(trunk, 6))


def test_the_state_is_the_share_of_adamws_that_density_says() -> None:
    shapes = weight_shapes(small_training(num_layers=4, hidden_size=32, intermediate_size=64).model, 64)
    sizes = {name: torch.Size(shape).numel() for name, shape in shapes.items()}
    matrices = sum(size for name, size in sizes.items() if "proj" in name)
    for projection in ("columns", "matrices"):
        kind = of_density(0.25, projection)
        choices = 8 * 28 if projection == "columns" else 8 * 7
        expected = 8 * (sum(sizes.values()) - matrices) + 0.25 * 8 * matrices + choices
        assert method(kind).state_bytes(kind, shapes) == expected
    assert method(of_density(0)).state_bytes(of_density(0), shapes) == 8 * (sum(sizes.values()) - matrices)
