"""PixelCNN over quantised spectrograms: how likely each cell is, given those before it.

Sources: van den Oord et al. 2016 (1601.06759), section 3.4 and table 1; gated: van den Oord et al.
2016 (1606.05328), section 2.

Differs: cells are ordered frame by frame and upwards in each, see `layers.masked`. Beside its
value a cell has its height in the spectrum and a one, which tells it from what lies outside.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..context import WHOLE, Context, Stream
from ..layers import GatedPair, MaskedBlock, MaskedConv2d, mask_time

INPUTS = 3  # value, height, one


@dataclass(frozen=True, kw_only=True)
class PixelCNNCfg:
    """What PixelCNN is made of.

    Attributes:
        levels: of a cell (K).
        width: channels between layers (2h in the plain form).
        layers: after the first.
        kernel: of the first layer.
        inner: of the others.
        hidden: channels before the levels.
        gated: two stacks with gates, or one of masked convolutions, which has a blind spot.
    """

    levels: int = 16
    width: int = 32
    layers: int = 6
    kernel: int = 7
    inner: int = 3
    hidden: int = 64
    gated: bool = True

    def __post_init__(self) -> None:
        if self.levels < 2 or self.width < 2 or self.width % 2:
            raise ValueError(
                f"levels={self.levels}, width={self.width}: expected 2 or more levels and an even "
                "number of channels"
            )


class PixelCNN(nn.Module):
    """A prior over pictures of levels: it judges them, and draws new ones.

    Trained by the mean of `nats`. A picture that it finds unlikely sounds like nothing it learned:
    `nats` of a cell says how strange it is.

    Args:
        cfg: see `PixelCNNCfg`.

    >>> net = PixelCNN(PixelCNNCfg(levels=4, width=8, layers=1))
    >>> cells = quantised(torch.randn(2, 10, 50), 4, low=-2, high=2)
    >>> net.nats(cells).shape, net.sample(1, bins=3, frames=2).shape
    (torch.Size([2, 10, 50]), torch.Size([1, 3, 2]))
    """

    def __init__(self, cfg: PixelCNNCfg):
        super().__init__()
        self.cfg, width = cfg, cfg.width
        if cfg.gated:
            self.first: nn.Module = GatedPair(INPUTS, width, cfg.kernel, first=True)
            rest: list[nn.Module] = [GatedPair(width, width, cfg.inner) for _ in range(cfg.layers)]
        else:
            self.first = MaskedConv2d(INPUTS, width, cfg.kernel, "A")
            rest = [MaskedBlock(width, cfg.inner) for _ in range(cfg.layers)]
        self.rest = nn.ModuleList(rest)
        self.head = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(width, cfg.hidden, 1),
            nn.ReLU(),
            nn.Conv2d(cfg.hidden, cfg.levels, 1),
        )

    def forward(self, cells: Tensor, context: Context = WHOLE) -> Tensor:
        """cells [B, F, L], levels 0 to K - 1 -> logits [B, K, F, L] of each, given those before.

        Raises:
            ValueError: the cells are no [B, F, L] of whole numbers.
        """
        if cells.ndim != 3 or cells.is_floating_point():
            raise ValueError(
                f"cells have shape {list(cells.shape)} and type {cells.dtype}: expected levels "
                "[B, F, L]; see `quantised`"
            )
        x = self._seen(cells)
        if not self.cfg.gated:
            x = self.first(x, context.at("first"))
            for i, block in enumerate(self.rest):
                x = block(x, context.at(i))
            return self.head(x)  # type: ignore[no-any-return]
        frames, bins = self.first(x, x, context.at("first"))
        for i, pair in enumerate(self.rest):
            frames, bins = pair(frames, bins, context.at(i))
        return self.head(bins)  # type: ignore[no-any-return]

    def nats(self, cells: Tensor) -> Tensor:
        """cells [B, F, L] -> how surprising each is, -log p [B, F, L]."""
        return F.cross_entropy(self(cells), cells, reduction="none")

    def log_likelihood(self, cells: Tensor, lengths: Tensor | None = None) -> Tensor:
        """cells [B, F, L], lengths [B] in frames -> log p of each picture [B] in nats."""
        return -mask_time(self.nats(cells), lengths).sum(dim=(1, 2))

    @torch.no_grad()
    def sample(
        self, batch: int, bins: int, frames: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw pictures, cell by cell: [batch, bins, frames].

        A frame costs as many passes over one frame as it has bins: the past is remembered, not
        heard again.
        """
        like, stream = next(self.parameters()), Stream()
        drawn = []
        for _ in range(frames):
            frame = torch.zeros(batch, bins, 1, dtype=torch.int64, device=like.device)
            for i in range(bins):
                logits = self(frame, Stream(stream.state()))[:, :, i, 0]
                chances = logits.float().softmax(dim=1)
                frame[:, i] = torch.multinomial(chances, 1, generator=generator)
            self(frame, stream)  # now it is whole, and may be remembered
            drawn.append(frame)
        return torch.cat(drawn, dim=2)

    def _seen(self, cells: Tensor) -> Tensor:
        """cells [B, F, L] -> value, height and one of each, [B, 3, F, L], all from -1 to 1."""
        like = next(self.parameters())
        value = cells.to(like.dtype) * (2 / (self.cfg.levels - 1)) - 1
        height = torch.linspace(-1, 1, cells.shape[1], dtype=like.dtype, device=like.device)
        return torch.stack([value, height[:, None].expand_as(value), torch.ones_like(value)], dim=1)


def quantised(picture: Tensor, levels: int, low: float, high: float) -> Tensor:
    """picture [B, F, L] -> cells [B, F, L]: levels of equal width from `low` to `high`.

    What lies outside becomes the outermost level. `restored` gives the middle of each level back.
    """
    if not low < high or levels < 2:
        raise ValueError(f"low={low}, high={high}, levels={levels}: expected low < high, 2 levels")
    return ((picture - low) * (levels / (high - low))).floor().clamp(0, levels - 1).to(torch.int64)


def restored(cells: Tensor, levels: int, low: float, high: float) -> Tensor:
    """cells [B, F, L] -> picture [B, F, L]; within half a level of what `quantised` was given."""
    return low + (cells.float() + 0.5) * ((high - low) / levels)
