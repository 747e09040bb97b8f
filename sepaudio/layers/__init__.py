"""The one shared layer module: weights in, tensors through. All models are built from these."""

from .activation import ACTIVATIONS, activation
from .attention import PoolAttention2d
from .conv import PictureConv, TimeConv
from .gated import GatedConv1d, gate
from .inverted import InvertedResidual, SqueezeExcite
from .norm import NORMS, ChannelNorm, CumulativeNorm, FixedNorm, GlobalNorm, MaskedBatchNorm, norm
from .pool import POOLS, mask_time, pool_time
from .residual import Bottleneck
from .separable import SeparableConv1d, SeparableConv2d, SpatialSeparableConv2d

__all__ = [
    "ACTIVATIONS",
    "NORMS",
    "POOLS",
    "Bottleneck",
    "ChannelNorm",
    "CumulativeNorm",
    "FixedNorm",
    "GatedConv1d",
    "GlobalNorm",
    "InvertedResidual",
    "MaskedBatchNorm",
    "PictureConv",
    "PoolAttention2d",
    "SeparableConv1d",
    "SeparableConv2d",
    "SpatialSeparableConv2d",
    "SqueezeExcite",
    "TimeConv",
    "activation",
    "gate",
    "mask_time",
    "norm",
    "pool_time",
]
