"""Losses: differentiable, lower is better; those of separation and extraction in dB but one.

What they give where a signal is silent stands in the table of `metrics.signal`, with the sign
turned. All are finite with finite gradients there, and for a single sample. A source that is silent
still pulls its estimate towards silence; a silent estimate of one that is not gets no gradient from
the scale-invariant losses, which know no direction there, and one from `neg_snr`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import permutations

import torch
import torch.nn.functional as F
from torch import Tensor

from .layers import mask_time
from .metrics.signal import EPS, FLOOR, SILENT

TRIED = 4  # sources; from five on, Hungarian assignment is faster than all 120 orders
FAINTEST = 1e-4  # magnitude in a spectrum; what is below counts as this
FAINT = 10 ** (-45 / 20)  # of a mixture: what is left of it where the enrolled speaker is absent
_KNOWN: dict[tuple[int, torch.device], Tensor] = {}  # see `_orders`
Pairwise = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def neg_si_snr(estimate: Tensor, source: Tensor, lengths: Tensor | None = None) -> Tensor:
    """estimate, source [B, ..., T], lengths [B] -> -SI-SNR [B, ...] in dB, -120 to 120.

    The means are removed first; the target is the source scaled to fit the estimate best.

    Source: Luo & Mesgarani 2019 (1809.07454), eq. 7 and 8.
    """
    estimate, source = _fitting(estimate, source, lengths)
    return _scale_invariant(_centred(estimate, lengths), _centred(source, lengths))


def neg_si_sdr(estimate: Tensor, source: Tensor, lengths: Tensor | None = None) -> Tensor:
    """The same without removing the means: Le Roux et al. 2018 (1811.02508), eq. 3."""
    return _scale_invariant(*_fitting(estimate, source, lengths))


def neg_snr(estimate: Tensor, source: Tensor, lengths: Tensor | None = None) -> Tensor:
    """estimate, source [B, ..., T], lengths [B] -> -SNR [B, ...] in dB: the level counts too."""
    estimate, source = _fitting(estimate, source, lengths)
    power = _energy(source)
    silent = power <= SILENT
    power = power.masked_fill(silent, 1)
    ratio = 10 * torch.log10((_energy(estimate - source) / power).clamp_min(FLOOR))
    return torch.where(silent, _loudness(estimate), ratio)


def thresholded(loss: Pairwise, best: float = 30.0) -> Pairwise:
    """A loss in dB that stops rewarding estimates beyond `best` dB, by a soft maximum.

    With 30 dB a loss of -30 becomes -27, one of 0 stays, and -30 is never passed: what is nearly
    perfect no longer takes the gradient from what is not.

    Source: Wisdom et al. 2020 (2006.12701), eq. 2, for the SNR.
    """
    unit = math.log(10) / 10

    def soft(estimate: Tensor, source: Tensor, lengths: Tensor | None = None) -> Tensor:
        value = loss(estimate, source, lengths) * unit
        return torch.logaddexp(value, torch.full_like(value, -best * unit)) / unit

    return soft


def multi_resolution_stft(
    estimate: Tensor,
    source: Tensor,
    lengths: Tensor | None = None,
    sizes: Sequence[int] = (512, 1024, 2048),
) -> Tensor:
    """estimate, source [B, ..., T], lengths [B] -> distance of magnitudes [B, ...], from 0.

    Spectral convergence plus the mean difference of the log-magnitudes, averaged over Hann windows
    of several `sizes` [samples] at a quarter's step; silence lies on both sides of the signals.
    Where the source is silent the convergence has no scale and counts nothing.

    Source: Yamamoto et al. 2020 (1910.11480), eq. 4 to 6.
    """
    estimate, source = _fitting(estimate, source, lengths)
    total = torch.zeros(source.shape[:-1], dtype=source.dtype, device=source.device)
    for size in sizes:
        theirs, count = _magnitudes(source, lengths, size)
        ours, _ = _magnitudes(estimate, lengths, size)
        scale = torch.linalg.vector_norm(theirs, dim=(-2, -1))
        faint = scale == 0
        apart = torch.linalg.vector_norm(theirs - ours, dim=(-2, -1)) / scale.masked_fill(faint, 1)
        logs = (theirs.clamp_min(FAINTEST).log() - ours.clamp_min(FAINTEST).log()).abs()
        total = total + apart.masked_fill(faint, 0) + logs.sum(dim=(-2, -1)) / count
    return total / len(sizes)


LOSSES: dict[str, Pairwise] = {
    "si_snr": neg_si_snr,
    "si_sdr": neg_si_sdr,
    "snr": neg_snr,
    "thresholded_si_snr": thresholded(neg_si_snr),
    "thresholded_snr": thresholded(neg_snr),
    "multi_resolution_stft": multi_resolution_stft,
}


def pit(
    estimates: Tensor,
    sources: Tensor,
    lengths: Tensor | None = None,
    loss: Pairwise = neg_si_snr,
) -> tuple[Tensor, Tensor]:
    """The loss of the best assignment of estimates to sources, per mixture.

    Args:
        estimates: [B, S, ..., T]
        sources: [B, S, ..., T]
        lengths: [B] in samples.
        loss: of one estimate and one source; axes beyond the batch's are averaged.

    Returns:
        The mean loss over the sources [B], and the order [B, S]: estimate order[b, i] is of
        source i, as `reorder` takes it. A loss that is no number stays one.

    Raises:
        ValueError: shapes differ.
        ImportError: there are more than four sources, and no scipy.

    Source: Kolbæk et al. 2017 (1703.06284), utterance-level permutation-invariant training.
    """
    if estimates.shape != sources.shape or sources.ndim < 3:
        raise ValueError(
            f"estimates have shape {list(estimates.shape)}, sources {list(sources.shape)}: "
            "expected the same [B, S, ..., T]"
        )
    n = sources.shape[1]
    pairs = torch.stack(
        [
            torch.stack([_flat(loss(estimates[:, j], sources[:, i], lengths)) for j in range(n)], 1)
            for i in range(n)
        ],
        dim=1,
    )  # [B, source, estimate]
    order = _assign(pairs.detach())
    return pairs.gather(2, order[:, :, None])[:, :, 0].mean(dim=1), order


def reorder(estimates: Tensor, order: Tensor) -> Tensor:
    """estimates [B, S, ..., T], order [B, S] -> the estimates in the order of the sources."""
    index = order.view(*order.shape, *[1] * (estimates.ndim - 2)).expand_as(estimates)
    return estimates.gather(1, index)


def absent(estimate: Tensor, mixture: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Loss where the enrolled speaker does not talk, [B, ...] in dB: 0 for the whole mixture.

    Least, -60 dB, for a copy of the mixture at -45 dB, which nobody hears; -45 dB for silence. An
    extractor that takes a speaker for absent though he is there so gives a faint mixture, where
    one that had to be as silent as it can gives next to nothing, which resembles no voice.

    Args:
        estimate: [B, ..., T]
        mixture: [B, ..., T]
        lengths: [B] in samples.
    """
    estimate, mixture = _fitting(estimate, mixture, lengths)
    energy, whole = _energy(estimate - FAINT * mixture), _energy(mixture)
    return 10 * torch.log10((energy + 1e-6 * whole + EPS) / (whole + EPS))


def level_error(estimate: Tensor, source: Tensor, lengths: Tensor | None = None) -> Tensor:
    """estimate, source [B, ..., T], lengths [B] -> how far apart their levels are [B, ...] in dB.

    0 where both are silent; at most 60 dB count, below which either is silence enough.
    """
    ours, theirs = map(_energy, _fitting(estimate, source, lengths))
    floor = 1e-6 * torch.maximum(ours, theirs).detach() + EPS
    return (10 * torch.log10((ours + floor) / (theirs + floor))).abs()


def contrast(
    anchors: Tensor,
    voices: Tensor,
    match: Tensor,
    temperature: float = 0.1,
    heard: Tensor | None = None,
) -> Tensor:
    """How badly a speaker's recording tells which of many voices is his: [A] in nats.

    Cross-entropy over the cosines of each anchor with all voices, so no speaker needs a number
    and any folder of speakers will do.

    Source: van den Oord et al. 2018 (1807.03748), eq. 4; as an auxiliary task of extraction in
    the place of the speaker classifier of Ge et al. 2020 (2005.04686).

    Args:
        anchors: vectors of enrollments [A, E].
        voices: vectors of other recordings [V, E].
        match: [A], the voice of the same speaker as each anchor; -1 where there is none.
        temperature: of the cosines.
        heard: [V] or [A, V] voices that count; None for all.
    """
    cosines = F.cosine_similarity(anchors[:, None], voices[None], dim=2) / temperature
    if heard is not None:
        cosines = cosines.masked_fill(~heard, -torch.inf)
    return F.cross_entropy(cosines, match, ignore_index=-1, reduction="none")


def _fitting(estimate: Tensor, source: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """Both with silence for padding, at least in float32; what does not fit is refused."""
    if estimate.shape != source.shape:
        raise ValueError(
            f"the estimate has shape {list(estimate.shape)}: expected that of the source, "
            f"{list(source.shape)}"
        )
    if lengths is not None:
        samples = source.shape[-1]
        if lengths.shape != source.shape[:1] or ((lengths < 0) | (lengths > samples)).any():
            raise ValueError(
                f"lengths={lengths.tolist()}: expected {len(source)} numbers from 0 to {samples}"
            )
    if source.dtype in (torch.float16, torch.bfloat16):
        source = source.float()
    if estimate.dtype in (torch.float16, torch.bfloat16):
        estimate = estimate.float()
    return mask_time(estimate, lengths), mask_time(source, lengths)


def _scale_invariant(estimate: Tensor, source: Tensor) -> Tensor:
    power = _energy(source)
    silent = power <= SILENT
    power = power.masked_fill(silent, 1)[..., None]
    target = (estimate * source).sum(dim=-1, keepdim=True) / power * source
    # The error sample by sample: as a difference of energies, float32 would lose it at 70 dB.
    error = estimate - target
    loudness = _energy(estimate).detach()
    least = FLOOR * loudness.masked_fill(loudness <= SILENT, 1)  # 1 makes silence 0 dB
    ratio = torch.maximum(_energy(error), least) / torch.maximum(_energy(target), least)
    return torch.where(silent, _loudness(estimate), 10 * torch.log10(ratio))


def _energy(x: Tensor) -> Tensor:
    return x.square().sum(dim=-1)


def _loudness(x: Tensor) -> Tensor:
    """The loss of an estimate of silence."""
    return 10 * torch.log10((_energy(x) + EPS) / EPS)


def _centred(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Without its mean; twice, so that a constant leaves nothing but the rounding of rounding."""
    n: Tensor | int = x.shape[-1]
    if lengths is not None:
        n = lengths.to(x.dtype).clamp_min(1).view(-1, *[1] * (x.ndim - 1))
    for _ in range(2):
        x = mask_time(x - x.sum(dim=-1, keepdim=True) / n, lengths)
    return x


def _magnitudes(x: Tensor, lengths: Tensor | None, size: int) -> tuple[Tensor, Tensor | int]:
    """x [B, ..., T] -> magnitudes [B, ..., F, L], and how many of them are no padding."""
    hop = size // 4
    window = torch.hann_window(size, dtype=x.dtype, device=x.device)
    flat = torch.stft(
        x.reshape(-1, x.shape[-1]),
        size,
        hop,
        window=window,
        pad_mode="constant",
        return_complex=True,
    )
    power = flat.real.square() + flat.imag.square()
    power = power.reshape(*x.shape[:-1], *power.shape[-2:])
    # The root of a clamped power has a finite gradient; what was clamped is then taken as zero.
    faint = power <= FAINTEST**2
    found = power.masked_fill(faint, 1).sqrt().masked_fill(faint, 0)
    bins, frames = found.shape[-2:]
    if lengths is None:
        return found, bins * frames
    there = 1 + lengths // hop  # frames of the row alone
    count = (bins * there).to(x.dtype).view(-1, *[1] * (x.ndim - 2))
    return mask_time(found, there), count


def _flat(x: Tensor) -> Tensor:
    """The mean over all axes but the first: [B, ...] -> [B]."""
    return x.flatten(1).mean(dim=1) if x.ndim > 1 else x


def _assign(pairs: Tensor) -> Tensor:
    """pairs [B, source, estimate] -> the order [B, S] of the least sum."""
    n = pairs.shape[1]
    pairs = pairs.nan_to_num(nan=1e9, posinf=1e9, neginf=-1e9)
    if n <= TRIED:
        orders = _orders(n, pairs.device)
        totals = pairs[:, torch.arange(n, device=pairs.device), orders].sum(dim=2)  # [B, P]
        return orders[totals.argmin(dim=1)]
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ImportError(
            f"{n} sources need scipy to find their order: pip install 'sepaudio[train]'"
        ) from error
    found = [torch.from_numpy(linear_sum_assignment(one)[1]) for one in pairs.cpu().numpy()]
    return torch.stack(found).to(pairs.device)


def _orders(n: int, device: torch.device) -> Tensor:
    """All orders of n sources [n!, n], brought to a device once: a recorded step copies nothing."""
    orders = list(permutations(range(n)))
    if torch.compiler.is_compiling():
        return torch.tensor(orders, device=device)
    if (n, device) not in _KNOWN:
        with torch.inference_mode(False):  # validation may come first, and training learns by it
            _KNOWN[n, device] = torch.tensor(orders, device=device)
    return _KNOWN[n, device]


def with_auxiliary(
    logits: Sequence[Tensor],
    labels: Tensor,
    *,
    weight: float = 0.3,
    smoothing: float = 0.0,
    floor: float = 0.0,
) -> Tensor:
    """Cross-entropy of the first logits, plus `weight` times those of auxiliary heads.

    Sources: Szegedy et al. 2014 (1409.4842), section 5; the floor: Lee et al. 2014 (1409.5185),
    equation 3, where the losses are squared hinges.

    Args:
        logits: [B, K] each, the network's own first.
        labels: [B]; -1 is not learned from.
        weight: of each auxiliary head.
        smoothing: of the labels: this share is spread over all classes.
        floor: an auxiliary head counts by what its loss is above this.
    """
    if not (labels >= 0).any():
        return sum((y.sum() for y in logits), torch.zeros_like(logits[0][0, 0])) * 0.0
    main, *others = (
        F.cross_entropy(y, labels, label_smoothing=smoothing, ignore_index=-1) for y in logits
    )
    above = (F.relu(y - floor) for y in others)
    return main + weight * sum(above, torch.zeros_like(main))
