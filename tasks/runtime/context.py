"""Where a stage works: an executor, a store, and who watches. Placement, not science: nothing in here changes a result."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from infra.executors import Executor
from infra.machine import trains_on_gpu
from infra.progress import Observer, Part, SilentObserver
from infra.settings import EndpointSettings, Settings
from infra.storage import Store
from infra.stores import store_of
from tasks.core.syntax import remember_in
from tasks.runtime.costs import Book

if TYPE_CHECKING:
    from tasks.core.manifest import Manifest


class WouldWorkError(Exception):
    """Ends an explanation at the first work that would be done; the message says which and why."""


@dataclass(frozen=True)
class Explaining:
    """Nothing is done, only looked up; `against` is the manifest to compare a stage with (None: what is published)."""

    against: "Manifest | None" = None


@dataclass(frozen=True)
class Workshop:
    """The executor, the store and the observer of a run, and how its work is spread.

    `world_size` counts the trainers of a full run, each on `gpus_per_trainer` GPUs; where Ray has no room for all, a run
    goes on with no fewer than `min_world_size` (None = with none). `proxies_per_process` are trained
    together, on `gpus_per_process` of a GPU (0 = on the processor). After `time_limit_s` of this process, work that can goes
    no further. `peak_flops` is what a device could do in a second (None = by its name). `explaining`: no work is done, see
    `tasks.runtime.explain`. `asking`: how endpoints of language models are asked, and what that may cost.
    `other_machines`: workers may be on some. `touched`: keys by step that this run has looked up or made. `book`: what they
    cost.
    """

    executor: Executor
    store: Store
    observer: Observer = field(default_factory=SilentObserver)
    world_size: int = 1
    proxies_per_process: int = 1
    gpus_per_process: float = 0.0
    time_limit_s: float | None = None
    peak_flops: float | None = None
    gpus_per_trainer: float = 0.0
    min_world_size: int | None = None
    explaining: Explaining | None = None
    asking: EndpointSettings = EndpointSettings()  # noqa: RUF009 (frozen)
    other_machines: bool = False
    touched: dict[str, set[str]] = field(default_factory=dict, compare=False, repr=False)
    book: Book = field(default_factory=Book, compare=False, repr=False)

    def device(self, gpus: float) -> str:
        """Return the kind of device that a step with a share of a GPU runs on: `cpu`, or the GPU's family."""
        return self.executor.gpu_family() if gpus else "cpu"

    def inside(self, voices: Collection[str], counted: str = "", label: str = "", total: int = 0) -> "Workshop":
        """Return this workshop for a part of a longer piece of work, of which it tells as `Part` does."""
        return replace(self, observer=Part(self.observer, voices, counted, label, total))


def workshop_of(settings: Settings, executor: Executor, observer: Observer) -> Workshop:
    """Return the workshop of one machine's or cluster's settings.

    Raises:
        StoreError: the store is a bucket, and is not there, refuses, or does not keep what it must.
    """
    remember_in(settings.home / "sources.json")
    store = store_of(settings)
    store.begin()
    return Workshop(
        executor,
        store,
        observer,
        settings.world_size,
        settings.proxies_per_process,
        settings.gpus_per_process,
        settings.time_limit_s,
        None if settings.peak_tflops is None else settings.peak_tflops * 1e12,
        1.0 if trains_on_gpu(settings.device) else 0.0,
        settings.min_world_size,
        asking=settings.endpoint,
        other_machines=settings.executor == "ray" and settings.ray_address is not None,
    )
