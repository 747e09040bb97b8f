"""The one shared layer module: weights in, tensors through. All models are built from these."""

from .activation import ACTIVATIONS, MASKS, activation, masks_of
from .condition import CONDITIONS, condition
from .conv import PictureConv, TimeConv
from .gated import GatedConv1d, gate
from .norm import NORMS, ChannelNorm, CumulativeNorm, FixedNorm, GlobalNorm, MaskedBatchNorm, norm
from .pool import POOLS, mask_time, pool_time
from .separable import SeparableConv1d, SeparableConv2d, SpatialSeparableConv2d
from .tcn import SHARING, TCN, Place, TCNCfg, plan

__all__ = [
    "ACTIVATIONS",
    "CONDITIONS",
    "MASKS",
    "NORMS",
    "POOLS",
    "SHARING",
    "TCN",
    "ChannelNorm",
    "CumulativeNorm",
    "FixedNorm",
    "GatedConv1d",
    "GlobalNorm",
    "MaskedBatchNorm",
    "PictureConv",
    "Place",
    "SeparableConv1d",
    "SeparableConv2d",
    "SpatialSeparableConv2d",
    "TCNCfg",
    "TimeConv",
    "activation",
    "condition",
    "gate",
    "mask_time",
    "masks_of",
    "norm",
    "plan",
    "pool_time",
]
