"""A published network with random weights, ours with the same, and whether they say the same."""

import laws
import torch
from torch import nn

from sepaudio.convert.ordered import in_order


def drawn(make, seed=1):
    """A network whose weights, norms and statistics are random and hide no branch.

    It is made without memory and filled then: published networks draw their first weights slowly.
    """
    with torch.device("meta"):
        net = make()
    net = net.double().to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(seed)
    for name, value in net.state_dict().items():
        if not value.is_floating_point():
            value.zero_()
            continue
        value.uniform_(generator=generator)
        if value.ndim > 1:  # keeps the variance through a ReLU
            value.sub_(0.5).mul_((24 / value[0].numel()) ** 0.5)
        elif name.endswith(("bias", "running_mean")):
            value.sub_(0.5).mul_(0.2)
        else:
            value.add_(0.5)
    return net


def ported(theirs, make):
    """Ours, with their very tensors."""
    with torch.device("meta"):
        ours = make().eval()
    ours.load_state_dict(in_order(theirs.state_dict(), ours), assign=True)
    return ours


def same(theirs, ours, *size, doubled=1e-10, single=1e-5):
    """Logits of both at one size, in float64 and in float32."""
    x = laws.noise(1, *size)
    with torch.no_grad():
        laws.close(ours(x), theirs(x), doubled)
        theirs.float(), ours.float()
        laws.close(ours(x.float()), theirs(x.float()), single)


def pooled(net, *path):
    """A published network that takes one size only, made to take any by a mean over the picture."""
    *way, last = path
    for name in way:
        net = getattr(net, name)
    setattr(net, last, nn.AdaptiveAvgPool2d(1))
