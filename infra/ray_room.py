"""How many workers a Ray cluster has room for, by what its living nodes have; what is in use counts too, it comes free."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.errors import ServiceError

# How long a cluster may have no room for the smallest group: nodes that are being started take minutes (a guess).
WAIT_S = 600.0
_LOOKED_AT_EVERY_S = 5.0


def room_for(nodes: Iterable[Mapping[str, Any]], each: Mapping[str, float]) -> int:
    """Return how many workers that need `each` of some resources fit on the living ones of `ray.nodes()`.

    >>> nodes = [{"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}}, {"Alive": False, "Resources": {"CPU": 8.0}}]
    >>> room_for(nodes, {"CPU": 1}), room_for(nodes, {"CPU": 1, "GPU": 1.0})
    (8, 2)
    """
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    return sum(int(min(has.get(name, 0.0) // need for name, need in each.items() if need)) for has in alive)


def resource_words(each: Mapping[str, float]) -> str:
    """Return resources in words.

    >>> resource_words({"CPU": 1, "GPU": 1.0})
    '1 CPU and 1 GPU'
    """
    return " and ".join(f"{need:g} {name}" for name, need in each.items())


@dataclass
class Patience:
    """How long a cluster has had no room for `fewest` workers; asked again and again."""

    fewest: int
    each: Mapping[str, float]
    wait_s: float = WAIT_S
    every_s: float = _LOOKED_AT_EVERY_S
    _since: float | None = field(default=None, init=False)
    _looked: float = field(default=float("-inf"), init=False)

    def look(self, nodes: Callable[[], Iterable[Mapping[str, Any]]]) -> None:
        """Take note of what there is now, every few seconds.

        Raises:
            ServiceError: there has been no room for too long; how much there is, and how much was asked for.
        """
        now = time.monotonic()
        if now - self._looked < self.every_s:
            return
        self._looked = now
        if (room := room_for(nodes(), self.each)) >= self.fewest:
            self._since = None
            return
        self._since = now if self._since is None else self._since
        if now - self._since >= self.wait_s:
            raise ServiceError(
                f"for {self.wait_s:.0f} s this Ray cluster has had room for {room} trainers with "
                f"{resource_words(self.each)} each, and {self.fewest} are needed. What is finished is kept, and runs go on "
                "from their checkpoints: start nodes, or lower MIXWRIGHT_WORLD_SIZE (or MIXWRIGHT_MIN_WORLD_SIZE), and "
                "start the same command again."
            )
