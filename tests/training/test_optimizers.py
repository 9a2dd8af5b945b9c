"""Optimizers against torch's, on the same gradients; and what they keep."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from tasks.training.config import OptimizerConfig
from tasks.training.model import weight_shapes
from tasks.training.optimizers.adamw import AdamW
from tasks.training.optimizers.clipping import clipped
from tasks.training.optimizers.kinds import method, state_bytes
from tasks.training.optimizers.method import Sharding, Step
from tasks.training.optimizers.muon import Muon, orthogonalized
from tasks.training.optimizers.template import step_template
from tests.training.conftest import VOCAB_SIZE, small_training

MATRIX, NORM = "model.layers.0.mlp.up_proj.weight", "model.norm.weight"


def made(shape: tuple[int, ...], seed: int) -> Tensor:
    """Random numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def step_of(number: int, decay: float = 0.3, share: float | Tensor = 1.0) -> Step:
    """A step at rate 0.05 of the matrix and the norm."""
    return Step(number, 0.05, decay, {MATRIX: share, NORM: share})


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("per_element", [False, True])
def test_adamw_makes_the_steps_of_torchs(decay: float, per_element: bool) -> None:
    config = AdamW(beta1=0.8, beta2=0.9)
    ours, theirs = made((50,), 0), made((50,), 0).requires_grad_(True)
    state = method(config).init(config, {NORM: (50,)}, "cpu")
    reference = torch.optim.AdamW([theirs], lr=0.05, weight_decay=decay, betas=(0.8, 0.9), eps=config.epsilon)
    for number in range(8):
        theirs.grad = made((50,), number + 1)
        step = step_of(number, decay, torch.ones(50) if per_element else 1.0)
        method(config).update(config, {NORM: ours}, {NORM: theirs.grad}, state, step)
        reference.step()
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(24, 10), (10, 24), (16, 16)])
@pytest.mark.parametrize(("scaling", "nesterov"), [("original", True), ("match_rms_adamw", True), ("original", False)])
def test_muon_makes_the_steps_of_torchs(shape: tuple[int, int], scaling: str, nesterov: bool) -> None:
    chosen = {"scaling": scaling, "nesterov": nesterov, "momentum": 0.9}
    # Torch orthogonalises in bfloat16: in the same precision the steps are the same, in float32 they are near.
    exact, near = (Muon.model_validate(chosen | {"precision": one}) for one in ("bfloat16", "float32"))
    weights = {one.precision: made(shape, 0) for one in (exact, near)}
    states = {one.precision: method(one).init(one, {MATRIX: shape}, "cpu") for one in (exact, near)}
    theirs = made(shape, 0).requires_grad_(True)
    reference = torch.optim.Muon(
        [theirs], lr=0.05, weight_decay=0.3, momentum=0.9, nesterov=nesterov, adjust_lr_fn=scaling
    )
    for number in range(5):
        theirs.grad = made(shape, number + 1)
        reference.step()
        for one in (exact, near):
            gradient = {MATRIX: theirs.grad.clone()}
            method(one).update(one, {MATRIX: weights[one.precision]}, gradient, states[one.precision], step_of(number))
    torch.testing.assert_close(weights["bfloat16"], theirs.detach(), rtol=1e-5, atol=1e-5)
    moved = float((theirs.detach() - made(shape, 0)).norm())
    assert float((weights["float32"] - theirs.detach()).norm()) < 0.05 * moved


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (3, 12, 30)])
def test_what_is_orthogonalised_has_singular_values_around_one(shape: tuple[int, ...]) -> None:
    values = torch.linalg.svdvals(orthogonalized(made(shape, 3), 5, "float32"))
    assert 0.3 < float(values.min()) <= float(values.max()) < 1.3
    assert orthogonalized(torch.zeros(shape), 5, "float32").abs().max() == 0


def test_each_of_several_matrices_is_orthogonalised_by_itself() -> None:
    stack = made((3, 8, 12), 1) * torch.tensor([1.0, 10.0, 0.1])[:, None, None]
    alone = torch.stack([orthogonalized(matrix, 5, "float32") for matrix in stack])
    torch.testing.assert_close(orthogonalized(stack, 5, "float32"), alone)


def _steps(kind: AdamW | Muon, weights: Mapping[str, Tensor], sharding: Sharding | None = None) -> dict[str, Tensor]:
    """What three steps make of weights."""
    weights = {name: weight.clone() for name, weight in weights.items()}
    state = method(kind).init(kind, {name: tuple(weight.shape) for name, weight in weights.items()}, "cpu")
    for number in range(3):
        gradients = {name: made((24, 10) if name == MATRIX else (10,), number + 1) for name in weights}
        if sharding is not None:
            gradients = {name: sharding.own(name, gradient) for name, gradient in gradients.items()}
        step = Step(number, 0.05, 0.1, dict.fromkeys(weights, 1.0), sharding=sharding)
        method(kind).update(kind, weights, gradients, state, step)
    return weights


def test_muon_leaves_norms_and_embedding_to_adamw() -> None:
    others = {NORM: made((10,), 5), "model.embed_tokens.weight": made((10,), 6)}
    both = _steps(Muon(), {MATRIX: made((24, 10), 4), **others})
    for name, weight in _steps(AdamW(), others).items():
        assert torch.equal(both[name], weight)


def test_muon_on_shards_moves_them_as_parts_of_the_whole() -> None:
    start, gradients = made((24, 10), 4), [made((24, 10), number + 1) for number in range(3)]
    whole, momentum, asked = _steps(Muon(), {MATRIX: start})[MATRIX], torch.zeros(24, 10), []
    for gradient in gradients:
        momentum.lerp_(gradient, 0.05)
        asked.append(gradient.lerp(momentum, 0.95))
    gathered = iter(asked)

    def put_together(name: str, shard: Tensor) -> Tensor:
        ahead = next(gathered)
        torch.testing.assert_close(shard, ahead[:8])
        return ahead

    sharding = Sharding(whole=put_together, own=lambda name, tensor: tensor[:8])
    torch.testing.assert_close(_steps(Muon(), {MATRIX: start[:8]}, sharding)[MATRIX], whole[:8])


@pytest.mark.parametrize(("kind", "numbers"), [(AdamW(), lambda m, o: 2 * m + 2 * o), (Muon(), lambda m, o: m + 2 * o)])
def test_the_state_has_the_size_that_is_said(kind: AdamW | Muon, numbers) -> None:  # type: ignore[no-untyped-def]
    shapes = weight_shapes(small_training().model, VOCAB_SIZE)
    sizes = {name: torch.Size(shape).numel() for name, shape in shapes.items()}
    matrices = sum(size for name, size in sizes.items() if "proj" in name)
    assert state_bytes(kind, shapes) == 4 * numbers(matrices, sum(sizes.values()) - matrices)


def test_groups_have_decays_of_their_own() -> None:
    names = list(weight_shapes(small_training().model, VOCAB_SIZE))

    def decays(**options: float) -> set[tuple[str, float]]:
        step = step_template(small_training(**options), names)
        group = {"embed": "embedding", "norm": "norm", "proj": "matrix"}
        kinds = {name: next(kind for part, kind in group.items() if part in name) for name in names}
        return {(kinds[name], round(step.decay * share, 9)) for name, share in step.decays.items()}

    assert decays() == {("embedding", 0.1), ("matrix", 0.1), ("norm", 0.0)}
    assert decays(weight_decay=0.0) == {("embedding", 0.0), ("matrix", 0.0), ("norm", 0.0)}
    own = decays(weight_decay=0.2, embedding_weight_decay=0.0, norm_weight_decay=0.5)
    assert own == {("embedding", 0.0), ("matrix", 0.2), ("norm", 0.5)}


def test_only_what_decays_shrinks() -> None:
    config = OptimizerConfig(learning_rate=0.1).method
    weights = {NORM: torch.ones(4)}
    state = method(config).init(config, {NORM: (4,)}, "cpu")
    step = Step(0, 0.1, 0.5, {NORM: torch.tensor([1.0, 0.0, 1.0, 0.0])})
    method(config).update(config, weights, {NORM: torch.zeros(4)}, state, step)
    assert weights[NORM].tolist() == pytest.approx([0.95, 1.0, 0.95, 1.0])


def test_a_gradient_is_shortened_to_the_limit_and_never_lengthened() -> None:
    gradient = torch.tensor([3.0, 4.0])
    assert clipped(gradient, 5.0, 1.0).tolist() == pytest.approx([0.6, 0.8])
    assert clipped(gradient, 5.0, 6.0).tolist() == [3.0, 4.0]
    assert clipped(gradient, 5.0, None).tolist() == [3.0, 4.0]
