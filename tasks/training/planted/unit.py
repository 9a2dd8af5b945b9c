"""The unit that plans what is planted into the runs of one seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.core.errors import ConfigError, DataError
from tasks.core.handles import Handle
from tasks.core.results import Here, UnitResult
from tasks.tokenize.tokenizer import Codec, encode, load
from tasks.training.planted.items import Item, read_items, require_one_probe
from tasks.training.planted.params import PlantedExperiment
from tasks.training.planted.placing import Free, Lengths, exposures_of, offsets_of, places_of
from tasks.training.planted.published import PlantedItem, PlantedPart, PlantedPlan


@dataclass(frozen=True)
class PlantArgs:
    """The experiments with the files of their items, the pool's tokenizer, and the seed and samples of the runs."""

    experiments: tuple[PlantedExperiment, ...]
    files: tuple[Handle, ...]
    tokenizer: Handle
    document_end: int
    seed: int
    lengths: Lengths


def plant(args: PlantArgs, here: Here) -> UnitResult:
    """Plan which items are planted how often, and where."""
    pairs = zip(args.experiments, args.files, strict=True)
    items = {one.name: read_items(file.text(), f"train.planted: {file.name}") for one, file in pairs}
    require_one_probe(items)
    parts = planned(args.experiments, list(items.values()), _codec(args), args.seed, args.lengths)
    PlantedPlan(seed=args.seed, experiments=tuple(parts)).write(here.folder)
    return UnitResult()


def planned(
    experiments: Sequence[PlantedExperiment],
    items: Sequence[Sequence[Item]],
    codec: Codec,
    seed: int,
    lengths: Lengths,
) -> Iterator[PlantedPart]:
    """Yield each experiment with its items assigned and placed; one that is added changes none that stand before it.

    Raises:
        ConfigError: a group has too few items, or more is planted than the run has samples.
        DataError: a text or a probe is longer than the run's samples.
    """
    free, num_samples = Free(), lengths.stops[-1]
    for experiment, own in zip(experiments, items, strict=True):
        levels = exposures_of(experiment, [item.id for item in own], seed)
        found, tokens = list[PlantedItem](), _tokens(experiment, own, codec, min(lengths.sizes))
        for item, level, text in zip(own, levels, tokens, strict=True):
            samples = places_of(experiment, item.id, level, seed, num_samples, free)
            if samples is None:
                raise _full(experiment, sum(levels), num_samples)
            found.append(
                PlantedItem(
                    id=item.id,
                    context=item.context,
                    probe=item.probe,
                    exposures=level,
                    tokens=" ".join(map(str, text)),
                    samples=tuple(samples),
                    offsets=tuple(offsets_of(experiment, item.id, len(text) + 2, samples, seed, lengths)),
                )
            )
        yield PlantedPart(name=experiment.name, items=tuple(found))


def _codec(args: PlantArgs) -> Codec:
    """Return the pool's codec: its end of a document is that of the pool, whatever it is called."""
    from tokenizers import Tokenizer

    path = args.tokenizer.local()
    return load(path, str(Tokenizer.from_file(str(path)).id_to_token(args.document_end)))


def _tokens(experiment: PlantedExperiment, items: Sequence[Item], codec: Codec, shortest: int) -> list[list[int]]:
    """Return the tokens of each item's text, which with two ends must fit into a sample, as its probe must."""
    ids = [item.id for item in items]
    encoded, sizes = encode(codec, ids, [item.text for item in items])
    _, asked = encode(codec, ids, [item.context + item.probe for item in items])
    for what, lengths, most in (("text", sizes, shortest - 2), ("context with its probe", asked, shortest)):
        if long := [number for number, size in enumerate(lengths.tolist()) if size > most]:
            raise DataError(
                f"train.planted: {experiment.name}: {len(long)} of {len(items)} items have a {what} of more than {most} "
                f"tokens, which a sample of {shortest} does not hold; first: {ids[long[0]]!r} with {lengths[long[0]]}. "
                "Shorten them, or raise sequence_length."
            )
    ends = sizes.cumsum().tolist()
    return [encoded[end - size : end].tolist() for end, size in zip(ends, sizes.tolist(), strict=True)]


def _full(experiment: PlantedExperiment, asked: int, num_samples: int) -> ConfigError:
    return ConfigError(
        f"train.planted: {experiment.name} plants {asked:,} texts, each in a sample of its own, and its window "
        f"{list(experiment.window)} of a run of {num_samples:,} samples has not so many left. Lower exposures or "
        "treated_share, widen the window, give fewer items, or raise training.num_tokens."
    )
