"""Weights of a reference network in ours, and the two compared: what the oracle tests share."""

import laws
import torch
from torch import nn

from sepaudio import doors
from sepaudio.backbones import backbone
from sepaudio.convert.ordered import in_order


def last(state, *parts):
    """The same tensors, those of a part of a block after all others of that block.

    Published networks define some parts, such as shortcuts, before the branch that ours has first.
    """
    names, place = list(state), {}
    for n, name in enumerate(names):
        place[name] = (n, 0)
        for turn, part in enumerate(parts, 1):
            before, found, _ = name.partition(f".{part}")
            if found:
                mates = [m for m, mate in enumerate(names) if mate.startswith(f"{before}.")]
                place[name] = (max(mates), turn)
    return {name: state[name] for name in sorted(names, key=place.__getitem__)}


def counted(name, **changes):
    """Parameters of ours with a thousand classes, without numbers."""
    with torch.device("meta"):
        net = backbone(name, **{"n_classes": 1000} | changes)
    return sum(p.numel() for p in net.parameters())


def both(theirs, ours, *parts):
    """Two networks of the same perturbed weights, for inference."""
    theirs = laws.perturbed(theirs.eval())
    ours = ours.eval()
    ours.load_state_dict(in_order(last(theirs.state_dict(), *parts), ours))
    return theirs, ours


def equal(theirs, name, *parts, size=(65, 97), n_classes=10, **changes):
    """Logits of ours are those of a reference, in both precisions, at a size that is not square.

    Args:
        theirs: timm's name of the reference, or the reference itself.
        name: of ours.
        parts: of a block, which ours defines last; see `last`.
        size: of the picture.
        n_classes: of both.
        changes: of our cfg.
    """
    if isinstance(theirs, str):
        theirs = doors.timm().create_model(theirs, num_classes=n_classes)
    theirs, ours = both(theirs, backbone(name, n_classes=n_classes, **changes), *parts)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-10)):
        x = laws.noise(2, 3, *size, dtype=dtype)
        with torch.no_grad():
            laws.close(ours.to(dtype)(x), theirs.to(dtype)(x), tolerance)


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
