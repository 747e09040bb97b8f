"""Small networks of separable convolutions for sound.

The map, in the order in which it reads best:

- `context`: what lies around the samples at hand; one forward for whole signals and streams
- `layers`: the one shared layer module; `frontends`: waveform to representation
- `backbones`, `models`: one family, one paper a file; `registry`: a name is a cfg
- `hub`: a trained model is a folder; `streaming`: audio in pieces
- `convert`: weights of other packages to models of ours
- `io`: the only room that touches audio files; `doors`: imports that need care
- `verbs`: what the command line does, as functions on arrays; `cli`: the command line
- `data`, `training`, `losses`, `metrics`: manifests and mixtures, recipes and runs, figures

Nothing here imports torch until it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .hub import load, load_embedding, save, save_embedding, weights
    from .registry import config, create, names
    from .streaming import Streamer
    from .verbs.classify import classify, classify_files
    from .verbs.doctor import doctor
    from .verbs.enroll import enroll, enroll_files
    from .verbs.evaluate import evaluate
    from .verbs.evaluate_audio import evaluate_audio
    from .verbs.evaluate_labels import evaluate_labels
    from .verbs.evaluate_mixtures import evaluate_mixtures
    from .verbs.prepare import prepare_ivector
    from .verbs.profile import profile
    from .verbs.segment import SegmentCfg, segment, segment_files
    from .verbs.separate import extract, separate
    from .verbs.train import train

__version__ = "0.1.0"

_HOME = {
    "classify": "verbs.classify",
    "classify_files": "verbs.classify",
    "config": "registry",
    "create": "registry",
    "doctor": "verbs.doctor",
    "extract": "verbs.separate",
    "enroll": "verbs.enroll",
    "enroll_files": "verbs.enroll",
    "evaluate": "verbs.evaluate",
    "evaluate_audio": "verbs.evaluate_audio",
    "evaluate_labels": "verbs.evaluate_labels",
    "evaluate_mixtures": "verbs.evaluate_mixtures",
    "load": "hub",
    "load_embedding": "hub",
    "names": "registry",
    "prepare_ivector": "verbs.prepare",
    "profile": "verbs.profile",
    "save": "hub",
    "segment": "verbs.segment",
    "segment_files": "verbs.segment",
    "SegmentCfg": "verbs.segment",
    "separate": "verbs.separate",
    "save_embedding": "hub",
    "Streamer": "streaming",
    "train": "verbs.train",
    "weights": "hub",
}

__all__ = [
    "SegmentCfg",
    "Streamer",
    "__version__",
    "classify",
    "classify_files",
    "config",
    "create",
    "doctor",
    "enroll",
    "enroll_files",
    "evaluate",
    "evaluate_audio",
    "evaluate_labels",
    "evaluate_mixtures",
    "extract",
    "load",
    "load_embedding",
    "names",
    "prepare_ivector",
    "profile",
    "save",
    "save_embedding",
    "segment",
    "segment_files",
    "separate",
    "train",
    "weights",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
