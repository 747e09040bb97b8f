"""Weights of a reference network in ours, and the two compared: what the oracle tests share."""

import laws
import torch

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
