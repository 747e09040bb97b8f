"""The one shared layer module: weights in, tensors through. All models are built from these."""

from .activation import ACTIVATIONS, MASKS, activation, masks_of
from .attention import PoolAttention2d
from .boxes import overlap, suppress
from .branches import COMBINES, Branches, SameMaxPool, WindowMeans
from .bytenet import ByteNetBlock, ByteNetCfg, ByteNetStack
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
from .hyperlstm import HyperLSTM, HyperLSTMCfg, HyperLSTMStack, HyperRNN
from .inverted import InvertedResidual, SqueezeExcite
from .learned import Highway, Maxout, PiecewiseLinear
from .masked import GatedPair, MaskedBlock, MaskedConv2d
from .neck import FPN
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
from .pool import POOLS, mask_time, pool_statistics, pool_time, vote_time
from .pyramid import PreActBottleneck, PyramidConv
from .recurrent import RecurrentConv
from .regularise import DropPath, LayerScale, drop_rates
from .residual import ORDERINGS, Conv, PadShortcut, Residual, Summed, basic, bottleneck, residual
from .reversible import Reversible
from .roi import psroi_align, roi_align
from .rpn import RPN, ProposalCfg
from .scaled import GAINS, Scale, ScaledConv
from .selfattention import AttentionCfg, AttentionStack, PictureAttention, SelfAttention
from .separable import SeparableConv1d, SeparableConv2d, SpatialSeparableConv2d
from .shape import DualAttention, ShapeGate, SpatialGate, ridges
from .shuffle import ChannelShuffle, GroupShuffleUnit, SplitShuffleUnit, channel_shuffle
from .skip import Around, doubling, fitted
from .slices import (
    ConvStep,
    SliceAttention,
    SliceCfg,
    SliceModule,
    SliceStack,
    attend,
    timing,
)
from .tcn import SHARING, TCN, Place, TCNCfg, plan
from .tokens import greedy, shifted
from .unit import ORDERS, ConvUnit

__all__ = [
    "ACTIVATIONS",
    "COMBINES",
    "CONDITIONS",
    "FPN",
    "GAINS",
    "GMM",
    "MASKS",
    "NORMS",
    "ORDERINGS",
    "ORDERS",
    "PICTURE_NORMS",
    "POOLS",
    "RPN",
    "SHARING",
    "TCN",
    "Around",
    "AttentionCfg",
    "AttentionStack",
    "Branches",
    "ByteNetBlock",
    "ByteNetCfg",
    "ByteNetStack",
    "ChannelNorm",
    "ChannelShuffle",
    "Choice",
    "Conv",
    "ConvStep",
    "ConvUnit",
    "CrossStage",
    "CumulativeNorm",
    "DenseStack",
    "DropConnect",
    "DropPath",
    "DualAttention",
    "DynamicConv",
    "DynamicFilter",
    "FixedNorm",
    "FractalBlock",
    "FractalPaths",
    "FrozenSum",
    "GatedConv1d",
    "GatedPair",
    "GlobalNorm",
    "GroupShuffleUnit",
    "Highway",
    "HyperConv",
    "HyperLSTM",
    "HyperLSTMCfg",
    "HyperLSTMStack",
    "HyperRNN",
    "InvertedResidual",
    "KernelGenerator",
    "LayerScale",
    "MaskedBatchNorm",
    "MaskedBlock",
    "MaskedConv2d",
    "Maxout",
    "MixedPool",
    "PadShortcut",
    "PictureAttention",
    "PictureChannelNorm",
    "PictureConv",
    "PiecewiseLinear",
    "Place",
    "PolyUnit",
    "PoolAttention2d",
    "PreActBottleneck",
    "ProposalCfg",
    "PyramidConv",
    "RecurrentConv",
    "Residual",
    "Reversible",
    "SameMaxPool",
    "Scale",
    "ScaledConv",
    "SelfAttention",
    "SeparableConv1d",
    "SeparableConv2d",
    "ShapeGate",
    "SliceAttention",
    "SliceCfg",
    "SliceModule",
    "SliceStack",
    "SpatialGate",
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
    "attend",
    "basic",
    "bottleneck",
    "channel_shuffle",
    "choices",
    "condition",
    "convolve",
    "doubling",
    "drop_rates",
    "fisher_size",
    "fisher_vector",
    "fitted",
    "gate",
    "greedy",
    "mask_time",
    "masks_of",
    "norm",
    "overlap",
    "picture_norm",
    "plan",
    "pool_statistics",
    "pool_time",
    "position_conv",
    "psroi_align",
    "residual",
    "ridges",
    "roi_align",
    "sample_conv",
    "scatter",
    "shifted",
    "statistics",
    "statistics_held",
    "suppress",
    "tensorflow_pad",
    "timing",
    "vote_time",
]
