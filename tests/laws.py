"""Laws that hold for every block or model, as functions that raise AssertionError.

Each law has a test of its own that it can fail (test_laws.py). Tolerances are relative to the
deviation of what is compared: 1e-12 in float64, 1e-5 in float32.
"""

import torch

from sepaudio.context import Stream
from sepaudio.streaming import Streamer

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}


def noise(*shape, dtype=torch.float64, device="cpu", seed=0):
    """Seeded Gaussian noise."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(device, dtype)


def perturbed(net, seed=1):
    """Weights, norms and statistics that hide no branch: published ones start some at zero.

    Vectors come near one where they scale (weights and variances of norms, gains), near zero
    elsewhere; larger tensors move by a part of their deviation.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if not value.is_floating_point():
                continue
            drawn = torch.rand(value.shape, generator=generator, dtype=torch.float64).to(value)
            if value.squeeze().ndim > 1:  # a gain may be [C, 1, 1, 1]
                value.add_(0.5 * value.std() * (drawn - 0.5))
            elif name.endswith(("bias", "running_mean")):
                value.copy_(0.2 * (drawn - 0.5))
            else:
                value.copy_(0.5 + drawn)
    return net


def close(a, b, tolerance=None):
    """Equal shapes, and values equal to a share of their deviation."""
    assert a.shape == b.shape, f"{list(a.shape)} and {list(b.shape)} differ"
    scale = b.std().item() if b.numel() > 1 else b.abs().max().item()
    worst = (a - b).abs().max().item() if b.numel() else 0.0
    allowed = TOLERANCE[b.dtype] if tolerance is None else tolerance
    assert worst <= allowed * max(scale, 1e-30), f"off by {worst / max(scale, 1e-30):.2e}"


def chunks(total, sizes):
    """Lengths out of `sizes`, in turn, that add up to total."""
    while total > 0:
        for size in sizes:
            size = min(size, total)
            yield size
            total -= size
            if total == 0:
                return


def streams_like_whole(model, waveform, sizes, tolerance=None, given=()):
    """All chunks of a model's stream, and its end, are what the whole signal gives."""
    with torch.no_grad():
        whole = model(waveform, *given)
    stream = Streamer(model, *given)
    heard = [stream.feed(x) for x in waveform.split(list(chunks(waveform.shape[-1], sizes)), -1)]
    close(torch.cat([*heard, stream.flush()], dim=-1), whole, tolerance)


def block_streams_like_whole(block, x, sizes, tolerance=None):
    """The same for a block called as block(x, context), without look-ahead."""
    with torch.no_grad():
        whole = block(x)
        stream = Stream()
        heard = [block(c, context=stream) for c in x.split(list(chunks(x.shape[-1], sizes)), -1)]
    close(torch.cat(heard, dim=-1), whole, tolerance)


def changed_frames(run, x, now, axis=-1, seed=1):
    """Indices along the last axis of run(x) that move when x moves at `now`."""
    other = x.clone()
    other[..., now] += noise(*other[..., now].shape, dtype=x.dtype, device=x.device, seed=seed)
    with torch.no_grad():
        moved = (run(other) - run(x)).abs()
    moved = moved.flatten(0, -2).amax(dim=0)
    return torch.nonzero(moved > 0).flatten().tolist()


def reaches(run, x, frame):
    """First and last index of x that output `frame` depends on, by gradient."""
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(run(x)[..., frame].sum(), x)
    felt = torch.nonzero(gradient.flatten(0, -2).abs().sum(dim=0)).flatten()
    return felt[0].item(), felt[-1].item()


def every_parameter_learns(model, output, dead=()):
    """A gradient reaches every parameter but those that are declared dead."""
    model.zero_grad()
    output.square().sum().backward()
    idle = {
        name
        for name, p in model.named_parameters()
        if p.grad is None or not torch.isfinite(p.grad).all() or not p.grad.abs().sum() > 0
    }
    assert idle == set(dead), f"no gradient at {sorted(idle)}, declared dead: {sorted(dead)}"
