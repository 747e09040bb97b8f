"""The inverted residual block of MobileNet v2 and v3, and squeeze-and-excitation.

Sources: Sandler et al. 2018 (1801.04381), figure 4; Howard et al. 2019 (1905.02244), figure 4;
Hu et al. 2017 (1709.01507), section 3.
"""

from torch import Tensor, nn

from .activation import activation
from .conv import PictureConv
from .norm import MaskedBatchNorm
from .regularise import DropPath
from .shuffle import ChannelShuffle


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate that is made of the means of all channels.

    Args:
        channels: channels in and out.
        inner: channels between the two linear layers.
        act: activation between them.
        gate: activation after them; "sigmoid" in the paper, "hard_sigmoid" in MobileNet v3.
    """

    def __init__(self, channels: int, inner: int, act: str = "relu", gate: str = "sigmoid"):
        super().__init__()
        self.squeeze = nn.Linear(channels, inner)
        self.act = activation(act)
        self.excite = nn.Linear(inner, channels)
        self.gate = activation(gate)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C, F, L]."""
        mean = x.mean(dim=(2, 3))  # [B, C]
        y: Tensor = x * self.gate(self.excite(self.act(self.squeeze(mean))))[:, :, None, None]
        return y


class InvertedResidual(nn.Module):
    """1x1 to `hidden` channels, depthwise k x k, excitation, 1x1 to `out_channels`, plus input.

    Each convolution has a batch norm, each but the last an activation. The input is added where
    the block changes no shape. Without a first 1x1 where `hidden` is `in_channels`.

    Args:
        in_channels: channels in.
        hidden: channels of the depthwise convolution.
        out_channels: channels out.
        kernel_size: (frequency, time) or one number; odd.
        stride: of the depthwise convolution.
        act: name of the activation; "relu6" is MobileNet v2.
        squeeze: inner channels of the squeeze-and-excitation; 0 for none.
        gate: its gate.
        squeeze_act: activation inside it.
        groups: of both 1x1 convolutions, shuffled after the first, as FBNet has them.
        always: a first 1x1 even where it does not widen, as FBNet has it.
        eps: of the norms.
        padding: see `PictureConv`.
        drop: of what is added to the input, see `DropPath`; EfficientNet's drop-connect.
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 3,
        stride: int = 1,
        *,
        act: str = "relu6",
        squeeze: int = 0,
        gate: str = "hard_sigmoid",
        squeeze_act: str = "relu",
        groups: int = 1,
        always: bool = False,
        eps: float = 1e-5,
        padding: str = "same",
        drop: DropPath | None = None,
    ):
        super().__init__()
        self.drop = drop or DropPath()
        self.adds = stride == 1 and in_channels == out_channels
        self.expand: nn.Module = nn.Identity()
        if hidden != in_channels or always:
            self.expand = nn.Sequential(
                nn.Conv2d(in_channels, hidden, 1, groups=groups, bias=False),
                MaskedBatchNorm(hidden, eps),
                activation(act),
                *([ChannelShuffle(groups)] if groups > 1 else []),
            )
        self.depthwise = PictureConv(
            hidden, hidden, kernel_size, stride, groups=hidden, bias=False, padding=padding
        )
        self.depthwise_norm = MaskedBatchNorm(hidden, eps)
        self.act = activation(act)
        self.excitation = (
            SqueezeExcite(hidden, squeeze, squeeze_act, gate=gate) if squeeze else None
        )
        self.project = nn.Conv2d(hidden, out_channels, 1, groups=groups, bias=False)
        self.project_norm = MaskedBatchNorm(out_channels, eps)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C', F', L']."""
        return self.narrowed(self.expand(x), x)

    def narrowed(self, hidden: Tensor, x: Tensor) -> Tensor:
        """What `expand` made of x, [B, H, F, L], and x [B, C, F, L] -> [B, C', F', L']."""
        y = self.act(self.depthwise_norm(self.depthwise(hidden)))
        if self.excitation is not None:
            y = self.excitation(y)
        y = self.project_norm(self.project(y))
        total: Tensor = x + self.drop(y) if self.adds else y
        return total
