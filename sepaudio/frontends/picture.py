"""Cepstra and their slopes as the three colours of a picture."""

import torch
from torch import Tensor, nn

from .mel import MFCC, MelCfg, deltas
from .stft import Count


class DeltaMFCC(nn.Module):
    """Cepstra, their slopes (deltas) and the slopes' slopes, one beneath the other.

    `picture` stacks the three instead, for networks that expect an image of three colours.

    Args:
        cfg: of the cepstra.
        width: frames on either side that a slope is fitted to.
    """

    orders = 3

    def __init__(self, cfg: MelCfg, width: int = 2):
        super().__init__()
        self.cfg, self.width = cfg, width
        self.mfcc = MFCC(cfg)
        self.sample_rate, self.hop, self.window = cfg.sample_rate, cfg.hop, cfg.window_length

    def frames(self, n_samples: Count) -> Count:
        """Number of frames of signals of n_samples; an int gives an int, a Tensor a Tensor."""
        return self.mfcc.frames(n_samples)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Samples [..., T], lengths [...] in samples -> features [..., 3 * n_mfcc, L].

        A slope at an edge is fitted as if the edge frame went on, also where a signal of `lengths`
        ends within a batch.
        """
        frames = None if lengths is None else self.mfcc.frames(lengths)
        parts = [self.mfcc(x, lengths=lengths)]
        for _ in range(1, self.orders):
            parts.append(deltas(_hold(parts[-1], frames), self.width))
        return torch.cat(parts, dim=-2)

    def picture(self, features: Tensor) -> Tensor:
        """Features [..., 3 * n_mfcc, L] -> picture [..., 3, n_mfcc, L]."""
        rows, n_frames = features.shape[-2] // self.orders, features.shape[-1]
        return features.reshape(*features.shape[:-2], self.orders, rows, n_frames)


def _hold(x: Tensor, frames: Tensor | None) -> Tensor:
    """x [..., F, L] with frame frames[...] - 1 going on to the end."""
    if frames is None:
        return x
    last = (frames - 1).clamp(min=0)[..., None]
    index = torch.minimum(torch.arange(x.shape[-1], device=x.device), last)  # [..., L]
    return x.gather(-1, index[..., None, :].expand(x.shape))
