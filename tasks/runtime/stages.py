"""What a stage driver works with: its inputs verified, its identity, and one manifest that publishes what it made.

A driver (`tasks/<stage>/stage.py`) opens its inputs with `stage_input`, begins a `StageRun`, maps its steps, and publishes.
Whoever calls it (a Prefect task, `dvc repro`, a test) gives it a `Workshop`.

One pass of SHA-256 over what is read (about 1.5 GB/s per core, in threads) costs little beside any stage, and a driver that
has verified spares its workers the question. Nothing is remembered between processes: a later run looks again.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from infra.folders import place
from infra.storage import Store
from tasks.core.account import Account
from tasks.core.code import code_of
from tasks.core.digest import digest_bytes
from tasks.core.errors import ConfigError, DamagedError, DataError
from tasks.core.handles import Handle, Tree
from tasks.core.identity import Identity, kinds_of, params_of
from tasks.core.manifest import MANIFEST, FileRecord, Manifest
from tasks.core.params import Params
from tasks.core.published import Published
from tasks.runtime.context import Workshop, WouldWorkError
from tasks.runtime.costs import note_output
from tasks.runtime.explain import last_published, note_published, stage_difference
from tasks.runtime.records import UnitRecord
from tasks.runtime.step import ON_DEVICES
from tasks.stages import Stage

PublishedT = TypeVar("PublishedT", bound=Published)
# What is put under a published name: a file of a unit or of an input, a contract, or a text.
Content = Handle | Published | str

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageInput:
    """What another stage has published, with its manifest."""

    store: Store
    location: str
    manifest: Manifest

    @property
    def digest(self) -> str:
        """The digest of all that was published, and part of what identifies the work done on it."""
        return self.manifest.output

    def tree(self, *prefixes: str) -> Tree:
        """Return the files whose path begins with one of `prefixes` (none given: all), as they were published.

        Raises:
            DamagedError: a file is missing or differs; names it, and the stage that makes it again.
        """
        files = [(record.path, record.digest, record.bytes) for record in self.manifest.files]
        chosen = [file for file in files if not prefixes or file[0].startswith(prefixes)]
        found = Tree.of(self.store, self.location, chosen)
        require_intact(found, self.manifest.stage)
        return found

    def with_manifest(self, *prefixes: str) -> Tree:
        """Return files as `tree` does, and the manifest: for who tells keys, params and environments."""
        text = self.store.read(self.location, MANIFEST) or ""
        found = self.tree(*prefixes)
        own = (MANIFEST, digest_bytes(text.encode()), len(text.encode()))
        return Tree.of(self.store, self.location, [*found.files, own])

    def read(self, model: type[PublishedT]) -> PublishedT:
        """Return a contract that the stage has published.

        Raises:
            DataError: it published none, or one of another format.
            DamagedError: the file is not as it was published.
        """
        found = self.tree(model.FILE)
        if model.FILE not in found.names:
            raise DataError(
                f"{self.location}: {self.manifest.stage} published no {model.FILE}; run this version of it."
            )
        return model.parse(found[model.FILE].text(), f"{self.location}/{model.FILE}")


def stage_input(workshop: Workshop, inputs: Mapping[str, Path], stage: str) -> StageInput:
    """Return what a driver was given of a stage.

    Raises:
        DataError: no stage has finished there, another than this one has, or its manifest is damaged.
    """
    found = published(workshop.store, str(inputs[stage].absolute()))
    if found.manifest.stage != stage:
        raise DataError(
            f"{found.location}: published by {found.manifest.stage}; what {stage} published is read here. Name that folder."
        )
    return found


def published(store: Store, location: str) -> StageInput:
    """Return what a stage has published at a location.

    Raises:
        DataError: no stage has finished there, or its manifest is damaged.
    """
    text = store.read(location, MANIFEST)
    if text is None:
        raise DataError(f"{location}: no {MANIFEST} here, so no stage has finished in it. Run that stage first.")
    return StageInput(store, location, Manifest.parse(text, f"{location}/{MANIFEST}"))


def require_intact(tree: Tree, stage: str) -> None:
    """Check size and digest of every file, in threads.

    Raises:
        DamagedError: how many files are missing or differ, the first of them, and the stage that makes them again.
    """
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as threads:
        same = list(threads.map(Handle.intact, tree))
    wrong = [name for name, intact in zip(tree.names, same, strict=True) if not intact]
    if wrong:
        raise DamagedError(
            f"{tree.location}: {len(wrong)} of {len(tree)} files are missing or are not what {stage} published; "
            f"first: {wrong[0]}. Run {stage} again with the same command (`mixwright run` does it by itself), or "
            "get the files again with `dvc checkout` or `dvc pull`."
        )


@dataclass(frozen=True)
class StageRun:
    """One run of a stage driver: what identifies it, and where it publishes.

    `driver` is the driver's module, `inputs` are the digests of what it reads, by name. `steps` of the stage that may use a
    GPU share make `gpus` positive.
    """

    workshop: Workshop
    stage: str
    driver: str
    params: Params
    inputs: Mapping[str, str]
    output: Path
    gpus: float = 0.0
    identity: Identity = field(init=False)

    def __post_init__(self) -> None:
        code = code_of(tuple(sorted({self.driver, *kinds_of(self.params)})))
        libraries = code.libraries()
        device = self.workshop.device(self.gpus) if ON_DEVICES & {*libraries} else None
        reads = {"inputs": dict(self.inputs), "params": params_of(self.params)}
        self.workshop.book.begin(str(self.output.absolute()))
        object.__setattr__(self, "identity", Identity(self.stage, reads, code, libraries, device))

    def unchanged(self) -> Manifest | None:
        """Return the manifest in the output if this very work was published there and its files are all in place.

        Where it was not, the reason is said, and that there is something to write to is made sure.

        Raises:
            ConfigError: the output holds something that this stage has not published, and would be replaced.
            PlaceError: there is work to do and the output cannot be written.
        """
        store, location, say = self.workshop.store, str(self.output.absolute()), self.workshop.observer.say
        explaining = self.workshop.explaining
        if explaining is None and (why := store.occupied(location, MANIFEST)) is not None:
            raise ConfigError(why)
        before = None
        try:
            found = published(store, location)
            before = found.manifest
            if before.stage != self.stage:
                raise ConfigError(
                    f"{location}: {before.stage} published this folder, and {self.stage} would replace it. Name another."
                )
            if before.key == self.identity.key and (explaining is None or explaining.against is None):
                found.tree()
                self.say_unchanged()
                return before
        except DamagedError as error:
            _log.warning("%s: %s It is made again now.", self.stage, error)
        except DataError:
            before = last_published(store, self.stage)
        if explaining is not None and explaining.against is not None:
            before = explaining.against
            if before.key == self.identity.key:
                same = "the same work (same inputs, params, code, libraries and device) as what it is compared with"
                say(f"{self.stage}: {same}")
                return before
        if before is not None and (why := stage_difference(before, self.draft())) is not None:
            say(f"{self.stage}: {why}")
        if explaining is None:
            store.require_writable(location)
            note_output(store, self.stage, location)
        return None

    def say_unchanged(self) -> None:
        """Tell that what is published is taken."""
        same = "unchanged (same inputs, params, code, libraries and device), taken as it is"
        self.workshop.observer.say(f"{self.stage}: {same}")

    def draft(self) -> Manifest:
        """Return the manifest of this run before it has made anything: who it is, and no files."""
        return self._manifest((), None, {}, {})

    def publish(
        self,
        files: Mapping[str, Content],
        *,
        account: Account | None = None,
        summary: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Manifest:
        """Put files under their names with one manifest, all at once; return the manifest.

        Raises:
            AccountError: the account does not close; nothing is published.
            WouldWorkError: this is an explanation.
        """
        if self.workshop.explaining is not None:
            raise WouldWorkError(
                f"{self.stage}: every unit is finished; they would be published, and nothing else be done"
            )
        store, location = self.workshop.store, str(self.output.absolute())
        if account is not None:
            account.closed(self.stage)
        with store.borrowed(), store.publish(location) as folder:
            records = tuple(_written(folder, path, files[path]) for path in sorted(files))
            manifest = self._manifest(records, account, summary or {}, environment or {})
            manifest.write(folder)
        note_published(store, manifest)
        self.workshop.book.close(store, self.stage, manifest.key)
        return manifest

    def _manifest(
        self,
        files: tuple[FileRecord, ...],
        account: Account | None,
        summary: Mapping[str, Any],
        environment: Mapping[str, str],
    ) -> Manifest:
        identity = self.identity
        return Manifest(
            stage=self.stage,
            inputs=dict(self.inputs),
            params=self.params.model_dump(mode="json"),
            code=identity.code.digest,
            files=files,
            account=account,
            summary=summary,
            environment=environment,
            key=identity.key,
            modules=identity.code.modules,
            libraries=identity.libraries,
            device=identity.device,
        )


def run_stage(
    stage: Stage,
    params: Params,
    *,
    inputs: Mapping[str, Path],
    output: Path,
    workshop: Workshop,
    refuse: Callable[[Mapping[str, Path]], None] | None = None,
) -> Manifest:
    """Run a stage of the table. Where it is seen beforehand that nothing has changed, its driver is not even imported.

    Drivers bring torch and SciPy, which take seconds. `refuse` is asked before a driver is: it raises where a later stage
    could do nothing with what this one is about to make of its inputs.
    """
    found = _seen_unchanged(stage, params, inputs, output, workshop) if workshop.explaining is None else None
    if found is not None:
        return found
    if refuse is not None:
        refuse(inputs)
    return stage.load_driver()(params, inputs=inputs, output=output, workshop=workshop)


def _seen_unchanged(
    stage: Stage, params: Params, inputs: Mapping[str, Path], output: Path, workshop: Workshop
) -> Manifest | None:
    """Return what a stage has published, if its driver would take it as it is; None where only the driver can tell.

    That is where it read more than other stages (with the same params it does so again), or has something to say.
    """
    if inputs.keys() != {*stage.inputs}:
        return None
    store, location = workshop.store, str(output.absolute())
    try:
        found = published(store, location)
        digests = {name: stage_input(workshop, inputs, name).digest for name in stage.inputs}
        account = found.manifest.account
        if found.manifest.inputs != digests or (account is not None and not account.kept.documents):
            return None
        run = StageRun(workshop, stage.name, stage.driver.partition(":")[0], params, digests, output)
        if run.identity.key != found.manifest.key or store.occupied(location, MANIFEST) is not None:
            return None
        found.tree()
    except DataError:
        return None
    run.say_unchanged()
    return found.manifest


def environment_over(records: Sequence[UnitRecord]) -> dict[str, str]:
    """Return what the last bits of some units depended on; where they differ, every value that occurred.

    >>> environment_over([])
    {}
    """
    found: dict[str, set[str]] = {}
    for record in records:
        for name, value in record.environment.items():
            found.setdefault(name, set()).add(value)
    return {name: ", ".join(sorted(values)) for name, values in sorted(found.items())}


def _written(folder: Path, path: str, content: Content) -> FileRecord:
    target = folder / path
    if isinstance(content, Handle):
        place(content.local(), target)
        return FileRecord(path, content.digest, content.bytes)
    data = (content.text() if isinstance(content, Published) else content).encode()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return FileRecord(path, digest_bytes(data), len(data))
