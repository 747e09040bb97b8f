"""Waveform to representation, and back where it can be inverted."""

from .bands import Bands, BandsCfg, bands_cfg
from .fbsp import FBSP, norm_penalty
from .filterbank import (
    FILTERS,
    PADS,
    Decoder,
    Encoder,
    as_channels,
    filterbank,
    fourier_filters,
    free_filters,
    loudness,
    reach,
)
from .ivector import POOLING, IVector, IVectorCfg
from .kaldi import (
    KaldiCfg,
    KaldiMFCC,
    kaldi_cfg,
    kaldi_deltas,
    subtract_sliding_mean,
    voiced_frames,
)
from .mel import MFCC, PRESETS, Deltas, LogMel, MelCfg, deltas, mel_cfg, mel_filters
from .pair import PairCfg, SpeakerPair, cosines, followed, parts_of
from .picture import DeltaMFCC
from .speaker import Embedding, SpeakerCfg, SpeakerEncoder, fingerprint, vectors
from .stft import STFT, WINDOWS

__all__ = [
    "FBSP",
    "FILTERS",
    "MFCC",
    "PADS",
    "POOLING",
    "PRESETS",
    "STFT",
    "WINDOWS",
    "Bands",
    "BandsCfg",
    "Decoder",
    "DeltaMFCC",
    "Deltas",
    "Embedding",
    "Encoder",
    "IVector",
    "IVectorCfg",
    "KaldiCfg",
    "KaldiMFCC",
    "LogMel",
    "MelCfg",
    "PairCfg",
    "SpeakerCfg",
    "SpeakerEncoder",
    "SpeakerPair",
    "as_channels",
    "bands_cfg",
    "cosines",
    "deltas",
    "filterbank",
    "fingerprint",
    "followed",
    "fourier_filters",
    "free_filters",
    "kaldi_cfg",
    "kaldi_deltas",
    "loudness",
    "mel_cfg",
    "mel_filters",
    "norm_penalty",
    "parts_of",
    "reach",
    "subtract_sliding_mean",
    "vectors",
    "voiced_frames",
]
