"""Image classifiers that hear: picture [B, C, F, L] -> features [B, D, F', L'], or classes.

A network is data: a cfg of stages, given to a builder of its family, one family a file. `names`
lists them; `backbone(name, in_channels, multiplier)` builds one. `timm:NAME` is one of timm's.

`detector` builds networks that tell boxes instead: `detector(name, n_classes=K).detect(picture)`.
"""

from .detectors import detector, detector_names
from .inverted import InvertedCfg
from .network import LinearHead, Network, Together, companions, he_init
from .table import backbone, build, config, names, scaled

__all__ = [
    "InvertedCfg",
    "LinearHead",
    "Network",
    "Together",
    "backbone",
    "build",
    "companions",
    "config",
    "detector",
    "detector_names",
    "he_init",
    "names",
    "scaled",
]
