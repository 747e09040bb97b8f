"""Cross stage partial: only half of the channels goes through a stage's blocks.

Source: Wang et al. 2019 (1911.11929), section 3, "fusion first and last" of figure 3.
"""

import torch
from torch import Tensor, nn


class CrossStage(nn.Module):
    """Half of what `widen` gives goes by, half through `blocks`; `merge` sees both.

    Args:
        widen: gives an even number of channels.
        blocks: of half of them, and a transition at their end.
        merge: of the first half and what the blocks give.
    """

    def __init__(self, widen: nn.Module, blocks: nn.Module, merge: nn.Module):
        super().__init__()
        self.widen, self.blocks, self.merge = widen, blocks, merge

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C', F, L]."""
        past, through = self.widen(x).chunk(2, dim=1)
        y: Tensor = self.merge(torch.cat([past, self.blocks(through)], dim=1))
        return y
