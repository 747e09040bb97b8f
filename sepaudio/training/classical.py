"""Classical classifiers from clips: mixtures by EM, a linear layer by a support vector machine.

Twice: first without the clips that are held out, which then choose the machine's cost and the
temperature of the probabilities; then with all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from .. import metrics
from ..models.classical import Classical, ClassicalCfg
from .classify import best_temperature
from .drawn import Drawn
from .em import MixtureCfg, Report, fit_mixture

BATCH = 32  # clips at once


@dataclass(frozen=True, kw_only=True)
class ClassicalRecipe:
    """How a classical classifier is found.

    Attributes:
        frames: most frames for a mixture, drawn from all; classes share them evenly.
        half_steps: of EM with half of the Gaussians.
        steps: of EM with all of them.
        costs: of the support vector machine, C; the best on held-out clips is taken.
        seed: of every draw.
    """

    frames: int = 50_000
    half_steps: int = 6
    steps: int = 10
    costs: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Example:
    """A clip with a known class.

    Attributes:
        features: what the model's front-end gives of it, [F, L].
        label: number of its class.
        held_out: whether it is kept for choosing.
    """

    features: Tensor
    label: int
    held_out: bool = False


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A classifier and how it was found.

    Attributes:
        model: in evaluation mode.
        cost: of the support vector machine; None for mixtures.
        temperature: that is folded into the head.
        valid_accuracy: balanced, on the clips that were held out at first.
        histories: log-likelihood per frame of every mixture before every step of EM and at the end.
    """

    model: Classical
    cost: float | None
    temperature: float
    valid_accuracy: float
    histories: list[list[float]] = field(default_factory=list)


@torch.no_grad()
def fit_classical(
    cfg: ClassicalCfg,
    examples: Sequence[Example],
    recipe: ClassicalRecipe | None = None,
    report: Report | None = None,
) -> Fitted:
    """Find a classical classifier.

    Args:
        cfg: what to make.
        examples: of every class, held out and not.
        recipe: how.
        report: told the stage and the log-likelihood per frame at every step of EM.

    Raises:
        ValueError: a class has no example on one of both sides, or too few frames.
        ImportError: scikit-learn, which has the support vector machine, is not installed.
    """
    recipe = recipe or ClassicalRecipe()
    chosen, kept = ([e for e in examples if e.held_out is side] for side in (False, True))
    for part, what in ((chosen, "to learn from"), (kept, "held out")):
        lost = set(range(len(cfg.labels))) - {e.label for e in part}
        if lost:
            names = ", ".join(cfg.labels[i] for i in sorted(lost))
            raise ValueError(f"no clip {what} of {names}: expected one of every class at least")
    model, _ = _mixtures(cfg, chosen, recipe, report)
    x, truth, unseen = summaries(model, chosen), labels_of(chosen), labels_of(kept)
    said = summaries(model, kept)
    found: list[tuple[float, float | None, Tensor]] = []  # accuracy, cost, logits
    for cost in recipe.costs if cfg.method == "fisher" else (None,):
        _decide(model, x, truth, cost, recipe.seed)
        logits = model.head(said)
        table = metrics.confusion(unseen.numpy(), logits.argmax(1).numpy(), len(cfg.labels))
        found.append((metrics.balanced_accuracy(table), cost, logits))
    accuracy, cost, logits = max(found, key=lambda one: one[0])
    temperature = best_temperature(logits, unseen, least=0.01, most=100)
    model, histories = _mixtures(cfg, examples, recipe, report)
    _decide(model, summaries(model, examples), labels_of(examples), cost, recipe.seed)
    head: Any = model.head
    head.weight.div_(temperature)
    head.bias.div_(temperature)
    return Fitted(
        model=model,
        cost=cost,
        temperature=temperature,
        valid_accuracy=accuracy,
        histories=histories,
    )


def labels_of(examples: Sequence[Example]) -> Tensor:
    """Numbers of their classes [N]."""
    return torch.tensor([e.label for e in examples])


def summaries(model: Classical, examples: Sequence[Example]) -> Tensor:
    """What the model's head hears of each clip, [N, V]."""
    found = []
    for i in range(0, len(examples), BATCH):
        some = [e.features for e in examples[i : i + BATCH]]
        lengths = torch.tensor([x.shape[-1] for x in some])
        batch = pad_sequence([x.T for x in some], batch_first=True).mT
        found.append(model.summary(batch, lengths))
    return torch.cat(found)


def _mixtures(
    cfg: ClassicalCfg, examples: Sequence[Example], recipe: ClassicalRecipe, report: Report | None
) -> tuple[Classical, list[list[float]]]:
    """A model whose mixtures are found and whose head is not."""
    torch.manual_seed(recipe.seed)
    model = Classical(cfg).eval()
    n = len(cfg.labels)
    most = recipe.frames if cfg.method != "fisher" else max(recipe.frames // n, 1)
    drawn = [Drawn(most, recipe.seed + k) for k in range(n)]
    for e in examples:
        x, counted = model.frames(e.features[None])  # not standardised yet
        drawn[e.label].add(x[0][:, counted[0]])
    parts = [one.frames() for one in drawn]
    every = torch.cat(parts, dim=1).double()
    norm: Any = model.frames.standardize
    norm.measured(every.mean(dim=1), every.std(dim=1))
    steps = MixtureCfg(
        components=cfg.components,
        covariance="diagonal",
        half_steps=recipe.half_steps,
        diagonal_steps=recipe.steps,
        seed=recipe.seed,
    )
    histories = []
    for k, (mixture, frames) in enumerate(
        zip(model.mixtures, [every] if cfg.method == "fisher" else parts, strict=True)
    ):
        name = "all" if cfg.method == "fisher" else cfg.labels[k]
        fitted, history = fit_mixture(norm(frames.float()), steps, _of(name, report))
        mixture.load_state_dict(fitted.state_dict())
        histories.append(history)
    return model, histories


def _of(name: str, report: Report | None) -> Report | None:
    """A report that tells whose mixture it is."""
    if report is None:
        return None
    return lambda stage, value: report(f"{name}: {stage}", value)


def _decide(model: Classical, x: Tensor, labels: Tensor, cost: float | None, seed: int) -> None:
    """Find the head: scores as they are, or a support vector machine of each class and the rest."""
    head: Any = model.head
    if cost is None:
        head.weight.fill_(1)
        head.bias.zero_()
        return
    weight, bias = support_vectors(x, labels, cost, seed)
    head.weight.copy_(weight)
    head.bias.copy_(bias)


def support_vectors(x: Tensor, labels: Tensor, cost: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Vectors x [N, V] and labels [N] -> weights [K, V] and biases [K], one class against the rest.

    Classes count alike, however many clips they have.

    Args:
        x: vectors of length about one.
        labels: 0 to K - 1, each of them.
        cost: C of the squared hinge loss.
        seed: of the solver.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    try:
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise ImportError(
            "a support vector machine needs scikit-learn: pip install 'sepaudio[train]'"
        ) from error
    found = LinearSVC(C=cost, class_weight="balanced", random_state=seed, max_iter=20_000)
    found.fit(x.double().numpy(), labels.numpy())
    weight, bias = np.asarray(found.coef_), np.asarray(found.intercept_)
    if len(weight) == 1:  # of two classes scikit-learn has the second's alone
        weight, bias = np.concatenate([-weight, weight]), np.concatenate([-bias, bias])
    return torch.from_numpy(weight), torch.from_numpy(bias)
