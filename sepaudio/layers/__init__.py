"""The one shared layer module: weights in, tensors through. All models are built from these."""

from .activation import ACTIVATIONS, MASKS, activation, masks_of
from .attention import PoolAttention2d
from .branches import COMBINES, Branches, SameMaxPool, WindowMeans
from .chance import DropConnect, MixedPool, StochasticPool
from .choice import Choice, choices
from .condition import CONDITIONS, condition
from .conv import PictureConv, TimeConv, convolve, tensorflow_pad
from .dense import DenseStack, statistics_held
from .dynamic import DynamicConv, DynamicFilter, position_conv, sample_conv
from .fisher import fisher_size, fisher_vector
from .fractal import FractalBlock, FractalPaths, FrozenSum
from .gated import GatedConv1d, gate
from .gmm import GMM, Statistics, Subspace, scatter, statistics
from .hyper import HyperConv, KernelGenerator
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
from .partial import CrossStage
from .poly import PolyUnit
from .pool import POOLS, mask_time, pool_time
from .pyramid import PreActBottleneck, PyramidConv
from .recurrent import RecurrentConv
from .regularise import DropPath, LayerScale, drop_rates
from .residual import ORDERINGS, Conv, PadShortcut, Residual, Summed, basic, bottleneck, residual
from .reversible import Reversible
from .scaled import GAINS, Scale, ScaledConv
from .separable import SeparableConv1d, SeparableConv2d, SpatialSeparableConv2d
from .shuffle import ChannelShuffle, GroupShuffleUnit, SplitShuffleUnit, channel_shuffle
from .tcn import SHARING, TCN, Place, TCNCfg, plan
from .unit import ORDERS, ConvUnit

__all__ = [
    "ACTIVATIONS",
    "COMBINES",
    "CONDITIONS",
    "GAINS",
    "GMM",
    "MASKS",
    "NORMS",
    "ORDERINGS",
    "ORDERS",
    "PICTURE_NORMS",
    "POOLS",
    "SHARING",
    "TCN",
    "Branches",
    "ChannelNorm",
    "ChannelShuffle",
    "Choice",
    "Conv",
    "ConvUnit",
    "CrossStage",
    "CumulativeNorm",
    "DenseStack",
    "DropConnect",
    "DropPath",
    "DynamicConv",
    "DynamicFilter",
    "FixedNorm",
    "FractalBlock",
    "FractalPaths",
    "FrozenSum",
    "GatedConv1d",
    "GlobalNorm",
    "GroupShuffleUnit",
    "Highway",
    "HyperConv",
    "InvertedResidual",
    "KernelGenerator",
    "LayerScale",
    "MaskedBatchNorm",
    "Maxout",
    "MixedPool",
    "PadShortcut",
    "PictureChannelNorm",
    "PictureConv",
    "PiecewiseLinear",
    "Place",
    "PolyUnit",
    "PoolAttention2d",
    "PreActBottleneck",
    "PyramidConv",
    "RecurrentConv",
    "Residual",
    "Reversible",
    "SameMaxPool",
    "Scale",
    "ScaledConv",
    "SeparableConv1d",
    "SeparableConv2d",
    "SpatialSeparableConv2d",
    "SplitShuffleUnit",
    "SqueezeExcite",
    "Statistics",
    "StochasticPool",
    "Subspace",
    "Summed",
    "TCNCfg",
    "TimeConv",
    "WindowMeans",
    "activation",
    "basic",
    "bottleneck",
    "channel_shuffle",
    "choices",
    "condition",
    "convolve",
    "drop_rates",
    "fisher_size",
    "fisher_vector",
    "gate",
    "mask_time",
    "masks_of",
    "norm",
    "picture_norm",
    "plan",
    "pool_time",
    "position_conv",
    "residual",
    "sample_conv",
    "scatter",
    "statistics",
    "statistics_held",
    "tensorflow_pad",
]
