"""Training of separators, extractors and speaker encoders on mixtures made as they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data import manifest
from ..data.dataset import Shuffled
from ..data.mixing import load
from ..losses import LOSSES, absent, level_error, pit
from . import recipe as recipes
from .colours import Colours
from .draws import Batch, Source, batch_at, batches, hearing, lengths_of, placed, tell_pace, workers
from .fitted import fit_rest
from .imitate import teacher_of
from .lists import about, listed
from .loop import Draw, Objective, Validate, run
from .presence import presence_of
from .process import where_it_learned
from .recipe import MixtureRecipeCfg
from .survey import say_left_out
from .voices import hints_of, standardize, told_apart, translate, voices, with_encoders

SHARP = 10.0  # that a likeness is told to a judge, as `losses.contrast` is by default


@dataclass(frozen=True)
class TrainedOnMixtures:
    """What a run leaves behind.

    Attributes:
        model: the averaged weights of the best step, or the last without validation.
        names: of the collections that were heard.
        fingerprint: of the recordings.
        valid: loss on the validation mixtures, see `unit`.
        left_out: how many recordings could not be read; of lists how many mixtures this process
            and its workers could not make.
    """

    model: nn.Module
    names: tuple[str, ...]
    fingerprint: str
    valid: float
    left_out: int


def separation(loss: str) -> Objective:
    """The loss of the best order of the estimates."""

    def objective(model: Any, batch: Batch) -> Tensor:
        lengths = lengths_of(batch)
        estimates = model(batch["mixture"], lengths=lengths)
        return pit(estimates.float(), batch["sources"], lengths, LOSSES[loss])[0].mean()

    return objective


def extraction(
    loss: str,
    weight: float,
    voices: float = 0.0,
    level: float = 0.0,
    presence: float = 0.0,
    judge: nn.Module | None = None,
    colours: nn.Module | None = None,
) -> Objective:
    """The loss of the enrolled speaker; where he is absent, `weight` times what is left of it all.

    `level` is the weight of how far estimates are from as loud as their sources [dB]: without it
    a scale-invariant loss could make all estimates fainter to please the mixtures that lack the
    speaker, instead of telling these from the others.

    The model's own front-end hears the enrollment and, if it has weights, learns with the rest:
    with `voices` also from telling whose voice is whose among the sources of the batch.

    With a `presence` blocks and front-end learn to tell whether the speaker is there, too: a layer
    `judge`, which learns with the rest and is not kept, says so from the blocks' output and from
    how like the enrolled voice the estimate sounds.

    The enrollments may be heard through `colours`, see `Colours`.
    """

    def objective(model: Any, batch: Batch) -> Tensor:
        enrollment = batch["enrollment"] if colours is None else colours(batch["enrollment"])
        embedding = model.speaker(enrollment, batch["enrollment_lengths"])
        lengths = lengths_of(batch)
        here, unsure = batch["target"] >= 0, embedding.new_zeros(())
        if judge is None:
            estimate = model(batch["mixture"], embedding, lengths=lengths)
        else:
            estimate, found = model.heard(batch["mixture"], embedding, lengths)
            alike = model.likeness(estimate.float(), embedding, lengths)  # from half precision
            told = judge(torch.cat([SHARP * alike, found], dim=1))
            unsure = presence * missed(told[:, 0].float(), here)
        estimate = estimate.float()
        index = batch["target"].clamp_min(0)[:, None, None].expand(-1, 1, estimate.shape[-1])
        wanted = batch["sources"].gather(1, index)[:, 0]
        present = LOSSES[loss](estimate, wanted, lengths)
        if level:
            present = present + level * level_error(estimate, wanted, lengths)
        gone = absent(estimate, batch["mixture"], lengths)
        total: Tensor = torch.where(here, present, weight * gone).mean() + unsure
        if voices:
            heard = model.speaker(batch["sources"].flatten(0, 1))
            total = total + voices * told_apart(embedding, heard, batch)
        return total

    return objective


def missed(logits: Tensor, here: Tensor) -> Tensor:
    """How badly logits [B] tell whether the speaker is there [B], both kinds as heavy [nats]."""
    losses = F.binary_cross_entropy_with_logits(logits, here.float(), reduction="none")
    share = here.float().mean().clamp(0.5 / len(here), 1 - 0.5 / len(here))
    return 0.5 * torch.where(here, losses / share, losses / (1 - share)).mean()


def objective_of(
    model: Any, cfg: MixtureRecipeCfg, helper: nn.ModuleDict | None = None
) -> Objective:
    """What a model minimises by its job; `helper` is what `helper_of` gives, if it is used."""
    made: dict[str, Any] = dict(helper.items()) if helper else {}
    if model.task == "speaker":
        return voices(cfg.leftover, **made)
    for name in ("leftover", "teacher"):
        if value := getattr(cfg, name):
            raise ValueError(
                f"{name}={value} with {cfg.architecture}: expected a speaker encoder that "
                "learns by itself; leave it out"
            )
    if model.task == "separation":
        if cfg.colours:
            raise ValueError(
                f"colours={cfg.colours} with {cfg.architecture}: expected a network that hears "
                "enrollments; leave it out"
            )
        return separation(cfg.loss)
    if model.speaker is None:
        raise ValueError(
            f"{cfg.architecture} has no speaker front-end: give one in the recipe, "
            "model: {speaker: {...}} or speaker: FOLDER"
        )
    return extraction(cfg.loss, cfg.absent, cfg.voices, cfg.level, cfg.presence, **made)


def unit(model: Any) -> str:
    """Of the loss of a model."""
    return "nats" if model.task == "speaker" else "dB"


def helper_of(model: Any, cfg: MixtureRecipeCfg) -> nn.ModuleDict | None:
    """What a model learns by and does not keep; None where the recipe asks for nothing.

    `colours` are what enrollments are heard through, `teacher` is what a speaker encoder imitates.
    `judge` is a layer that learns to tell from what an extractor makes whether the speaker is
    there; it starts at zero, so that no draw is spent on it.
    """
    made = nn.ModuleDict()
    if cfg.colours and model.task != "separation":
        made["colours"] = Colours(cfg.data.mixing.sample_rate, cfg.colours)
    if cfg.teacher and model.task == "speaker":
        made["teacher"] = teacher_of(cfg.teacher, model.cfg.size)
    if cfg.presence and model.task == "extraction":
        judge = made["judge"] = nn.Linear(model.n_alike + model.n_found, 1)
        for parameter in judge.parameters():
            nn.init.zeros_(parameter)
    return made if len(made) else None


def check_fit(cfg: MixtureRecipeCfg, model: Any) -> None:
    """Refuse mixtures whose rate or number of sources is not the model's."""
    mixing = cfg.data.mixing
    if mixing.sample_rate != model.sample_rate:
        raise ValueError(
            f"data.mixing.sample_rate={mixing.sample_rate}: expected the model's, "
            f"{model.sample_rate}"
        )
    if model.task == "separation" and mixing.n_src != (model.cfg.n_src, model.cfg.n_src):
        n = model.cfg.n_src
        raise ValueError(
            f"data.mixing.n_src={list(mixing.n_src)}: expected the model's, [{n}, {n}]"
        )


def mixers(cfg: MixtureRecipeCfg, model: Any) -> tuple[Source, Source]:
    """What a recipe trains on, and what it is judged on.

    Raises:
        ValueError: rate or number of sources are not the model's, or the data do not suffice.
    """
    if cfg.data.lists.files:
        return listed(cfg, model)
    check_fit(cfg, model)
    data = cfg.data
    both = [
        load(data.mixing, data.manifests, split, data.shelf, data.on_bad)
        for split in ("train", "valid")
    ]
    train, valid = placed(both, data.mix_on)
    return train, valid


def lesson(source: Source, objective: Objective, cfg: MixtureRecipeCfg) -> tuple[Draw, Objective]:
    """What is learned from at every step, and what is minimised."""
    return batch_at(source, cfg.optim.batch, cfg.seed), hearing(objective, source)


def validation(mixer: Source, objective: Objective, items: int, batch: int) -> Validate:
    """The mean loss over the same mixtures of the valid split every time."""

    def validate(model: Any) -> float:
        total = 0.0
        for made in batches(mixer, 0, items, batch, model):
            with torch.inference_mode():
                total += float(objective(model, made)) * len(made["mixture"])
        return total / items

    return validate


def fit(
    model: Any, cfg: MixtureRecipeCfg, folder: Path, *, quiet: bool = False
) -> TrainedOnMixtures:
    """Train `model` on the mixtures of a recipe; see `loop.run`.

    Raises:
        ValueError: the recipe and the data do not fit together; the message says where.
    """
    before: Any = model
    model = with_encoders(model, cfg)
    if cfg.start_share and not cfg.init:
        raise ValueError(
            f"start_share={cfg.start_share} without init: expected weights to start from"
        )
    train, valid = mixers(cfg, model)
    shelves = [s for mixer in (train, valid) for s in mixer.shelves.values()]
    left_out = [text for shelf in shelves for text in shelf.left_out]
    if not quiet:
        say_left_out(left_out)
    if not cfg.init and not cfg.speaker:
        standardize(model, train, cfg.optim.batch)
    if cfg.init and cfg.speaker:
        translate(model, before.speaker, train, cfg.optim.batch)
    start = deepcopy(model.state_dict()) if cfg.start_share else {}
    presence = presence_of(model, cfg)  # before the first step, so that what lacks is told
    if presence is None and hints_of(model) != hints_of(before):
        raise ValueError(
            f"speaker={cfg.speaker!r}, second={cfg.second!r} with other hints of presence than "
            "before: expected to fit it anew; leave `evidence` out of freeze, and train on "
            "manifests"
        )
    helper = helper_of(model, cfg)
    objective = objective_of(model, cfg, helper)
    kept = objective_of(model, cfg)  # the helper is not, and not averaged either
    validate = validation(valid, kept, cfg.data.valid_items, cfg.optim.batch)
    best: Any = run(
        model,
        *lesson(train, objective, cfg),
        cfg.optim,
        seed=cfg.seed,
        folder=folder,
        resolved=recipes.to_yaml(cfg),
        validate=validate,
        frozen=cfg.freeze,
        workers=workers(train, cfg.data.workers),
        helper=helper,
        paced=None if quiet else tell_pace(cfg),
        names={"loss": f"loss [{unit(model)}]", "valid": f"valid loss [{unit(model)}]"},
        quiet=quiet,
    )
    if cfg.start_share:
        average(best, start, cfg.start_share)
    with where_it_learned(best):
        fit_rest(best, valid, cfg, presence, quiet)
        figure = validate(best)
    unheard = [m.left_out for m in (train, valid) if isinstance(m, Shuffled)]
    n_left_out = len(left_out) + sum(int(rows.sum()) for rows in unheard)
    return TrainedOnMixtures(best, *_heard(train), figure, n_left_out)


@torch.no_grad()
def average(model: nn.Module, start: Mapping[str, Tensor], share: float) -> None:
    """Give `start` a share of the weights of a model that was trained from there.

    Source: Wortsman et al. 2021 (2109.01903), equation 1.
    """
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            value.lerp_(start[key], share)


def _heard(train: Source) -> tuple[tuple[str, ...], str]:
    """Names of what was trained on, and its fingerprint."""
    if isinstance(train, Shuffled):
        return about(train.listed.rows)
    rows = [row for shelf in train.shelves.values() for row in shelf.rows]
    return tuple(sorted({row.origin for row in rows})), manifest.fingerprint(rows)
