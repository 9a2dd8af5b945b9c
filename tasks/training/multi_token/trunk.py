"""What a decoder gives to those that predict further tokens.

Axes: B samples, T places of a sample, D hidden, V vocabulary.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its usual name)

from tasks.training.config import ModelConfig


@dataclass(frozen=True)
class Trunk:
    """What the decoder gives: its residual stream, what it shares, and what it was given itself.

    `config` is the model as it is in this step; `allowed` as in `attended`.
    """

    config: ModelConfig
    state_BTD: Tensor
    tokens_BT: Tensor
    targets_BT: Tensor
    weights_BT: Tensor | None
    embedding_VD: Tensor
    output_VD: Tensor
    norm_D: Tensor
    allowed: Tensor | None
    recompute: bool = False

    def tokens_ahead(self, ahead: int) -> Tensor:
        """Return the token so many places behind each, [B, T]; the last one where there is none, which no label asks for."""
        places_T = torch.arange(self.tokens_BT.shape[1], device=self.tokens_BT.device) + ahead
        return self.tokens_BT[:, places_T.clamp(max=self.tokens_BT.shape[1] - 1)]

    def embedded(self, tokens_BT: Tensor) -> Tensor:
        """Return tokens as the decoder looks them up, in its precision."""
        return F.embedding(tokens_BT, self.embedding_VD).to(self.state_BTD.dtype)

    def last_norm(self, state_BTD: Tensor) -> Tensor:
        """Return a state behind the decoder's last norm."""
        return F.rms_norm(state_BTD, self.norm_D.shape, self.norm_D.to(state_BTD.dtype), self.config.norm_eps)

    def alone(self) -> "Trunk":
        """Return the same for sequences of one position each, whose tokens attend to those before them."""
        return replace(self, allowed=None)
