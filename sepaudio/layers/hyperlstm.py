"""An LSTM whose weights a smaller LSTM scales anew in every frame: HyperLSTM.

Source: Ha et al. 2016 (1609.09106), section 3.2 and appendix A.2.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..context import WHOLE, Context

GATES = 4  # input, forget, candidate, output, as torch orders them
ROLES = 3  # what is scaled: weights of the past output, weights of the input; and the bias


@dataclass(frozen=True, kw_only=True)
class HyperLSTMCfg:
    """What a stack of HyperLSTMs is made of.

    Attributes:
        width: units, and channels in and out.
        layers: one after the other.
        hyper: units of the smaller LSTM.
        embedding: numbers that the scales of one gate are made from.
        norm: layer norm of every gate and of the cell.
    """

    width: int = 128
    layers: int = 1
    hyper: int = 32
    embedding: int = 4
    norm: bool = True

    causal = True

    def __post_init__(self) -> None:
        for name in ("width", "layers", "hyper", "embedding"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: expected 1 or more")


class HyperLSTM(nn.Module):
    """Gates of s_h * (W_h h) + s_x * (W_x x) + b, with s_h, s_x and b new in every frame.

    A smaller LSTM hears [h; x] and gives an embedding per gate and role; scales are 1 plus a linear
    map of theirs, biases a bias plus one. With a map of zeros this is an ordinary LSTM. Parameters
    grow linearly with the embedding.

    Args:
        in_channels: of x.
        width: units (h).
        hyper: units of the smaller LSTM.
        embedding: its size.
        norm: layer norm of every gate and of the cell, in the main LSTM.

    Differs: scales are 1 plus what is generated, where the paper starts its embeddings at 1; the
    smaller LSTM has no layer norm.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        hyper: int = 32,
        embedding: int = 4,
        norm: bool = True,
    ):
        super().__init__()
        self.width, self.hyper, self.norm = width, hyper, norm
        main = nn.LSTMCell(in_channels, width)
        self.weight_ih, self.weight_hh = main.weight_ih, main.weight_hh
        self.bias = nn.Parameter(torch.zeros(GATES * width))
        self.small = nn.LSTMCell(in_channels + width, hyper)
        self.embed = nn.Linear(hyper, ROLES * GATES * embedding)
        self.scales = nn.Parameter(torch.empty(ROLES, GATES, embedding, width))
        nn.init.constant_(self.scales, 0.1 / embedding)
        if norm:
            self.gate_weight = nn.Parameter(torch.ones(GATES, width))
            self.gate_bias = nn.Parameter(torch.zeros(GATES, width))
            self.cell_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, context: Context = WHOLE) -> Tensor:
        """x [B, C, L] -> h [B, width, L]."""
        batch, _, frames = x.shape
        state = context.recall()
        if state is None:
            state = x.new_zeros(batch, 2 * (self.width + self.hyper))
        sizes = [self.width, self.width, self.hyper, self.hyper]
        h, c, small_h, small_c = torch.split(state, sizes, dim=1)
        given = F.linear(x.transpose(1, 2), self.weight_ih)  # [B, L, 4 width]
        said = []
        for i in range(frames):
            small_h, small_c = self.small(torch.cat([h, x[..., i]], dim=1), (small_h, small_c))
            by_past, by_input, bias = self.scaling(small_h)
            past = F.linear(h, self.weight_hh)
            gates = by_past * self._gates(past) + by_input * self._gates(given[:, i]) + bias
            h, c = self._turn(gates, c)
            said.append(h)
        context.remember(torch.cat([h, c, small_h, small_c], dim=1))
        return torch.stack(said, dim=2) if said else x.new_zeros(batch, self.width, 0)

    def scaling(self, small_h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Output of the smaller LSTM [B, hyper] -> two scales and a bias, [B, 4, width] each."""
        z = self.embed(small_h).view(len(small_h), ROLES, GATES, -1)
        made = torch.einsum("brge,rgew->brgw", z, self.scales)
        by_past, by_input, bias = made.unbind(1)
        return 1 + by_past, 1 + by_input, bias + self.bias.view(GATES, -1)

    def _gates(self, x: Tensor) -> Tensor:
        return x.view(len(x), GATES, -1)

    def _turn(self, gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Gates [B, 4, width] and the cell -> what comes out, and the cell after."""
        if self.norm:
            gates = F.layer_norm(gates, (self.width,)) * self.gate_weight + self.gate_bias
        into, keep, what, out = gates.unbind(1)
        c = keep.sigmoid() * c + into.sigmoid() * what.tanh()
        seen = self.cell_norm(c) if self.norm else c
        return out.sigmoid() * seen.tanh(), c


class HyperLSTMStack(nn.Module):
    """Layers one after the other, each added to its input.

    Args:
        cfg: see `HyperLSTMCfg`.
    """

    def __init__(self, cfg: HyperLSTMCfg):
        super().__init__()
        self.layers = nn.ModuleList(
            HyperLSTM(cfg.width, cfg.width, cfg.hyper, cfg.embedding, cfg.norm)
            for _ in range(cfg.layers)
        )
        self.receptive_frames = None  # all the past

    def forward(self, x: Tensor, context: Context = WHOLE, lengths: Tensor | None = None) -> Tensor:
        """x [B, C, L] -> [B, C, L]; `lengths` changes nothing, the padding comes later."""
        for i, layer in enumerate(self.layers):
            x = x + layer(x, context.at(i))
        return x
