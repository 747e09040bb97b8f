"""Figures of merit: of classifiers, of signals, by named libraries, and the doubt left over."""

from .classification import (
    accuracy,
    balanced_accuracy,
    calibration_error,
    confusion,
    f1_scores,
    recalls,
)
from .intervals import Comparison, bootstrap, compare, mean_interval
from .named import museval_sdr, pesq, sdr, stoi
from .signal import improvement, level, si_sdr, si_snr, silent, snr, wrong_source

__all__ = [
    "Comparison",
    "accuracy",
    "balanced_accuracy",
    "bootstrap",
    "calibration_error",
    "compare",
    "confusion",
    "f1_scores",
    "improvement",
    "level",
    "mean_interval",
    "museval_sdr",
    "pesq",
    "recalls",
    "sdr",
    "si_sdr",
    "si_snr",
    "silent",
    "snr",
    "stoi",
    "wrong_source",
]
