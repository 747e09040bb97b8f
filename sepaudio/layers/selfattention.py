"""Self-attention: every frame, or every point of a picture, hears all the others.

Sources: Vaswani et al. 2017 (1706.03762), section 3; over points of pictures Wang et al. 2017
(1711.07971), whose residual begins as the identity.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..context import WHOLE, Context
from .conv import TimeConv, causal_or_refuse
from .norm import ChannelNorm
from .slices import timing


@dataclass(frozen=True, kw_only=True)
class AttentionCfg:
    """What a stack of self-attention blocks is made of.

    Attributes:
        width: channels.
        heads: that the channels are shared out to.
        blocks: how many.
        expand: widening inside the feed-forward half of a block.
        dropout: of both halves, in training.
        causal: no frame depends on a later one.
        window: frames that a frame hears, itself the last; 0 for all. Causal blocks only; without
            it a stream remembers everything.
    """

    width: int = 128
    heads: int = 4
    blocks: int = 4
    expand: int = 4
    dropout: float = 0.1
    causal: bool = False
    window: int = 0

    def __post_init__(self) -> None:
        if self.blocks < 1 or self.expand < 1:
            raise ValueError(
                f"blocks={self.blocks}, expand={self.expand}: expected at least 1 of each"
            )


class SelfAttention(nn.Module):
    """softmax(Q Kᵀ / √d) V in several heads, and a linear layer over them together.

    Without a signal of time among the channels it knows no order. torch's MultiheadAttention has
    the same weights: in_proj is `project`, out_proj is `out`.

    Args:
        channels: in and out.
        heads: a divisor of the channels.
        causal: frame l hears no frame after l.
        window: frames that it hears then, itself the last; 0 for all.

    Raises:
        ValueError: the heads do not divide the channels, or a window is asked without `causal`.
    """

    def __init__(self, channels: int, heads: int = 1, *, causal: bool = False, window: int = 0):
        super().__init__()
        if heads < 1 or channels % heads:
            raise ValueError(f"heads={heads}: expected a divisor of {channels} channels")
        if window < 0 or (window and not causal):
            raise ValueError(
                f"window={window} with causal={causal}: expected 0, or a number of frames with "
                "causal=True"
            )
        self.heads, self.causal, self.window = heads, causal, window
        self.project = TimeConv(channels, 3 * channels, 1)  # queries, keys, values
        self.out = TimeConv(channels, channels, 1)

    def forward(self, x: Tensor, context: Context = WHOLE, lengths: Tensor | None = None) -> Tensor:
        """x [B, C, L], lengths [B] in frames -> [B, C, L]; beyond lengths it means nothing."""
        causal_or_refuse(self.causal, context, "SelfAttention")
        if not x.shape[-1]:
            return x
        query, heard = self.project(x).tensor_split((x.shape[1],), dim=1)
        past = context.recall()  # keys and values [B, 2C, P]
        if past is not None:
            heard = torch.cat([past, heard], dim=-1)
        if context.streaming:
            kept = min(self.window - 1 if self.window else heard.shape[-1], heard.shape[-1])
            context.remember(heard[..., heard.shape[-1] - kept :])
        key, value = heard.chunk(2, dim=1)
        found = F.scaled_dot_product_attention(
            self._headed(query),
            self._headed(key),
            self._headed(value),
            self._mask(query.shape[-1], key.shape[-1], x, lengths),
        )
        y: Tensor = self.out(found.transpose(2, 3).flatten(1, 2))
        return y

    def _headed(self, x: Tensor) -> Tensor:
        """x [B, C, L] -> [B, heads, L, C / heads], side by side: CUDA wants its rows aligned."""
        return x.reshape(len(x), self.heads, -1, x.shape[-1]).transpose(2, 3).contiguous()

    def _mask(self, asking: int, heard: int, like: Tensor, lengths: Tensor | None) -> Tensor | None:
        """Which frame hears which, [B or 1, 1, asking, heard]; None for each of them all."""
        key = torch.arange(heard, device=like.device)
        if not self.causal:  # padding lies behind a frame, so a causal one needs no lengths
            return None if lengths is None else (key < lengths[:, None])[:, None, None]
        query = torch.arange(heard - asking, heard, device=like.device)[:, None]
        mask = key <= query
        if self.window:
            mask &= key > query - self.window
        return mask[None, None]


class AttentionBlock(nn.Module):
    """x + attention(norm x), then x + feed-forward(norm x): an inverted bottleneck of 1x1.

    Differs: norms before each half, as later work has it, where the paper has them behind the sum.
    """

    def __init__(self, cfg: AttentionCfg):
        super().__init__()
        width = cfg.width
        self.norm_in, self.norm_out = ChannelNorm(width, 1e-6), ChannelNorm(width, 1e-6)
        self.attention = SelfAttention(width, cfg.heads, causal=cfg.causal, window=cfg.window)
        self.feed = nn.Sequential(
            TimeConv(width, cfg.expand * width, 1),
            nn.ReLU(),
            TimeConv(cfg.expand * width, width, 1),
        )
        self.dropout = nn.Dropout(cfg.dropout)

    def forward(self, x: Tensor, context: Context = WHOLE, lengths: Tensor | None = None) -> Tensor:
        """x [B, C, L], lengths [B] in frames -> [B, C, L]."""
        x = x + self.dropout(self.attention(self.norm_in(x), context, lengths))
        y: Tensor = x + self.dropout(self.feed(self.norm_out(x)))
        return y


class AttentionStack(nn.Module):
    """Blocks one after the other, over x and the signal of time.

    Args:
        cfg: see `AttentionCfg`.
    """

    def __init__(self, cfg: AttentionCfg):
        super().__init__()
        self.blocks = nn.ModuleList(AttentionBlock(cfg) for _ in range(cfg.blocks))
        self.norm = ChannelNorm(cfg.width, 1e-6)
        self.receptive_frames = 1 + cfg.blocks * (cfg.window - 1) if cfg.window else None

    def forward(self, x: Tensor, context: Context = WHOLE, lengths: Tensor | None = None) -> Tensor:
        """x [B, C, L], lengths [B] in frames -> [B, C, L]; beyond lengths it means nothing."""
        x = x + timing(x, context.at("timing"))
        for i, block in enumerate(self.blocks):
            x = block(x, context.at(i), lengths)
        y: Tensor = self.norm(x)
        return y


class PictureAttention(nn.Module):
    """x + gain * what every point finds among all points of the picture; the gain begins at 0.

    Memory grows with the square of the points: for the small maps of a network's last stages, as a
    step `Layer(PictureAttention)` of it.

    Args:
        channels: in and out.
        heads: see `SelfAttention`.
    """

    def __init__(self, channels: int, heads: int = 1):
        super().__init__()
        self.attention = SelfAttention(channels, heads)
        self.gain = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C, F, L]."""
        found: Tensor = self.attention(x.flatten(2))
        return x + self.gain[:, None, None] * found.view_as(x)
