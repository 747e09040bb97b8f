"""The one shared layer module: weights in, tensors through. All models are built from these."""

from .activation import ACTIVATIONS, MASKS, activation, masks_of
from .attention import PoolAttention2d
from .chance import DropConnect, MixedPool, StochasticPool
from .condition import CONDITIONS, condition
from .conv import PictureConv, TimeConv, tensorflow_pad
from .dynamic import DynamicConv, DynamicFilter, position_conv, sample_conv
from .gated import GatedConv1d, gate
from .gmm import GMM, Statistics, Subspace, scatter, statistics
from .inverted import InvertedResidual, SqueezeExcite
from .learned import Highway, Maxout, PiecewiseLinear
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
from .pool import POOLS, mask_time, pool_time
from .pyramid import PreActBottleneck, PyramidConv
from .recurrent import RecurrentConv
from .residual import Bottleneck
from .separable import SeparableConv1d, SeparableConv2d, SpatialSeparableConv2d
from .shuffle import ChannelShuffle, GroupShuffleUnit, SplitShuffleUnit, channel_shuffle
from .tcn import SHARING, TCN, Place, TCNCfg, plan
from .unit import ORDERS, ConvUnit

__all__ = [
    "ACTIVATIONS",
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
    "ChannelNorm",
    "ChannelShuffle",
    "ConvUnit",
    "CumulativeNorm",
    "DropConnect",
    "DynamicConv",
    "DynamicFilter",
    "FixedNorm",
    "GatedConv1d",
    "GlobalNorm",
    "GroupShuffleUnit",
    "Highway",
    "InvertedResidual",
    "MaskedBatchNorm",
    "Maxout",
    "MixedPool",
    "PictureChannelNorm",
    "PictureConv",
    "PiecewiseLinear",
    "Place",
    "PoolAttention2d",
    "PreActBottleneck",
    "PyramidConv",
    "RecurrentConv",
    "SeparableConv1d",
    "SeparableConv2d",
    "SpatialSeparableConv2d",
    "SplitShuffleUnit",
    "SqueezeExcite",
    "Statistics",
    "StochasticPool",
    "Subspace",
    "TCNCfg",
    "TimeConv",
    "activation",
    "channel_shuffle",
    "condition",
    "gate",
    "mask_time",
    "masks_of",
    "norm",
    "picture_norm",
    "plan",
    "pool_time",
    "position_conv",
    "sample_conv",
    "scatter",
    "statistics",
    "tensorflow_pad",
]
