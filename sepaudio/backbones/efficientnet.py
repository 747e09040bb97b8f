"""EfficientNet B0 to B8: one network, made wider and deeper by two factors.

Source: Tan & Le 2019 (1905.11946), table 1; the factors are those of the authors' code.
"""

from dataclasses import replace

from .inverted import InvertedCfg, inverted, one_kind
from .table import register, scaled

B0 = one_kind(
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)
FACTORS = {  # width, depth, height and width of the picture, dropout
    "b0": (1.0, 1.0, 224, 0.2),
    "b1": (1.0, 1.1, 240, 0.2),
    "b2": (1.1, 1.2, 260, 0.3),
    "b3": (1.2, 1.4, 300, 0.3),
    "b4": (1.4, 1.8, 380, 0.4),
    "b5": (1.6, 2.2, 456, 0.4),
    "b6": (1.8, 2.6, 528, 0.5),
    "b7": (2.0, 3.1, 600, 0.5),
    "b8": (2.2, 3.6, 672, 0.5),
}


def efficientnet(width: float, depth: float, dropout: float) -> InvertedCfg:
    """The network for two factors; every block has squeeze-and-excitation."""
    stages = tuple(tuple(replace(run, squeeze=0.25) for run in stage) for stage in B0)
    plain = InvertedCfg(stages=stages, act="swish", squeeze_act="swish", dropout=dropout)
    cfg: InvertedCfg = scaled(plain, width=width, depth=depth)
    return cfg


# with padding="tensorflow", eps=1e-3 these are the networks of the authors' weights
register(
    InvertedCfg,
    **{
        f"efficientnet_{name}": efficientnet(width, depth, dropout)
        for name, (width, depth, _, dropout) in FACTORS.items()
    },
)(inverted)
