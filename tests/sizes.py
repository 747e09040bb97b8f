"""Parameters and multiply-adds of networks that are never given memory."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from sepaudio.backbones import backbone


def meta(name, *args, **kwargs):
    """A backbone on the device without memory, for inference."""
    with torch.device("meta"):
        return backbone(name, *args, **kwargs).eval()


def parameters(net):
    """How many numbers are learned."""
    return sum(p.numel() for p in net.parameters())


def macs(net, *shape):
    """Multiply-adds for one picture of that shape."""
    with FlopCounterMode(display=False) as counter:
        net(torch.empty(1, *shape, device="meta"))
    return counter.get_total_flops() // 2
