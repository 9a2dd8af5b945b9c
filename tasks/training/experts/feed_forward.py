"""The experts of a layer and their router, with the weights' names of Hugging Face's `MixtralForCausalLM`."""

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its usual name)

from tasks.training.experts.kinds import ExpertsKind, Routed, mixed
from tasks.training.matrices import Weight, swiglu

if TYPE_CHECKING:
    from tasks.training.config import ModelConfig


class SparseFeedForward(nn.Module):
    """A router and its experts, in place of a layer's feed-forward."""

    def __init__(self, config: "ModelConfig", experts: ExpertsKind) -> None:
        """Make experts whose weights have shapes and no values yet."""
        super().__init__()
        self.config = experts
        self.gate = Weight(experts.num_experts, config.hidden_size)
        self.experts = nn.ModuleList(_Expert(config) for _ in range(experts.num_experts))

    def forward(self, x_BTD: Tensor, limited: bool) -> tuple[Tensor, Routed]:
        """Return what the experts make of each token, [B, T, D]; `limited`: as far as an expert has room."""
        x_ND = x_BTD.flatten(0, 1)
        # The router's product is float32, of weights as the other products have them.
        logits_NE = F.linear(x_ND.float(), self.gate.weight.to(x_ND.dtype).float())

        def expert(number: int, rows: Tensor) -> Tensor:
            made: Tensor = self.experts[number](rows)
            return made

        out_ND, routed = mixed(self.config, x_ND, logits_NE, expert, x_BTD.shape[1], limited=limited)
        return out_ND.view(x_BTD.shape), routed


class _Expert(nn.Module):
    def __init__(self, config: "ModelConfig") -> None:
        super().__init__()
        self.w1 = Weight(config.intermediate_size, config.hidden_size)
        self.w3 = Weight(config.intermediate_size, config.hidden_size)
        self.w2 = Weight(config.hidden_size, config.intermediate_size)

    def forward(self, rows_RD: Tensor) -> Tensor:
        return swiglu(rows_RD, self.w1, self.w3, self.w2)
