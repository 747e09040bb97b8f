"""Recurrent networks whose weights smaller ones scale anew in every frame.

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


class Scaling(nn.Module):
    """What a smaller network says of the weights of a larger one: two scales and a bias per gate.

    Embeddings of what it says, one per gate and role, and a linear map of each. The sizes grow
    linearly with the embedding.

    Args:
        hyper: units of the smaller network.
        gates: of the larger one.
        embedding: numbers that the scales of one gate are made from.
        width: units of the larger network.
    """

    def __init__(self, hyper: int, gates: int, embedding: int, width: int):
        super().__init__()
        self.embed = nn.Linear(hyper, ROLES * gates * embedding)
        self.maps = nn.Parameter(torch.empty(ROLES, gates, embedding, width))
        nn.init.constant_(self.maps, 0.1 / embedding)

    def forward(self, said: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """said [B, hyper] -> scales by the past and by the input, and a bias, [B, gates, width]."""
        roles, gates, embedding, _ = self.maps.shape
        z = self.embed(said).view(len(said), roles, gates, embedding)
        by_past, by_input, bias = torch.einsum("brge,rgew->brgw", z, self.maps).unbind(1)
        return 1 + by_past, 1 + by_input, bias


class HyperRNN(nn.Module):
    """h = tanh(s_h * (W_h h) + s_x * (W_x x) + b), with s_h, s_x and b new in every frame.

    A smaller one hears [h; x], see `Scaling`. With maps of zeros this is an ordinary RNN.

    Args:
        in_channels: of x.
        width: units (h).
        hyper: units of the smaller RNN.
        embedding: see `Scaling`.
    """

    def __init__(self, in_channels: int, width: int, hyper: int = 32, embedding: int = 4):
        super().__init__()
        self.width, self.hyper = width, hyper
        main = nn.RNNCell(in_channels, width)
        self.weight_ih, self.weight_hh, self.bias = main.weight_ih, main.weight_hh, main.bias_ih
        self.small = nn.RNNCell(in_channels + width, hyper)
        self.scaling = Scaling(hyper, 1, embedding, width)

    def forward(self, x: Tensor, context: Context = WHOLE) -> Tensor:
        """x [B, C, L] -> h [B, width, L]."""
        state = context.recall()
        if state is None:
            state = x.new_zeros(len(x), self.width + self.hyper)
        h, small = torch.split(state, [self.width, self.hyper], dim=1)
        given = F.linear(x.transpose(1, 2), self.weight_ih)  # [B, L, width]
        said = []
        for i in range(x.shape[-1]):
            small = self.small(torch.cat([h, x[..., i]], dim=1), small)
            by_past, by_input, bias = (part[:, 0] for part in self.scaling(small))
            past = F.linear(h, self.weight_hh)
            h = torch.tanh(by_past * past + by_input * given[:, i] + bias + self.bias)
            said.append(h)
        context.remember(torch.cat([h, small], dim=1))
        return torch.stack(said, dim=2) if said else x.new_zeros(len(x), self.width, 0)


class HyperLSTM(nn.Module):
    """Gates of s_h * (W_h h) + s_x * (W_x x) + b, with s_h, s_x and b new in every frame.

    A smaller LSTM hears [h; x], see `Scaling`. With maps of zeros this is an ordinary LSTM.

    Args:
        in_channels: of x.
        width: units (h).
        hyper: units of the smaller LSTM.
        embedding: see `Scaling`.
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
        self.weight_ih, self.weight_hh, self.bias = main.weight_ih, main.weight_hh, main.bias_ih
        self.small = nn.LSTMCell(in_channels + width, hyper)
        self.scaling = Scaling(hyper, GATES, embedding, width)
        if norm:
            self.gate_weight = nn.Parameter(torch.ones(GATES, width))
            self.gate_bias = nn.Parameter(torch.zeros(GATES, width))
            self.cell_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, context: Context = WHOLE) -> Tensor:
        """x [B, C, L] -> h [B, width, L]."""
        state = context.recall()
        if state is None:
            state = x.new_zeros(len(x), 2 * (self.width + self.hyper))
        sizes = [self.width, self.width, self.hyper, self.hyper]
        h, c, small_h, small_c = torch.split(state, sizes, dim=1)
        given = F.linear(x.transpose(1, 2), self.weight_ih)  # [B, L, 4 width]
        said = []
        for i in range(x.shape[-1]):
            small_h, small_c = self.small(torch.cat([h, x[..., i]], dim=1), (small_h, small_c))
            by_past, by_input, bias = self.scaling(small_h)
            past = F.linear(h, self.weight_hh).view_as(bias)
            bias = bias + self.bias.view_as(bias[0])
            gates = by_past * past + by_input * given[:, i].view_as(bias) + bias
            h, c = self._turn(gates, c)
            said.append(h)
        context.remember(torch.cat([h, c, small_h, small_c], dim=1))
        return torch.stack(said, dim=2) if said else x.new_zeros(len(x), self.width, 0)

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
