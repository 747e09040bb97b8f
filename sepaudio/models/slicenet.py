"""SliceNet: a sequence of frames in, a sequence of tokens out, by separable convolutions.

Source: Kaiser, Gomez & Chollet 2017 (1706.03059), section 2. The encoder alone, as a classifier of
waveforms, is registered in `frames` under `slicenet`.

Differs: the source are frames of features, not tokens. How a decoder's module meets the source is
one reading of the paper: its output plus what attention finds for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..context import WHOLE, Context
from ..layers import (
    ConvStep,
    SliceAttention,
    SliceCfg,
    SliceModule,
    SliceStack,
    TimeConv,
    greedy,
    mask_time,
    shifted,
    timing,
)


@dataclass(frozen=True, kw_only=True)
class SliceNetCfg:
    """What SliceNet is made of; the defaults are the paper's sizes.

    Attributes:
        features: of a frame of the source, such as mel bands (F).
        tokens: kinds of them (K), the one that ends a sequence included.
        end: that token; None where every sequence is as long as it is asked for.
        encoder: its modules; as wide as the decoder's.
        decoder: its modules; they are causal.
    """

    features: int = 64
    tokens: int = 32
    end: int | None = 0
    encoder: SliceCfg = field(default_factory=SliceCfg)
    decoder: SliceCfg = field(default_factory=lambda: SliceCfg(modules=4, causal=True))

    def __post_init__(self) -> None:
        if self.encoder.width != self.decoder.width or not self.decoder.causal:
            raise ValueError(
                f"encoder.width={self.encoder.width}, decoder.width={self.decoder.width}, "
                f"decoder.causal={self.decoder.causal}: expected one width and a causal decoder"
            )
        if self.end is not None and not 0 <= self.end < self.tokens:
            raise ValueError(f"end={self.end}: expected a token from 0 to {self.tokens - 1}")


class SliceNet(nn.Module):
    """Encoder, attention by inner products, causal decoder.

    Trained by cross-entropy of `forward` with the tokens themselves, where the paper smooths labels
    by 0.1.

    Args:
        cfg: see `SliceNetCfg`.

    >>> parts = (SliceCfg(width=16, modules=1, causal=causal) for causal in (False, True))
    >>> cfg = SliceNetCfg(tokens=10, encoder=next(parts), decoder=next(parts))
    >>> net, mel = SliceNet(cfg).eval(), torch.zeros(2, 64, 100)
    >>> net(mel, torch.zeros(2, 7, dtype=torch.int64)).shape
    torch.Size([2, 10, 7])
    >>> net.decode(mel, most=20).ndim
    2
    """

    def __init__(self, cfg: SliceNetCfg):
        super().__init__()
        self.cfg, width, decoder = cfg, cfg.decoder.width, cfg.decoder
        self.widen = TimeConv(cfg.features, width, 1)
        self.encoder = SliceStack(cfg.encoder)
        self.embed = nn.Embedding(cfg.tokens + 1, width)  # the last one starts
        self.attention = SliceAttention(width)
        self.mixer = ConvStep(2 * width, width, 3, causal=True)
        steps = len(decoder.kernels)
        self.decoder = nn.ModuleList(
            SliceModule(decoder, i * steps) for i in range(decoder.modules)
        )
        self.attentions = nn.ModuleList(SliceAttention(width) for _ in self.decoder)
        self.head = TimeConv(width, cfg.tokens, 1, causal=True)

    def forward(self, features: Tensor, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """features [B, F, L], tokens [B, N] -> logits [B, K, N] of each, given those before it.

        Args:
            features: the source.
            tokens: what was said; of the last one nothing is used.
            lengths: [B], frames of the source that count.
        """
        before = shifted(tokens, self.cfg.tokens)
        return self.predict(before, self.encode(features, lengths), WHOLE, lengths)

    def encode(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """features [B, F, L], lengths [B] -> source [B, C, L], zero beyond the lengths."""
        x = self.widen(features)
        return mask_time(self.encoder(x + timing(x), lengths=lengths), lengths)

    def predict(
        self,
        before: Tensor,
        source: Tensor,
        context: Context = WHOLE,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """Tokens before [B, N], source [B, C, L], lengths [B] of it -> logits [B, K, N].

        `context` is that of the tokens: a stream goes on with those that come next. The token
        before the first is number K.
        """
        target = self.embed(before).transpose(1, 2)
        found = self.attention(source, target, context.at("attention"), lengths)
        x = self.mixer(torch.cat([found, target], dim=1), 1, context.at("mixer"))
        for i, (module, attention) in enumerate(zip(self.decoder, self.attentions, strict=True)):
            here = context.at(i)
            x = module(x, here.at("module"))
            x = x + attention(source, x, here.at("attention"), lengths)
        logits: Tensor = self.head(x)
        return logits

    @torch.no_grad()
    def decode(self, features: Tensor, most: int, lengths: Tensor | None = None) -> Tensor:
        """features [B, F, L], lengths [B] -> the likeliest tokens, one by one, [B, N <= most].

        What comes after `cfg.end` is filled up with it. The model should be in evaluation mode.
        """
        source = self.encode(features, lengths)
        start = torch.full_like(features[:, 0, 0], self.cfg.tokens, dtype=torch.int64)
        return greedy(
            lambda before, context: self.predict(before, source, context, lengths),
            start,
            most,
            self.cfg.end,
        )
