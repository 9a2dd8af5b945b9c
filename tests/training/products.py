"""Which matrix products a piece of code asks torch for: what a CPU's library chooses kernels and blocks by."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_NAMES = {"mm", "bmm", "addmm", "baddbmm"}
Products = Counter[tuple[object, ...]]


class _Listener(TorchDispatchMode):
    """Counts products by shape, strides, precision and place in a cache line of both sides."""

    def __init__(self) -> None:
        super().__init__()
        self.products: Products = Counter()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if (name := str(function.overloadpacket).removeprefix("aten.")) in _NAMES:
            self.products[name, *(_facts(side) for side in args if isinstance(side, Tensor))] += 1
        return function(*args, **(kwargs or {}))


def _facts(side: Tensor) -> tuple[object, ...]:
    return tuple(side.shape), side.stride(), side.dtype, side.data_ptr() % 64


def products_of(work: Callable[[], object]) -> Products:
    """Return how often `work` asks for which product."""
    with _Listener() as listener:
        work()
    assert listener.products, "the work multiplies matrices"
    return listener.products
