"""ByteNet: a decoder of dilated convolutions stacked on an encoder of them, in linear time.

Source: Kalchbrenner et al. 2016 (1610.10099), section 3. The encoder alone, as a classifier of
waveforms, is registered in `frames` under `bytenet`.

Differs: the source are frames of features, not characters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..context import WHOLE, Context
from ..layers import ByteNetCfg, ByteNetStack, TimeConv, greedy, mask_time, shifted


@dataclass(frozen=True, kw_only=True)
class ByteNetSequenceCfg:
    """What ByteNet is made of.

    Attributes:
        features: of a frame of the source, such as mel bands (F).
        tokens: kinds of them (K), the one that ends a sequence included.
        end: that token.
        encoder: its blocks; as wide as the decoder's.
        decoder: its blocks; they are causal.
        unfold: tokens per frame of the source that the encoder makes room for (a).
        more: tokens beside that (b).
    """

    features: int = 64
    tokens: int = 32
    end: int = 0
    encoder: ByteNetCfg = field(default_factory=ByteNetCfg)
    decoder: ByteNetCfg = field(default_factory=lambda: ByteNetCfg(causal=True))
    unfold: float = 1.2
    more: int = 0

    def __post_init__(self) -> None:
        if self.encoder.width != self.decoder.width or not self.decoder.causal:
            raise ValueError(
                f"encoder.width={self.encoder.width}, decoder.width={self.decoder.width}, "
                f"decoder.causal={self.decoder.causal}: expected one width and a causal decoder"
            )
        if not 0 <= self.end < self.tokens:
            raise ValueError(f"end={self.end}: expected a token from 0 to {self.tokens - 1}")
        if self.unfold <= 0 or self.more < 0:
            raise ValueError(
                f"unfold={self.unfold}, more={self.more}: expected more than 0, and 0 or more"
            )


class ByteNet(nn.Module):
    """No attention: token n hears column n of the encoder, whose reach must span what they differ.

    The source is filled up with silence to `unfold` times its frames, plus `more`, so that there
    is a column for each token; beyond, tokens hear only each other.

    Args:
        cfg: see `ByteNetSequenceCfg`.
    """

    def __init__(self, cfg: ByteNetSequenceCfg):
        super().__init__()
        self.cfg, width = cfg, cfg.decoder.width
        self.widen = TimeConv(cfg.features, width, 1, bias=False)
        self.encoder = ByteNetStack(cfg.encoder)
        self.embed = nn.Embedding(cfg.tokens + 1, width)  # the last one starts
        self.decoder = ByteNetStack(cfg.decoder)
        self.head = nn.Sequential(
            nn.ReLU(),
            TimeConv(width, width, 1, causal=True),
            nn.ReLU(),
            TimeConv(width, cfg.tokens, 1, causal=True),
        )

    def room(self, frames: int) -> int:
        """Tokens that so many frames of the source make room for: ceil(a frames) + b."""
        return math.ceil(self.cfg.unfold * frames) + self.cfg.more

    def forward(self, features: Tensor, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """features [B, F, L], tokens [B, N] -> logits [B, K, N] of each, given those before it.

        Args:
            features: the source.
            tokens: what was said; of the last one nothing is used.
            lengths: [B], frames of the source that count.
        """
        source, n = self.encode(features, lengths), tokens.shape[1]
        source = F.pad(source, (0, n - source.shape[-1]))  # cut where there are fewer tokens
        return self.predict(shifted(tokens, self.cfg.tokens), source)

    def encode(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """features [B, F, L], lengths [B] -> source [B, C, room(L)], zero beyond their room."""
        x = self.widen(mask_time(features, lengths))
        x = F.pad(x, (0, self.room(x.shape[-1]) - x.shape[-1]))
        places = self._places(lengths)
        return mask_time(self.encoder(x, lengths=places), places)

    def predict(self, before: Tensor, source: Tensor, context: Context = WHOLE) -> Tensor:
        """Tokens before [B, N] and their columns of the source [B, C, N] -> logits [B, K, N].

        `context` is that of both. The token before the first is number K.
        """
        x = self.embed(before).transpose(1, 2) + source
        logits: Tensor = self.head(self.decoder(x, context))
        return logits

    @torch.no_grad()
    def decode(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """features [B, F, L], lengths [B] -> the likeliest tokens, one by one, [B, N <= room(L)].

        What comes after `cfg.end`, or has no room, is filled up with it. The model should be in
        evaluation mode.
        """
        source = self.encode(features, lengths)
        columns = iter(torch.split(source, 1, dim=2))
        start = torch.full_like(features[:, 0, 0], self.cfg.tokens, dtype=torch.int64)
        return greedy(
            lambda before, context: self.predict(before, next(columns), context),
            start,
            source.shape[-1],
            self.cfg.end,
            self._places(lengths),
        )

    def _places(self, lengths: Tensor | None) -> Tensor | None:
        """`room` of every length."""
        if lengths is None:
            return None
        return (lengths.double() * self.cfg.unfold).ceil().to(lengths.dtype) + self.cfg.more
