"""The one shared layer module: weights in, tensors through. All models are built from these."""

from .activation import ACTIVATIONS, MASKS, activation, masks_of
from .attention import PoolAttention2d
from .condition import CONDITIONS, condition
from .conv import PictureConv, TimeConv
from .fisher import fisher_size, fisher_vector
from .gated import GatedConv1d, gate
from .gmm import GMM, Statistics, Subspace, scatter, statistics
from .inverted import InvertedResidual, SqueezeExcite
from .norm import NORMS, ChannelNorm, CumulativeNorm, FixedNorm, GlobalNorm, MaskedBatchNorm, norm
from .pool import POOLS, mask_time, pool_time
from .residual import Bottleneck
from .separable import SeparableConv1d, SeparableConv2d, SpatialSeparableConv2d
from .tcn import SHARING, TCN, Place, TCNCfg, plan

__all__ = [
    "ACTIVATIONS",
    "CONDITIONS",
    "GMM",
    "MASKS",
    "NORMS",
    "POOLS",
    "SHARING",
    "TCN",
    "Bottleneck",
    "ChannelNorm",
    "CumulativeNorm",
    "FixedNorm",
    "GatedConv1d",
    "GlobalNorm",
    "InvertedResidual",
    "MaskedBatchNorm",
    "PictureConv",
    "Place",
    "PoolAttention2d",
    "SeparableConv1d",
    "SeparableConv2d",
    "SpatialSeparableConv2d",
    "SqueezeExcite",
    "Statistics",
    "Subspace",
    "TCNCfg",
    "TimeConv",
    "activation",
    "condition",
    "fisher_size",
    "fisher_vector",
    "gate",
    "mask_time",
    "masks_of",
    "norm",
    "plan",
    "pool_time",
    "scatter",
    "statistics",
]
