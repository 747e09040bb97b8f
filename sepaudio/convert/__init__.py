"""Foreign weights to ours: what a file held -> a model that plays it. No file is read here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from .asteroid import from_asteroid
from .esresnet import from_esresnet
from .imagenet import from_imagenet
from .keras import from_keras
from .torchaudio import from_torchaudio

__all__ = [
    "CONVERTERS",
    "Source",
    "from_asteroid",
    "from_esresnet",
    "from_imagenet",
    "from_keras",
    "from_torchaudio",
]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A kind of file that weights come in.

    Attributes:
        build: what the file held -> a model of ours with these weights. Its keyword-only arguments
            are what such a file does not say: `sample_rate`, `architecture` (the command line's
            `--to`) and any other plain value (its `--say key=value`).
        what: for help texts.
        untrained: parts that the file has no weights for, such as the head of a classifier; those
            that the model has. They must be trained before it is used.
    """

    build: Callable[..., nn.Module]
    what: str
    untrained: tuple[str, ...] = ()


CONVERTERS = {
    "asteroid": Source(build=from_asteroid, what="a ConvTasNet that asteroid saved or published"),
    "torchaudio": Source(
        build=from_torchaudio,
        what="the state dict of a torchaudio.models.ConvTasNet (--sample-rate, --say mask=, and "
        "n_blocks= unless it is as deep as conv_tasnet_base)",
    ),
    "esresnet": Source(
        build=from_esresnet,
        what="the authors' ESResNet, with attention or not, or ESResNe(X)t-fbsp (--say labels=, "
        "channels=)",
    ),
    "imagenet": Source(
        build=from_imagenet,
        what="a ResNet-50 or ResNeXt-50 of torchvision or timm as the start of a classifier (--to)",
        untrained=("attention", "head"),
    ),
    "keras": Source(
        build=from_keras,
        what="Keras' MobileNet v1 of any width as the start of spectrogram_mobilenet",
        untrained=("head",),
    ),
}
