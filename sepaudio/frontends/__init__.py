"""Waveform to representation, and back where it can be inverted."""

from .bands import Bands, BandsCfg, bands_cfg
from .fbsp import FBSP, norm_penalty
from .mel import MFCC, PRESETS, Deltas, LogMel, MelCfg, deltas, mel_cfg, mel_filters
from .picture import DeltaMFCC
from .stft import STFT, WINDOWS

__all__ = [
    "FBSP",
    "MFCC",
    "PRESETS",
    "STFT",
    "WINDOWS",
    "Bands",
    "BandsCfg",
    "DeltaMFCC",
    "Deltas",
    "LogMel",
    "MelCfg",
    "bands_cfg",
    "deltas",
    "mel_cfg",
    "mel_filters",
    "norm_penalty",
]
