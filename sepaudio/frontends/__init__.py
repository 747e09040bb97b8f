"""Waveform to representation, and back where it can be inverted."""

from .mel import MFCC, PRESETS, Deltas, LogMel, MelCfg, deltas, mel_cfg, mel_filters
from .stft import STFT, WINDOWS

__all__ = [
    "MFCC",
    "PRESETS",
    "STFT",
    "WINDOWS",
    "Deltas",
    "LogMel",
    "MelCfg",
    "deltas",
    "mel_cfg",
    "mel_filters",
]
