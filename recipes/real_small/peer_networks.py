"""What others published for the same two jobs, built of asteroid's parts.

They have the shape that our objectives and scores expect: a task, a rate, and waveforms in and out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from asteroid_filterbanks import make_enc_dec
from torch import Tensor, nn

from sepaudio import doors
from sepaudio.frontends import Embedding

asteroid = doors.asteroid()

FILTERS = {"n_filters": 512, "kernel_size": 16, "stride": 8}
BLOCKS = {"n_blocks": 8, "bn_chan": 128, "hid_chan": 512, "skip_chan": 128, "norm_type": "gLN"}


@dataclass(frozen=True, kw_only=True)
class PeerCfg:
    """What scoring asks of any model.

    Attributes:
        n_src: sources that come out.
        presence: as in `TseNetCfg`: a peer does not judge it.
    """

    n_src: int = 1
    presence: float = 0.0


class ConvTasNet(nn.Module):
    """asteroid's Conv-TasNet (Luo & Mesgarani 2019, 1809.07454) at its defaults, two sources."""

    task = "separation"
    causal = False

    def __init__(self, sample_rate: int):
        super().__init__()
        self.cfg, self.sample_rate = PeerCfg(n_src=2), sample_rate
        self.net = asteroid.models.ConvTasNet(n_src=2, sample_rate=sample_rate)

    def forward(self, mixture: Tensor, lengths: Tensor | None = None) -> Tensor:
        """mixture [B, T] -> estimates [B, 2, T]; all are as long, so `lengths` is unused."""
        estimates: Tensor = self.net(mixture)
        return estimates


class Auxiliary(nn.Module):
    """The voice of an enrollment: filters of its own, one stack of blocks, the mean over time."""

    def __init__(self, sample_rate: int, size: int):
        super().__init__()
        self.encoder, _ = make_enc_dec("free", sample_rate=sample_rate, **FILTERS)
        self.blocks = asteroid.masknn.TDConvNet(
            FILTERS["n_filters"], 1, size, n_repeats=1, mask_act="linear", **BLOCKS
        )

    def forward(self, enrollment: Tensor, lengths: Tensor | None = None) -> Tensor:
        """enrollment [B, T], lengths [B] in samples -> vectors [B, E].

        The blocks know of no padding: a shorter enrollment is repeated in its place.
        """
        if lengths is not None:
            where = torch.arange(enrollment.shape[1], device=enrollment.device)
            enrollment = enrollment.gather(1, where % lengths[:, None])
        voice: Tensor = self.blocks(self.encoder(enrollment[:, None]))[:, 0].mean(dim=-1)
        return voice


class TDSpeakerBeam(nn.Module):
    """Conv-TasNet with one mask; the enrolled voice multiplies what its first stack gives.

    Source: Delcroix et al. 2020 (2001.08378), section 3; sizes, mask and place of the adaptation
    from the authors' recipe for Libri2Mix (github.com/BUTSpeechFIT/speakerbeam, conf.yml): both
    what goes on to the next block and what goes to the mask is multiplied, each by half of the
    vector. That recipe has no loss on the speaker's identity, nor has this.
    """

    task = "extraction"
    causal = False

    def __init__(self, sample_rate: int):
        super().__init__()
        self.cfg, self.sample_rate = PeerCfg(), sample_rate
        self.speaker = Auxiliary(sample_rate, BLOCKS["bn_chan"] + BLOCKS["skip_chan"])
        self.encoder, self.decoder = make_enc_dec("free", sample_rate=sample_rate, **FILTERS)
        self.masker = asteroid.masknn.TDConvNet(
            FILTERS["n_filters"], 1, n_repeats=3, mask_act="relu", **BLOCKS
        )

    def enroll(self, enrollment: Tensor, lengths: Tensor | None = None) -> Embedding:
        """enrollment [B, T], lengths [B] in samples -> the speakers' embedding."""
        return Embedding(self.speaker(enrollment, lengths))

    def forward(
        self, mixture: Tensor, embedding: Tensor | Embedding, lengths: Tensor | None = None
    ) -> Tensor:
        """mixture [B, T], embedding [B, E] -> estimate [B, T]; `lengths` is unused, as above."""
        voice = embedding.vectors if isinstance(embedding, Embedding) else embedding
        told = voice[..., None].split([BLOCKS["bn_chan"], BLOCKS["skip_chan"]], dim=1)
        spec = self.encoder(mixture[:, None])
        y, skips = self.masker.bottleneck(spec), torch.zeros(())
        for place, block in enumerate(self.masker.TCN, start=1):
            found = block(y)
            if place == BLOCKS["n_blocks"]:
                found = [x * by for x, by in zip(found, told, strict=True)]
            y, skips = y + found[0], skips + found[1]
        mask = self.masker.output_act(self.masker.mask_net(skips))
        estimate = self.decoder(mask * spec)[:, 0]
        return F.pad(estimate, (0, mixture.shape[1] - estimate.shape[1]))
