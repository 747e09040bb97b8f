"""FBNet A, B and C, whose blocks a search chose one by one.

Source: Wu et al. 2018 (1812.03443), table 2 and figure 4.

Differs: B has 4.81 M parameters, not the published 4.5 M; its multiply-adds agree.
"""

from .inverted import Blocks, InvertedCfg, Stages, inverted
from .table import register

WIDTHS, STRIDES = (16, 24, 32, 64, 112, 184, 352), (1, 2, 2, 2, 1, 2, 1)
# a row is a stage; a word is a block: kernel, expansion and, where it is not 1, groups; - is none
A = """
-
33 31 - -
56 33 51 33
56 53 512 56
36 512 53 312
56 56 53 56
56
"""
B = """
31
36 51 31 31
56 53 36 56
56 51 - 53
56 31 51 53
56 51 56 56
36
"""
C = """
31
36 - 31 31
56 53 56 36
56 53 56 56
56 56 56 53
56 56 56 56
36
"""


def stages(text: str) -> Stages:
    """The stages that rows of words stand for."""
    made = []
    for row, channels, stride in zip(text.split("\n")[1:-1], WIDTHS, STRIDES, strict=True):
        words = [word for word in row.split() if word != "-"]
        kinds = [(int(w[0]), int(w[1]), int(w[2:] or 1)) for w in words]
        made.append(
            tuple(
                Blocks(channels=channels, stride=1 if n else stride, kernel=k, expand=e, groups=g)
                for n, (k, e, g) in enumerate(kinds)
            )
        )
    return tuple(made)


register(
    InvertedCfg,
    fbnet_a=InvertedCfg(stem=16, stages=stages(A), last=1504, always=True),
    fbnet_b=InvertedCfg(stem=16, stages=stages(B), last=1984, always=True),
    fbnet_c=InvertedCfg(stem=16, stages=stages(C), last=1984, always=True),
)(inverted)
