"""A small trunk of inverted residuals in the form of MobileNet v3, in four stages as ResNet's.

916,784 parameters, so that a million holds it with ESResNet's attention and 50 classes; 461
million multiply-adds for a picture of 3x341x394.

Source: Howard et al. 2019 (1905.02244), section 5, whose rules it follows: ReLU where maps are
large, h-swish and squeeze-and-excitation where they are small.
"""

from .inverted import Blocks, InvertedCfg, inverted, runs
from .table import register

STAGES = runs(
    (3, 3, 24, 2, 1, 0, "relu"),
    (5, 4, 48, 1, 2, 1 / 3, "hard_swish"),
    (5, 3, 48, 2, 1, 1 / 3, "hard_swish"),
    (3, 6, 96, 1, 2, 1 / 4, "hard_swish"),
    (3, 3, 96, 3, 1, 1 / 4, "hard_swish"),
    (5, 5, 160, 1, 2, 1 / 5, "hard_swish"),
    (5, 3, 160, 2, 1, 1 / 5, "hard_swish"),
)
register(
    InvertedCfg,
    separable=InvertedCfg(
        stem=16,
        stem_blocks=(Blocks(channels=24, stride=2, expand=3, act="relu"),),
        stages=STAGES,
        last=0,
        act="hard_swish",
        squeeze_of="output",
        squeeze_by=8,
        gate="hard_sigmoid",
    ),
)(inverted)
