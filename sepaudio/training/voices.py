"""Speaker encoders: how they learn to tell voices apart, and how one takes another's place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import hub, registry
from ..frontends import PairCfg, SpeakerCfg, parts_of
from ..losses import contrast
from .draws import Batch, Source, batches
from .loop import Objective
from .recipe import MixtureRecipeCfg

TAUGHT = 2.0  # weight of what a teacher says, beside telling the voices of a batch apart
RIDGE = 1e-4  # of the translation, beside vectors whose every number has variance one


def voices(
    leftover: float = 0.0, colours: nn.Module | None = None, teacher: nn.Module | None = None
) -> Objective:
    """What a speaker encoder minimises by itself, see `told_apart`.

    Args:
        leftover: a source is heard with up to this share of what else its mixture holds, as an
            extractor's estimate is: with evenly more from the first mixture to the last.
        colours: what all is heard through, see `Colours`.
        teacher: what the vectors are to be like as well, see `imitate.Teacher`.
    """

    def objective(model: Any, batch: Batch) -> Tensor:
        enrollment, sources = batch["enrollment"], batch["sources"]
        sounds = with_leftover(sources, batch["mixture"], leftover) if leftover else sources
        sounds = sounds.flatten(0, 1)
        if colours is not None:
            enrollment, sounds = colours(enrollment), colours(sounds)
        embedding = model(enrollment, batch["enrollment_lengths"])
        heard = model(sounds)
        loss = told_apart(embedding, heard, batch)
        if teacher is not None:
            whose = torch.cat([_enrolled(batch), batch["voices"].flatten()])
            loss = loss + TAUGHT * teacher(torch.cat([embedding, heard]), whose)
        return loss

    return objective


def _enrolled(batch: Batch) -> Tensor:
    """The voices [B] that are enrolled in a batch; -1 where he is not among the sources."""
    target = batch["target"]
    voice: Tensor = batch["voices"].gather(1, target.clamp_min(0)[:, None])[:, 0]
    return voice.masked_fill(target < 0, -1)


def told_apart(embedding: Tensor, heard: Tensor, batch: Batch) -> Tensor:
    """How badly the enrollments tell their speakers among all sources of the batch [nats].

    Another source of the same voice, as of few speakers there may be, is neither right nor wrong.

    Args:
        embedding: of the enrollments [B, E].
        heard: what their encoder makes of all sources [B * S, E].
        batch: of B mixtures.
    """
    sources = batch["sources"]
    slots = torch.arange(sources.shape[1], device=embedding.device)
    real = slots < batch["n_src"][:, None]  # [B, S]; the rest is silence
    match = batch["target"] + sources.shape[1] * torch.arange(len(sources), device=slots.device)
    match = match.masked_fill(batch["target"] < 0, -1)
    voice = batch["voices"].flatten()  # [V]
    mine = _enrolled(batch)[:, None]  # [A, 1]
    right = match[:, None] == torch.arange(len(voice), device=slots.device)
    counts = real.flatten() & (right | (voice != mine) | (voice == 0))
    losses = contrast(embedding, heard, match, heard=counts)
    return losses.sum() / (match >= 0).sum().clamp_min(1)


def with_leftover(sources: Tensor, mixture: Tensor, most: float) -> Tensor:
    """Sources [B, S, T], each with a share of the rest of its mixture [B, T]: from 0 to `most`."""
    share = torch.linspace(0, most, len(sources), device=sources.device)[:, None, None]
    return torch.lerp(sources, mixture[:, None].expand_as(sources), share)


def with_speaker(model: Any, folder: str | Path) -> nn.Module:
    """An extractor with the front-end in a folder; what that has of weights learns with the rest.

    Raises:
        ValueError: it is no such front-end, or its rate or the size of its vectors do not fit.
    """
    speaker: Any = hub.load(folder)
    task = getattr(speaker, "task", "")
    if model.task != "extraction" or task != "speaker":
        raise ValueError(
            f"speaker={folder} with {type(model).__name__}: expected the folder of a speaker "
            "encoder, such as `sepaudio prepare ivector` writes, and an extractor"
        )
    made = registry.build(replace(model.cfg, speaker=speaker.cfg))
    given = {f"speaker.{key}": x for key, x in speaker.state_dict().items()}
    return _filled(made, model, given)


def with_second(model: Any, folder: str | Path) -> nn.Module:
    """An extractor with the encoder in a folder beside its own, where presence is judged.

    Presence is to be fitted anew.

    Raises:
        ValueError: it is no such encoder, or the extractor has no encoder, or two, or judges none.
    """
    second: Any = hub.load(folder)
    own: Any = getattr(model.cfg, "speaker", None)
    encoders = isinstance(getattr(second, "cfg", None), SpeakerCfg) and isinstance(own, SpeakerCfg)
    if not encoders or not model.cfg.presence:
        raise ValueError(
            f"second={folder} with {type(model).__name__}: expected the folder of a trained "
            "speaker encoder, and an extractor with one encoder that judges presence"
        )
    made: Any = registry.build(replace(model.cfg, speaker=PairCfg(first=own, second=second.cfg)))
    both = (("first", model.speaker), ("second", second))
    given = {f"speaker.{part}.{k}": x for part, net in both for k, x in net.state_dict().items()}
    return _filled(made, model, given)


def with_encoders(model: Any, cfg: MixtureRecipeCfg) -> nn.Module:
    """A model with the front-ends that a recipe names, if it names any.

    Raises:
        ValueError: see `with_speaker` and `with_second`.
    """
    if cfg.speaker:
        model = with_speaker(model, cfg.speaker)
    if cfg.second:
        model = with_second(model, cfg.second)
    return model  # type: ignore[no-any-return]


def hints_of(model: Any) -> int:
    """How many numbers tell an extractor whether the speaker is there; 0 where it judges none."""
    return model.evidence.in_features if hasattr(model, "evidence") else 0


def _filled(made: nn.Module, model: nn.Module, given: dict[str, Tensor]) -> nn.Module:
    """`made` with the weights of a model, but with other front-ends, whose weights are given."""
    kept = {key: x for key, x in model.state_dict().items() if not key.startswith("speaker.")}
    if hints_of(made) != hints_of(model):  # presence is to be fitted anew
        own = made.state_dict()
        kept |= {key: own[key] for key in own if key.startswith("evidence.")}
    made.load_state_dict({**kept, **given})
    return made


@torch.no_grad()
def standardize(model: Any, train: Source, batch: int, items: int = 512) -> None:
    """Give a speaker front-end that learns the mean and deviation of its bands.

    Without them most of what its first layer hears is how far bands lie below 0 dB.

    Args:
        model: such a front-end, or an extractor with one; others stay as they are.
        train: draws the mixtures whose enrollments are measured.
        batch: how many at once.
        items: how many in all.
    """
    speaker: Any = model if model.task == "speaker" else getattr(model, "speaker", None)
    if not hasattr(speaker, "standardize"):
        return
    heard = []
    for made in batches(train, 1, items, batch, model):
        x = speaker.bands(made["enrollment"], made["enrollment_lengths"])
        frames = speaker.frontend.frames(made["enrollment_lengths"])
        inside = torch.arange(x.shape[2], device=x.device) < frames[:, None]
        heard.append(x.movedim(1, 2)[inside])
    bands = torch.cat(heard)
    speaker.standardize.measured(bands.mean(0), bands.std(0))


@torch.no_grad()
def translate(model: Any, before: Any, train: Source, batch: int, items: int = 2048) -> None:
    """Let an extractor that was trained with another front-end understand the vectors of its own.

    The layers that hear a vector are widened by the affine map, found by least squares, that turns
    the new front-end's vectors of many enrollments into the old one's: so training goes on from an
    extractor that follows speakers, if worse than it did.

    Args:
        model: whose `dense` layers are changed; one without them stays as it is.
        before: the front-end that it was trained with; without one, as before.
        train: draws the mixtures whose enrollments are heard.
        batch: how many at once.
        items: how many in all.
    """
    if before is None or not len(model.dense):
        return
    made: list[list[Tensor]] = [[], []]
    for some in batches(train, 2, items, batch, model):
        for found, speaker in zip(made, (model.speaker, before), strict=True):
            heard = speaker(some["enrollment"], some["enrollment_lengths"])
            found.append(parts_of(speaker.cfg, heard)[0].double())
    new, old = (torch.cat(found) for found in made)
    mean, deviation = new.mean(0), new.std(0).clamp_min(1e-6)
    x, y = (new - mean) / deviation, old - old.mean(0)
    scatter = x.T @ x + RIDGE * len(x) * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    weight = torch.linalg.solve(scatter, x.T @ y).T / deviation  # [old, new]
    bias = old.mean(0) - weight @ mean
    for layer in model.dense:
        linear = layer[0]
        linear.bias += (linear.weight.double() @ bias).to(linear.bias)
        linear.weight.copy_(linear.weight.double() @ weight)
