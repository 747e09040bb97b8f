"""The one shared layer module: weights in, tensors through. All models are built from these."""

from .activation import ACTIVATIONS, MASKS, activation, masks_of
from .attention import PoolAttention2d
from .branches import COMBINES, Branches, SameMaxPool, WindowMeans
from .condition import CONDITIONS, condition
from .conv import PictureConv, TimeConv, tensorflow_pad
from .dense import DenseStack, statistics_held
from .fractal import DropPath, FractalBlock, FrozenSum
from .gated import GatedConv1d, gate
from .gmm import GMM, Statistics, Subspace, scatter, statistics
from .inverted import InvertedResidual, SqueezeExcite
from .norm import (
    NORMS,
    PICTURE_NORMS,
    ChannelNorm,
    CumulativeNorm,
    FixedNorm,
    GlobalNorm,
    MaskedBatchNorm,
    PictureChannelNorm,
    norm,
    picture_norm,
)
from .poly import PolyUnit
from .pool import POOLS, mask_time, pool_time
from .residual import Bottleneck
from .separable import SeparableConv1d, SeparableConv2d, SpatialSeparableConv2d
from .tcn import SHARING, TCN, Place, TCNCfg, plan
from .unit import ORDERS, ConvUnit

__all__ = [
    "ACTIVATIONS",
    "COMBINES",
    "CONDITIONS",
    "GMM",
    "MASKS",
    "NORMS",
    "ORDERS",
    "PICTURE_NORMS",
    "POOLS",
    "SHARING",
    "TCN",
    "Bottleneck",
    "Branches",
    "ChannelNorm",
    "ConvUnit",
    "CumulativeNorm",
    "DenseStack",
    "DropPath",
    "FixedNorm",
    "FractalBlock",
    "FrozenSum",
    "GatedConv1d",
    "GlobalNorm",
    "InvertedResidual",
    "MaskedBatchNorm",
    "PictureChannelNorm",
    "PictureConv",
    "Place",
    "PolyUnit",
    "PoolAttention2d",
    "SameMaxPool",
    "SeparableConv1d",
    "SeparableConv2d",
    "SpatialSeparableConv2d",
    "SqueezeExcite",
    "Statistics",
    "Subspace",
    "TCNCfg",
    "TimeConv",
    "WindowMeans",
    "activation",
    "condition",
    "gate",
    "mask_time",
    "masks_of",
    "norm",
    "picture_norm",
    "plan",
    "pool_time",
    "scatter",
    "statistics",
    "statistics_held",
    "tensorflow_pad",
]
