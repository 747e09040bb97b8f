"""What a classifier of pictures sees, and what in it speaks for a label.

Drawn is one window of a recording: the one that speaks most for the recording's label. The picture
may have several bands, which the network sees as the colours of one image. So a row of its maps is
the same row of every band, and the map is drawn over all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import doors, files, io
from .classify import Classification, probabilities, window_of
from .given import Array
from .report import check_plot

Floats = NDArray[np.float64]
TICKS = 6  # of the frequency, on every band


@dataclass(frozen=True)
class Seen:
    """One window of a recording.

    Attributes:
        file: the recording.
        start: where the window begins [s].
        samples: of the window [T], at the model's rate.
        label: what is asked about.
        probability: of the label, in this window.
    """

    file: str
    start: float
    samples: Array
    label: str
    probability: float


def check(path: str | Path, net: Any, maps: bool) -> None:
    """Find out whether a picture could be drawn, before anything is measured.

    Raises:
        ValueError: the model sees no picture, or has no maps that add up to its logits; or the
            suffix is no known format, or the folder is not there.
        ImportError: matplotlib is not installed.
    """
    kind = type(net).__name__
    if not hasattr(net, "picture"):
        raise ValueError(
            f"{kind} sees no picture of bands: expected a model that does, "
            "such as the weights esc10"
        )
    if maps and not hasattr(net, "class_maps"):
        raise ValueError(
            f"{kind} has no maps whose means are its logits: expected a model that averages its "
            "last maps before one linear layer, such as the weights esc10"
        )
    check_plot(path)


def look(
    net: Any, result: Classification, window: float | None = None, channel: str | int = "mix"
) -> Seen:
    """The window of a recording that speaks most for its label.

    Args:
        net: the classifier.
        result: what it said of the recording.
        window: length [s]; None for the model's own.
        channel: as for `classify_files`.

    Raises:
        ValueError: the recording is silence.
    """
    if result.label not in net.labels:
        raise ValueError(f"{result.file} is {result.label}: expected a sound to look at")
    seconds, number = window_of(net, window), list(net.labels).index(result.label)
    blocks = io.blocks(result.file, seconds, sample_rate=int(net.sample_rate), channel=channel)
    best: Seen | None = None
    for i, block in enumerate(blocks):
        chance = float(probabilities(net, [block])[0, number])
        if best is None or chance > best.probability:
            best = Seen(result.file, i * seconds, block, result.label, chance)
    assert best is not None
    return best


def maps(net: Any, samples: Array) -> tuple[Floats, Floats]:
    """Class maps [K, F', L'] of samples [T], and the head's biases [K].

    The mean of a class's map and its bias are its logit, as far as the picture decides it.
    """
    import torch

    with torch.inference_mode():
        found = net.class_maps(torch.from_numpy(samples)[None].to(next(net.parameters())))
    return found[0].double().cpu().numpy(), net.head.bias.detach().double().cpu().numpy()


def picture(net: Any, samples: Array) -> Floats:
    """What the network sees of samples [T]: [bands, F, L] in dB; of several channels the first."""
    import torch

    with torch.inference_mode():
        found = net.picture(torch.from_numpy(samples)[None].to(next(net.parameters())))
    return np.asarray(found[0, 0].double().cpu().numpy() * net.cfg.features.unit_db)


def draw(path: str | Path, net: Any, seen: Seen, *, maps: bool = False) -> None:
    """Draw the bands of a window, the highest on top; with `maps` also what speaks for the label.

    Args:
        path: of the picture: .png, .pdf or .svg.
        net: the classifier.
        seen: the window.
        maps: lay the label's map over the bands, in red where it speaks for the label more than
            for the average class, in blue where less; below it, its mean over frequency.

    Raises:
        ValueError: as `check`.
        ImportError: matplotlib is not installed.
    """
    check(path, net, maps)
    bands, cfg = picture(net, seen.samples), net.cfg.features
    rate, n_bands = cfg.sample_rate, len(bands)
    seconds = len(seen.samples) / rate
    centres = net.frontend.centres.reshape(n_bands, -1) / 1000  # [kHz]
    figure = doors.matplotlib().figure.Figure(figsize=(9, 7.5), layout="constrained")
    axes = figure.subplots(
        n_bands + maps, 1, sharex=True, height_ratios=[2] * n_bands + [1] * maps, squeeze=False
    )[:, 0]
    if maps:
        evidence = _resized(_against_mean(net, seen), bands.shape[1:], net.backbone.stride)
        most = max(float(np.abs(evidence).max()), 1e-9)
        shades = {"cmap": "RdBu_r", "vmin": -most, "vmax": most}
    span = (seen.start, seen.start + seconds)
    low, top = np.quantile(bands, [0.02, 1.0])
    pale = 0.8 * (top - low) if maps else 0.0  # so that colours can be seen on the loudest
    for i, (ax, band) in enumerate(zip(axes[:n_bands], bands[::-1], strict=True)):
        own = centres[n_bands - 1 - i]
        grey = "gray_r" if maps else "magma"
        image = ax.imshow(
            band, origin="lower", aspect="auto", cmap=grey, vmin=low, vmax=top + pale,
            interpolation="nearest", extent=(*span, -0.5, len(band) - 0.5),
        )  # fmt: skip
        ends = 0, len(band) - 1
        at = np.linspace(*ends, TICKS)
        ax.set_yticks(at, [f"{k:.2g}" for k in np.interp(at, np.linspace(*ends, len(own)), own)])
        ax.set(ylabel=f"band {n_bands - i} [kHz]" if n_bands > 1 else "frequency [kHz]")
        if maps:
            ax.imshow(  # what says little hides little of the sound
                evidence, origin="lower", aspect="auto", alpha=0.75 * np.abs(evidence) / most,
                extent=image.get_extent(), **shades,
            )  # fmt: skip
    if maps:
        pyplot = doors.matplotlib()
        key = pyplot.cm.ScalarMappable(pyplot.colors.Normalize(-most, most), shades["cmap"])
        figure.colorbar(key, ax=list(axes[:n_bands]), label=f"speaks for {seen.label} [logit]")
        at = seen.start + (np.arange(evidence.shape[1]) + 0.5) * seconds / evidence.shape[1]
        mean = evidence.mean(axis=0)
        for sign, colour in ((1, "#b2182b"), (-1, "#2166ac")):  # the ends of the map's colours
            axes[-1].fill_between(at, np.clip(sign * mean, 0, None) * sign, color=colour)
        axes[-1].axhline(0, color="0.4", linewidth=1)
        axes[-1].set(ylabel="mean [logit]")
    else:
        figure.colorbar(image, ax=list(axes), label="level [dB]")
    axes[-1].set(xlabel="time [s]", xlim=span)
    name = f"{files.name(seen.file)}: {seen.label} {seen.probability:.2f}"
    axes[0].set_title(name, parse_math=False)
    with files.atomic(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _against_mean(net: Any, seen: Seen) -> Floats:
    """The label's map less the mean map of all classes [F', L']: what the softmax looks at."""
    found, _ = maps(net, seen.samples)
    return np.asarray(found[list(net.labels).index(seen.label)] - found.mean(axis=0))


def _resized(found: Floats, shape: tuple[int, ...], stride: int) -> Floats:
    """A map [F', L'] in a picture's size [F, L]; its points lie a stride apart, from 0 on."""
    rows, columns = (np.arange(n) / stride for n in shape)
    wide = np.stack([np.interp(columns, np.arange(found.shape[1]), row) for row in found])
    return np.stack([np.interp(rows, np.arange(len(wide)), column) for column in wide.T], axis=1)
