"""Modules of separable convolutions over time, and attention by inner products: SliceNet's parts.

Source: Kaiser, Gomez & Chollet 2017 (1706.03059), section 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..context import WHOLE, Context
from .norm import ChannelNorm
from .pool import mask_time
from .separable import SeparableConv1d

SHORT = 2  # steps before a module adds its input for the first time


@dataclass(frozen=True, kw_only=True)
class SliceCfg:
    """What a stack of modules is made of; the defaults are the paper's encoder.

    Attributes:
        width: channels (the paper's depth).
        modules: how many.
        kernels: of the steps of a module [frames]; it adds its input after two and after all.
        dilations: of the same steps.
        groups: of the pointwise halves, in turn from step to step; numbers without a common
            divisor let all channels meet.
        dropout: after each module, in training.
        causal: no frame depends on a later one.
    """

    width: int = 768
    modules: int = 6
    kernels: tuple[int, ...] = (3, 3, 15, 15)
    dilations: tuple[int, ...] = (1, 1, 1, 1)
    groups: tuple[int, ...] = (1,)
    dropout: float = 0.5
    causal: bool = False

    def __post_init__(self) -> None:
        if len(self.kernels) != len(self.dilations) or len(self.kernels) <= SHORT:
            raise ValueError(
                f"kernels={self.kernels}, dilations={self.dilations}: expected as many of each, "
                f"more than {SHORT}"
            )
        if self.modules < 1 or not self.groups:
            raise ValueError(
                f"modules={self.modules}, groups={self.groups}: expected at least one of each"
            )


class ConvStep(nn.Module):
    """ReLU, a separable convolution over time, layer norm over the channels of each frame.

    k C + C² / groups weights, beside a bias and a gain.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: [frames]
        groups: see `SeparableConv1d`.
        causal: see `TimeConv`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        groups: int = 1,
        causal: bool = False,
    ):
        super().__init__()
        self.conv = SeparableConv1d(
            in_channels, out_channels, kernel_size, bias=False, causal=causal, groups=groups
        )
        self.norm = ChannelNorm(out_channels, 1e-6)

    def forward(
        self, x: Tensor, dilation: int = 1, context: Context = WHOLE, lengths: Tensor | None = None
    ) -> Tensor:
        """x [B, C, L], lengths [B] in frames -> [B, C', L]."""
        y: Tensor = self.norm(self.conv(mask_time(F.relu(x), lengths), dilation, context))
        return y


class SliceModule(nn.Module):
    """Steps with the module's input added after the second and after the last.

    Args:
        cfg: see `SliceCfg`.
        first: number of its first step in the network: which of `cfg.groups` it has.
    """

    def __init__(self, cfg: SliceCfg, first: int = 0):
        super().__init__()
        self.dilations = cfg.dilations
        self.steps = nn.ModuleList(
            ConvStep(
                cfg.width,
                cfg.width,
                kernel,
                groups=cfg.groups[i % len(cfg.groups)],
                causal=cfg.causal,
            )
            for i, kernel in zip(count(first), cfg.kernels, strict=False)
        )
        self.dropout = nn.Dropout(cfg.dropout)

    def forward(self, x: Tensor, context: Context = WHOLE, lengths: Tensor | None = None) -> Tensor:
        """x [B, C, L], lengths [B] in frames -> [B, C, L]."""
        y = x
        for i, (step, dilation) in enumerate(zip(self.steps, self.dilations, strict=True)):
            y = step(y, dilation, context.at(i), lengths)
            if i + 1 in (SHORT, len(self.steps)):
                y = x + y
        out: Tensor = self.dropout(y)
        return out


class SliceStack(nn.Module):
    """Modules one after the other; a frame hears `receptive_frames` of them.

    Args:
        cfg: see `SliceCfg`.
    """

    def __init__(self, cfg: SliceCfg):
        super().__init__()
        steps = len(cfg.kernels)
        self.blocks = nn.ModuleList(SliceModule(cfg, i * steps) for i in range(cfg.modules))
        reach = sum((k - 1) * d for k, d in zip(cfg.kernels, cfg.dilations, strict=True))
        self.receptive_frames = 1 + cfg.modules * reach

    def forward(self, x: Tensor, context: Context = WHOLE, lengths: Tensor | None = None) -> Tensor:
        """x [B, C, L], lengths [B] in frames -> [B, C, L]; beyond lengths it means nothing."""
        for i, module in enumerate(self.blocks):
            x = module(x, context.at(i), lengths)
        return x


def timing(x: Tensor, context: Context = WHOLE) -> Tensor:
    """x [B, C, L] -> the signal [C, L] that tells frames apart by when they are.

    Sines in the even channels, cosines in the odd ones, of periods from 2π to 20000π frames. A
    stream counts on.

    Source: 1706.03059, section 2.4.
    """
    before = context.recall()
    first = 0 if before is None else int(before)
    channels, frames = x.shape[1:]
    if context.streaming:
        context.remember(torch.tensor(first + frames))
    time = torch.arange(first, first + frames, dtype=torch.float64, device="cpu")
    pair = torch.arange(channels, dtype=torch.float64, device="cpu") // 2 * 2
    angle = time * torch.exp(-math.log(1e4) * pair / channels)[:, None]
    even = (torch.arange(channels, device="cpu") % 2 == 0)[:, None]
    return torch.where(even, angle.sin(), angle.cos()).to(x)


def attend(source: Tensor, target: Tensor, lengths: Tensor | None = None) -> Tensor:
    """What each frame of the target finds in the source: a mean weighted by inner products.

    The weights are a softmax of the products as they are; what is scaled by 1 / √C is the mean.

    Source: 1706.03059, section 2.4.

    Args:
        source: [B, C, L]
        target: [B, C, M]
        lengths: [B], frames of the source that count.

    Returns:
        [B, C, M]
    """
    products = mask_time(target.transpose(1, 2) @ source, lengths, -math.inf)  # [B, M, L]
    weights = products.softmax(dim=-1)
    found: Tensor = source @ weights.transpose(1, 2)
    return found / math.sqrt(source.shape[1])


class SliceAttention(nn.Module):
    """Attention whose queries are two causal steps over the target and its timing.

    Args:
        channels: of source and target.
        kernel_size: of both steps [frames].
        dilation: of the second.
    """

    def __init__(self, channels: int, kernel_size: int = 5, dilation: int = 4):
        super().__init__()
        self.near = ConvStep(channels, channels, kernel_size, causal=True)
        self.far = ConvStep(channels, channels, kernel_size, causal=True)
        self.dilation = dilation

    def forward(
        self,
        source: Tensor,
        target: Tensor,
        context: Context = WHOLE,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """source [B, C, L], target [B, C, M], lengths [B] of the source -> [B, C, M].

        `context` is that of the target; a source is always whole.
        """
        x = self.near(target + timing(target, context.at("timing")), 1, context.at("near"))
        return attend(source, self.far(x, self.dilation, context.at("far")), lengths)
