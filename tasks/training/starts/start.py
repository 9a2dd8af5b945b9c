"""The weights of another model by content, as a run is told of them: what it starts from, or learns from."""

from dataclasses import dataclass, field

from tasks.core.digest import digest_json
from tasks.core.handles import Handle
from tasks.core.identity import LABEL


@dataclass(frozen=True)
class Start:
    """The config and weights that a run starts from, by content; a smaller vocabulary is extended where asked.

    `more` are the files behind the first where the weights are in several, `num_tokens` the rows of the embedding that stand
    for a token, where others behind them pad it.
    With `upcycle` it is a dense model, of which one with experts is made.
    With `optimizer_steps` the file of the weights holds the optimizer's state too, behind so many of its steps.
    The tokenizer, and whether the run's RoPE base may be another one, are looked at before the run and decide nothing in it.
    """

    config: Handle
    weights: Handle
    tokenizer: Handle = field(metadata=LABEL)
    extend_vocabulary: bool = False
    other_rope_base: bool = field(default=False, metadata=LABEL)
    optimizer_steps: int | None = None
    more: tuple[Handle, ...] | None = None
    num_tokens: int | None = None
    # Without is None, so that it stands in no key.
    upcycle: bool | None = None

    @property
    def files(self) -> tuple[Handle, ...]:
        """The files of the weights."""
        return (self.weights, *(self.more or ()))

    @property
    def digest(self) -> str:
        """The digest of all that it is."""
        rest = [file.digest for file in self.more or ()]
        return digest_json([self.config.digest, self.weights.digest, self.tokenizer.digest, *rest])
