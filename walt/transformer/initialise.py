"""All initialisation of the transformer, in one place."""

from __future__ import annotations

from torch import nn

from walt.nn.adaln import LowRankModulation, SharedModulation
from walt.nn.positions import AbsolutePosition, RelativePositionBias
from walt.transformer.conditioning import LabelEmbedding


def initialise(model: nn.Module) -> None:
    """Set every weight.

    Linear layers: Xavier uniform, biases zero; the columns of the first layer that see the estimate, the known
    frames and the low resolution are no exception. Position embeddings, relative position biases and the
    labels' embedding: normal, std 0.02. Modulations start at zero, so each block's gated branches start closed
    (AdaLN-Zero, DiT section 3.2); of the low-rank pair only the second factor is zero, since two zero factors would
    never learn. Cross-attention's output and the last layer start at zero: the untrained model predicts zero. Scales of
    the query-key normalisation start at one.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, AbsolutePosition):
            nn.init.normal_(module.space, std=0.02)
            nn.init.normal_(module.time, std=0.02)
        elif isinstance(module, RelativePositionBias | LabelEmbedding):
            nn.init.normal_(module.table, std=0.02)
    for name, module in model.named_modules():
        if isinstance(module, SharedModulation):
            nn.init.zeros_(module.mlp[1].weight)  # type: ignore[arg-type]
        elif isinstance(module, LowRankModulation):
            nn.init.normal_(module.down.weight, std=0.02)
            nn.init.zeros_(module.up.weight)
        elif name.endswith("cross_attention"):
            nn.init.zeros_(module.out.weight)
        elif name in ("patch_out", "final_modulation.1"):
            nn.init.zeros_(module.weight)
