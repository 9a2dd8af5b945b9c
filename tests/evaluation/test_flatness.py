"""The trace of the Hessian and the critical sharpness, against losses whose Hessian is known."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from infra.storage import FolderStore
from tasks.core.errors import ConfigError, EvidenceError
from tasks.core.manifest import Manifest
from tasks.core.rng import generator
from tasks.evaluation.config import EvaluateParams, FlatnessParams, SpecificityParams
from tasks.evaluation.flatness import windows
from tasks.evaluation.published_like import Flatness, Specificity
from tasks.evaluation.stage import run
from tasks.runtime.context import Workshop
from tasks.tokenize.pool import read_pool
from tasks.training.config import ModelConfig
from tasks.training.curvature import critical_sharpness, probed
from tasks.training.flatness import flatness
from tasks.training.model import Decoder, initial_model
from tasks.training.types import DivergedError
from tests.evaluation.test_stage import make_inputs
from tests.in_process import InProcess
from tests.mixture.test_stage import Listener

TINY = ModelConfig(
    hidden_size=4,
    num_layers=1,
    num_heads=2,
    num_kv_heads=1,
    intermediate_size=4,
    sequence_length=6,
    initializer_range=0.3,
)
VOCABULARY = 7


class Quadratic:
    """Half of w' H w, and something that keeps it above 0, in two parts and two weights."""

    def __init__(self, hessian: np.ndarray, scale: float = 1.0) -> None:
        self.hessian = scale * torch.from_numpy(hessian)
        values = torch.from_numpy(generator(0, "weights").standard_normal(len(hessian)))
        self.weights = [values[:3].clone().requires_grad_(), values[3:].clone().requires_grad_()]
        self.parts = [lambda: 0.25 * self.form(), lambda: 0.75 * self.form()]

    def form(self) -> torch.Tensor:
        whole = torch.cat(self.weights)
        return whole @ self.hessian @ whole / 2

    def loss(self) -> float:
        return float(self.form().detach())

    def sharpness(self) -> float:
        _, gradient = probed(self.parts, self.weights, 2, 0)
        return critical_sharpness(self.loss, self.weights, gradient, self.loss())


def positive(size: int) -> np.ndarray:
    root = generator(1, "hessian").standard_normal((size, size))
    return root @ root.T / size


def test_probes_of_a_quadratic_average_to_the_trace_of_its_hessian() -> None:
    one = Quadratic(positive(20))
    forms_P, gradient = probed(one.parts, one.weights, 400, 0)
    error = forms_P.std(ddof=1) / 20
    assert abs(forms_P.mean() - np.trace(positive(20))) < 3 * error
    # Var(v' H v) = 2 x the squares beside the diagonal: probes are not all alike, nor worse than that.
    beside = positive(20) - np.diag(np.diag(positive(20)))
    assert forms_P.var(ddof=1) == pytest.approx(2 * (beside**2).sum(), rel=0.25)
    whole = torch.cat(one.weights).detach()
    assert torch.allclose(torch.cat(gradient), one.hessian @ whole)


def test_every_probe_tells_the_trace_of_a_diagonal_hessian() -> None:
    one = Quadratic(np.diag(np.arange(1.0, 11)))
    assert probed(one.parts, one.weights, 3, 5)[0] == pytest.approx([55.0] * 3)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_critical_sharpness_of_a_quadratic_is_its_curvature_along_the_gradient(scale: float) -> None:
    one = Quadratic(positive(20), scale)
    before = [weight.clone() for weight in one.weights]
    slope = one.hessian @ torch.cat(before).detach()
    exact = float(slope @ one.hessian @ slope / (slope @ slope))
    assert one.sharpness() == pytest.approx(exact, rel=0.01)
    assert all(torch.equal(*pair) for pair in zip(before, one.weights, strict=True))


def test_where_there_is_no_slope_or_no_way_up_nothing_is_told() -> None:
    flat, falling = Quadratic(np.zeros((4, 4))), Quadratic(-positive(4))
    with pytest.raises(EvidenceError, match="the gradient is 0"):
        flat.sharpness()
    gradient = [weight.detach() for weight in falling.weights]
    with pytest.raises(EvidenceError, match="60 steps against the gradient, each twice the one before, did not raise"):
        critical_sharpness(lambda: 1.0, falling.weights, gradient, 1.0)


def tokens(number: int) -> np.ndarray:
    return generator(2, "tokens").integers(0, VOCABULARY, (number, TINY.sequence_length + 1))


def exact_trace(model: Decoder, windows_WT: np.ndarray) -> float:
    """The trace, entry by entry of the diagonal, of the loss as training computes it."""
    weights = [weight.detach().double() for weight in model.parameters()]
    at = torch.cat([weight.flatten() for weight in weights])

    def slope(place: int, step: float) -> float:
        moved = at.clone()
        moved[place] += step
        parts = torch.split(moved.float(), [weight.numel() for weight in weights])
        for weight, part in zip(model.parameters(), parts, strict=True):
            weight.data = part.view_as(weight).clone()
            weight.grad = None
        rows = torch.from_numpy(windows_WT)
        total, _ = model(rows[:, :-1], targets_BT=rows[:, 1:])
        total.backward()
        grads = torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])
        return float(grads[place]) / windows_WT[:, 1:].size

    return sum((slope(place, 1e-2) - slope(place, -1e-2)) / 2e-2 for place in range(len(at)))


def test_the_trace_of_a_model_is_that_of_the_loss_it_is_trained_on() -> None:
    model = initial_model(TINY, VOCABULARY, 0)
    found = flatness(model, tokens(3), 200, 0)
    forms_P = np.array(found.forms)
    assert abs(forms_P.mean() - exact_trace(model, tokens(3))) < 3 * forms_P.std(ddof=1) / 200**0.5
    assert found.loss == pytest.approx(np.log(VOCABULARY), abs=0.3)


def test_a_model_that_diverged_has_no_flatness() -> None:
    model = initial_model(TINY, VOCABULARY, 0)
    model.output.data[0, 0] = float("nan")
    with pytest.raises(DivergedError, match="predicts no finite numbers"):
        flatness(model, tokens(2), 2, 0)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return make_inputs(tmp_path_factory.mktemp("flat"), seeds=1)


def test_windows_are_chosen_by_hash_whatever_else_there_is(inputs: Mapping[str, Path]) -> None:
    pool = read_pool(inputs["tokenize"], "test")
    some, more = (windows(pool, 16, FlatnessParams(windows=number)) for number in (5, 9))
    assert np.array_equal(some, more[:5])
    turned = replace(pool, domains=tuple(replace(one, index=2 - one.index) for one in pool.domains[::-1]))
    assert np.array_equal(windows(turned, 16, FlatnessParams(windows=9)), more)
    assert not np.array_equal(windows(pool, 16, FlatnessParams(windows=9, seed=1)), more)
    with pytest.raises(EvidenceError, match=r"windows of 16 tokens, evaluate\.flatness\.windows asks for 100000"):
        windows(pool, 16, FlatnessParams(windows=100_000))


def test_the_stage_tells_the_flatness_of_every_model_and_keeps_it(inputs: Mapping[str, Path], tmp_path: Path) -> None:
    def evaluate(**changes: object) -> tuple[Manifest, list[object]]:
        flat = FlatnessParams(num_probes=2, windows=2)
        params = EvaluateParams(samples=None, flatness=flat, specificity=SpecificityParams(), **changes)
        executor = InProcess()
        workshop = Workshop(executor, FolderStore(tmp_path / "store"), Listener())
        return run(params, inputs=inputs, output=tmp_path / "evaluate", workshop=workshop), executor.done

    manifest, _ = evaluate()
    assert {Flatness.FILE, Specificity.FILE} <= {file.path for file in manifest.files}
    assert [*Specificity.read(tmp_path / "evaluate").domains] == ["d0", "d1", "d2"]
    told = Flatness.read(tmp_path / "evaluate")
    assert [one.model for one in told.models] == ["searched-seed0", "natural-seed0", "uniform-seed0"]
    assert all(one.loss == pytest.approx(np.log(32), abs=0.3) for one in told.models)
    assert len({one.trace for one in told.models}) == 3
    # Another confidence is decided over what was measured.
    assert evaluate(confidence=0.9)[1] == []


def test_a_model_of_others_has_no_test_split(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    workshop = Workshop(InProcess(), FolderStore(tmp_path / "store"), Listener())
    params = EvaluateParams(samples=None, flatness=FlatnessParams())
    with pytest.raises(ConfigError, match=r"evaluate\.flatness: it is measured on a pool's test split"):
        run(params, inputs={"model": tmp_path / "m"}, output=tmp_path / "out", workshop=workshop)
