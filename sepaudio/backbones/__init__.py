"""Image classifiers that hear: picture [B, C, F, L] -> features [B, D, F', L'], or classes.

A network is data: a cfg of stages, given to a builder of its family, one family a file. `names`
lists them; `backbone(name, in_channels, multiplier)` builds one. `timm:NAME` is one of timm's.
"""

from .network import LinearHead, Network, companions, he_init
from .table import backbone, build, config, names, scaled

__all__ = [
    "LinearHead",
    "Network",
    "backbone",
    "build",
    "companions",
    "config",
    "he_init",
    "names",
    "scaled",
]
