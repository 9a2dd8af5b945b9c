"""What decides the weights of one training run besides its data; proxies and full runs are the same model at two sizes."""

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt

from tasks.core.errors import ConfigError
from tasks.core.params import Params
from tasks.training.data_config import DataConfig, EvaluationConfig
from tasks.training.ewc.params import Ewc, ewc_mistakes
from tasks.training.experts.kinds import ExpertsKind
from tasks.training.losses.kinds import LossKind
from tasks.training.multi_token.cost import further_mistakes
from tasks.training.multi_token.kinds import MultiTokenKind
from tasks.training.mup import Mup
from tasks.training.objectives.kinds import ObjectiveKind
from tasks.training.optimizers.kinds import DEFAULT as DEFAULT_OPTIMIZER
from tasks.training.optimizers.kinds import OptimizerKind
from tasks.training.optimizers.kinds import method as optimizer_method
from tasks.training.parallel.kinds import ParallelKind
from tasks.training.schedules.changes import DecayFrom, Rewarm
from tasks.training.schedules.kinds import ScheduleConfig
from tasks.training.schedules.rates import schedule_mistakes
from tasks.training.schedules.wsd import Wsd
from tasks.training.spikes import SkipSpikes
from tasks.training.static_mask import StaticMask, mask_mistakes
from tasks.training.teachers.distillation import Distillation

Architecture = Literal["qwen3", "olmo2"]
Precision = Literal["float32", "bfloat16"]
PrecisionChoice = Literal["auto", "float32", "bfloat16"]
# Rates and decays are multiplied with each other and with float32 weights; nobody needs one as large as this.
_MOST = 1e9


class ModelConfig(Params):
    """A decoder like Llama's: RMSNorm, RoPE, SwiGLU, grouped-query attention, no bias; tied embeddings unless said.

    `architecture` null is Llama's. `qwen3` normalises the queries and keys of each head; `olmo2` normalises all queries and
    all keys together, and what attention and feed-forward return instead of what they are given (arXiv 2505.09388,
    2501.00656). The vocabulary's size is a property of the token pool and stands there.
    """

    hidden_size: PositiveInt
    num_layers: PositiveInt
    num_heads: PositiveInt
    num_kv_heads: PositiveInt
    intermediate_size: PositiveInt
    sequence_length: int = Field(ge=2, description="tokens a sample has, and the longest context")
    rope_base: PositiveFloat = 10_000.0
    norm_eps: PositiveFloat = 1e-5
    initializer_range: PositiveFloat = 0.02
    architecture: Architecture | None = None
    head_dim: PositiveInt | None = Field(default=None, description="null = hidden_size / num_heads")
    untied_embeddings: bool = Field(default=False, description="an output layer of its own")
    experts: ExpertsKind | None = Field(
        default=None, description="sparse experts in place of each layer's feed-forward; null = one feed-forward"
    )

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_heads if self.head_dim is None else self.head_dim

    def mistakes(self) -> Iterator[str]:
        """Yield what does not fit together."""
        whole = self.head_dim is not None or not self.hidden_size % self.num_heads
        if not whole:
            yield f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}"
        if self.num_heads % self.num_kv_heads:
            yield f"num_heads {self.num_heads} is not a multiple of num_kv_heads {self.num_kv_heads}"
        if whole and self.head_size % 2:
            yield f"a head has {self.head_size} dimensions, an odd number; rotary embeddings need pairs"
        if self.experts is not None:
            if self.architecture is not None:
                yield (
                    f"experts go with Llama's attention, as in Mixtral, and architecture is {self.architecture}; leave "
                    "one of them out"
                )
            yield from self.experts.capacity_mistakes(self.sequence_length)


class OptimizerConfig(Params):
    """How weights follow their gradients: the optimizer, its learning rate over the run, and what holds weights small."""

    method: OptimizerKind = DEFAULT_OPTIMIZER
    learning_rate: PositiveFloat = Field(le=_MOST, description="the highest, of which schedules give shares")
    warmup_steps: int | None = Field(
        default=None, ge=0, description="null = 10, in a run of fewer than 100 steps a tenth of them"
    )
    schedule: ScheduleConfig = Wsd()
    rewarms: tuple[Rewarm, ...] = Field(default=(), description="further warm-ups on the way, each with a schedule")
    decay_from: DecayFrom | None = Field(default=None, description="a decay that begins at a named step")
    weight_decay: float = Field(default=0.1, ge=0, le=_MOST, description="on the matrices of the blocks")
    embedding_weight_decay: float | None = Field(
        default=None, ge=0, le=_MOST, description="on embedding and output layer; null = weight_decay"
    )
    norm_weight_decay: float | None = Field(
        default=None, ge=0, le=_MOST, description="on the weights of norms; null = none"
    )
    gradient_clip: PositiveFloat | None = Field(default=1.0, description="largest global norm; null = off")
    skip_spikes: SkipSpikes | None = Field(default=None, description="leave steps out whose loss or gradient jumps")


class TrainingConfig(Params):
    """One training run: everything that decides its weights, apart from the data, the recipe and the seed."""

    model: ModelConfig
    optimizer: OptimizerConfig
    num_tokens: PositiveInt
    sequences_per_step: PositiveInt
    micro_batches: PositiveInt = Field(default=2, description="parts of a step's gradient, summed as a tree")
    precision: PrecisionChoice = Field(
        default="auto",
        description="of the products; auto = bfloat16 where it is native, decided before a run is named",
    )
    data: DataConfig | None = Field(default=None, description="null = documents as they lie, rows shuffled")
    loss: LossKind | None = Field(default=None, description="of a token; null = cross-entropy")
    objective: ObjectiveKind | None = Field(
        default=None, description="what a step minimises; null = the mean of its tokens' losses"
    )
    distillation: Distillation | None = Field(
        default=None, description="how a run learns from its `teachers`; null = it has none"
    )
    ewc: Ewc | None = Field(
        default=None, description="weights are held near to the start's where they matter to it; null = they are free"
    )
    multi_token: MultiTokenKind | None = Field(
        default=None, description="tokens further ahead that are predicted while training; null = the next one alone"
    )
    static_mask: StaticMask | None = Field(
        default=None, description="weights of the matrices that are held at zero; null = none"
    )
    mup: Mup | None = Field(default=None, description="rates and initial values are those of a narrower model")
    parallel: ParallelKind | Literal["auto"] | None = Field(
        default=None,
        description="one model over many devices; null = as in a stack, for models that fit on one; auto = by the memory of "
        "the GPU, decided before a run is named",
    )
    checkpoint_every_steps: PositiveInt | None = Field(default=None, description="null = no checkpoints")
    keep_checkpoints: PositiveInt | None = Field(default=None, description="the last so many; null = two")
    milestone_every_steps: PositiveInt | None = Field(
        default=None, description="checkpoints that are kept for good and published; null = none"
    )
    evaluations: EvaluationConfig | None = Field(default=None, description="of a full run on its way; null = none")

    @property
    def product_precision(self) -> Precision:
        """Precision of the matrix products.

        Raises:
            ConfigError: it is `auto`, which is decided before a run starts and never inside it.
        """
        if self.precision == "auto":
            raise ConfigError("precision is auto, which nobody has decided for this run. Name float32 or bfloat16.")
        return self.precision

    @property
    def engine(self) -> ParallelKind | None:
        """How the model is spread over devices; None = it is not, but trained in a stack.

        Raises:
            ConfigError: it is `auto`, which is decided before a run starts and never inside it.
        """
        if self.parallel == "auto":
            raise ConfigError("parallel is auto, which nobody has decided for this run. Name ddp or fsdp, or null.")
        return self.parallel

    @property
    def stackable(self) -> bool:
        """Whether a stack can train the model."""
        return self.model.architecture is None and not self.model.untied_embeddings

    @property
    def takes_shards(self) -> bool:
        """Whether the optimizer may be given shards of weights."""
        return optimizer_method(self.optimizer.method).shards

    def decided(self, precision: Precision) -> Self:
        """Return the config with `precision` where it says `auto`."""
        return self.model_copy(update={"precision": precision}) if self.precision == "auto" else self

    @property
    def tokens_per_step(self) -> int:
        """Tokens of one optimizer step."""
        return self.sequences_per_step * self.model.sequence_length

    @property
    def num_steps(self) -> int:
        """Optimizer steps of the run."""
        return self.num_tokens // self.tokens_per_step

    @property
    def num_samples(self) -> int:
        """Samples (sequences) of the run."""
        return self.num_tokens // self.model.sequence_length

    def mistakes(self) -> Iterator[str]:
        """Yield what does not fit together."""
        if self.num_tokens % self.tokens_per_step:
            below = self.num_steps * self.tokens_per_step
            near = " or ".join(str(value) for value in (below, below + self.tokens_per_step) if value)
            yield (
                f"num_tokens {self.num_tokens} is not a whole number of steps of {self.tokens_per_step} tokens "
                f"(sequences_per_step {self.sequences_per_step} x sequence_length {self.model.sequence_length}); "
                f"the nearest values are {near}"
            )
        late = [step for step in self.evaluations.at_steps if step > self.num_steps] if self.evaluations else []
        if late:
            yield f"evaluations.at_steps names step {late[0]}, and the run has {self.num_steps}"
        every = {
            "milestone_every_steps": self.milestone_every_steps,
            "evaluations.every_steps": None if self.evaluations is None else self.evaluations.every_steps,
        }
        for name, steps in every.items():
            if steps is not None and steps > self.num_steps > 0:
                yield f"{name} {steps} is beyond the end of a run of {self.num_steps} steps; lower it, or set it to null"
        parts = self.micro_batches
        if parts & (parts - 1):
            yield f"micro_batches {parts} is not a power of two, so its sum is no balanced tree"
        if self.sequences_per_step % parts:
            yield f"sequences_per_step {self.sequences_per_step} is not a multiple of micro_batches {parts}"
        yield from schedule_mistakes(self)
        yield from () if self.distillation is None else self.distillation.end_mistakes(self.num_steps)
        yield from mask_mistakes(self)
        yield from ewc_mistakes(self)
        yield from further_mistakes(self)
        parallel = None if self.parallel == "auto" else self.parallel
        if parallel is not None and parallel.SHARDED and not self.takes_shards:
            yield (
                f"optimizer.method {self.optimizer.method.kind} needs whole weights, and parallel {parallel.kind} gives it "
                "shards; set parallel to {kind: ddp}, or take an optimizer that takes shards, such as adamw"
            )
        if self.mup is not None and self.model.experts is not None:
            yield "mup is not worked out for model.experts: their router is no hidden matrix; leave one of them out"
        if self.model.experts is not None and parallel is not None and parallel.compile:
            yield "parallel.compile does not go with model.experts, whose products change their shapes; leave it out"
        if self.mup is not None and self.optimizer.method.kind != "adamw":
            yield (
                f"mup says how AdamW's rates follow the width, and optimizer.method is {self.optimizer.method.kind}; "
                "leave mup out, or take adamw"
            )
