"""Waveform to representation, and back where it can be inverted."""

from .filterbank import PADS, Decoder, Encoder, as_channels, free_filters, reach
from .mel import MFCC, PRESETS, Deltas, LogMel, MelCfg, deltas, mel_cfg, mel_filters
from .speaker import Embedding, SpeakerCfg, SpeakerEncoder, fingerprint, vectors
from .stft import STFT, WINDOWS

__all__ = [
    "MFCC",
    "PADS",
    "PRESETS",
    "STFT",
    "WINDOWS",
    "Decoder",
    "Deltas",
    "Embedding",
    "Encoder",
    "LogMel",
    "MelCfg",
    "SpeakerCfg",
    "SpeakerEncoder",
    "as_channels",
    "deltas",
    "fingerprint",
    "free_filters",
    "mel_cfg",
    "mel_filters",
    "reach",
    "vectors",
]
