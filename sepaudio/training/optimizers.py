"""Optimisers of a run, and steps that look for flat places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .graph import Routine
from .optim import OptimCfg


class RMSProp(torch.optim.Optimizer):
    """RMSProp as TensorFlow has it, with momentum.

    v <- a v + (1 - a) g^2, b <- m b + lr g / sqrt(v + eps), w <- w - b; v begins at one.

    Differs from torch.optim.RMSprop: eps lies inside the root, v begins at one and not at zero,
    the learning rate is in the momentum. With its large eps this is what the recipes of
    Inception, MobileNet and EfficientNet mean.

    Args:
        params: parameters, or groups of them.
        lr: learning rate.
        alpha: a, share of the past in the mean square.
        momentum: m.
        eps: added to the mean square.
        weight_decay: added to the gradient, as a share of the weight.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.9,
        momentum: float = 0.9,
        eps: float = 1e-3,
        weight_decay: float = 0.0,
    ):
        values = {"lr": lr, "alpha": alpha, "momentum": momentum, "eps": eps}
        super().__init__(params, {**values, "weight_decay": weight_decay})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; the loss of `closure`, which computes the gradients, where there is one."""
        loss = _loss(closure)
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._move(p, group)
        return loss

    def _move(self, p: Tensor, group: dict[str, Any]) -> None:
        assert p.grad is not None
        state = self.state[p]
        if not state:
            state["square"], state["momentum"] = torch.ones_like(p), torch.zeros_like(p)
        gradient = p.grad + group["weight_decay"] * p
        state["square"].lerp_(gradient.square(), 1 - group["alpha"])
        pace = gradient / (state["square"] + group["eps"]).sqrt()
        state["momentum"].mul_(group["momentum"]).add_(pace, alpha=group["lr"])
        p.sub_(state["momentum"])


class Muon(torch.optim.Optimizer):
    """Momentum, turned so that every direction of a matrix moves as far; the rest as AdamW does.

    m <- mu m + (1 - mu) g, u <- mu m + (1 - mu) g. A matrix moves by 0.2 sqrt(max(rows, columns))
    `orthogonal(u)`, which is as far on the mean as AdamW goes, so that both share a learning rate.
    Convolutions are matrices of out channels by all else.

    Sources: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; scale:
    Liu et al. 2025 (2502.16982), equation 4. Differs from torch.optim.Muon, which refuses
    convolutions: matrices of one shape are turned at once.

    Args:
        params: groups of parameters; those of a group with "turned" true are matrices.
        lr: learning rate.
        momentum: mu.
        betas: of AdamW's averages of gradients and their squares.
        eps: of AdamW.
        weight_decay: as a share of the weight, times the learning rate.
        turning: type that matrices are turned in; Jordan's is bfloat16, which is faster where the
            processor knows it, and slower where it does not.
        replayed: steps on a CUDA device are recorded once and replayed.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        lr: float = 1e-3,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        turning: torch.dtype = torch.float32,
        replayed: bool = False,
    ):
        self.turning = turning
        self.routine = Routine() if replayed else None
        values = {
            "lr": lr,
            "momentum": momentum,
            "betas": betas,
            "eps": eps,
            "turned": False,
            "step": 0,
        }
        super().__init__(params, {**values, "weight_decay": weight_decay})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; the loss of `closure`, which computes the gradients, where there is one."""
        loss = _loss(closure)
        groups = self.param_groups
        moved = [[p for p in group["params"] if p.grad is not None] for group in groups]
        numbers = [self._numbers(group) for group in groups]
        for group, some in zip(groups, moved, strict=True):
            for p in some:
                if not self.state[p]:
                    names = ("momentum",) if group["turned"] else ("mean", "square")
                    self.state[p] = {name: torch.zeros_like(p) for name in names}

        def move(numbers: Sequence[dict[str, Any]]) -> None:
            for group, some, known in zip(groups, moved, numbers, strict=True):
                if some:
                    (self._turn if group["turned"] else self._adapt)(some, group, known)

        with torch.no_grad():
            if self.routine is None:
                move(numbers)
            else:
                every = [p for some in moved for p in some]
                self.routine(move, [*every, *(p.grad for p in every)], numbers)
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As any optimiser's; what was recorded is of no use then.

        Of older runs, whose parameters counted their steps, the groups take the count.
        """
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            counts = [self.state[p].pop("step", 0) for p in group["params"] if p in self.state]
            group.setdefault("step", int(max(counts, default=0)))
        self.routine = None if self.routine is None else Routine()

    @staticmethod
    def _numbers(group: dict[str, Any]) -> dict[str, float]:
        """What differs from step to step."""
        group["step"] += 1
        known = {"pace": group["lr"], "kept": 1 - group["lr"] * group["weight_decay"]}
        if group["turned"]:
            return known
        mean, square = (1 - beta ** group["step"] for beta in group["betas"])
        return {**known, "pace": group["lr"] / mean, "scale": square**0.5}

    def _turn(self, moved: list[Tensor], group: dict[str, Any], numbers: dict[str, Any]) -> None:
        gradients = [p.grad for p in moved if p.grad is not None]
        momenta = [self.state[p]["momentum"] for p in moved]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        ways = torch._foreach_lerp(gradients, momenta, group["momentum"])
        alike = defaultdict(list)
        for p, way in zip(moved, ways, strict=True):
            alike[p.flatten(1).shape].append((p, way.flatten(1)))
        torch._foreach_mul_(moved, numbers["kept"])
        for (rows, columns), pairs in alike.items():
            some, aims = zip(*pairs, strict=True)
            turned = orthogonal(torch.stack(aims), self.turning)
            turned = turned * (-0.2 * max(rows, columns) ** 0.5) * numbers["pace"]
            paces = [way.view_as(p) for p, way in zip(some, turned.unbind(), strict=True)]
            torch._foreach_add_(list(some), paces)

    def _adapt(self, moved: list[Tensor], group: dict[str, Any], numbers: dict[str, Any]) -> None:
        gradients = [p.grad for p in moved if p.grad is not None]
        means, squares = ([self.state[p][key] for p in moved] for key in ("mean", "square"))
        torch._foreach_lerp_(means, gradients, 1 - group["betas"][0])
        torch._foreach_mul_(squares, group["betas"][1])
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["betas"][1])
        roots = torch._foreach_sqrt(squares)
        torch._foreach_div_(roots, numbers["scale"])
        torch._foreach_add_(roots, group["eps"])
        ways = torch._foreach_div(means, roots)
        torch._foreach_mul_(ways, numbers["pace"])
        torch._foreach_mul_(moved, numbers["kept"])
        torch._foreach_sub_(moved, ways)


def _loss(closure: Callable[[], Any] | None) -> Any:
    """What a closure says, which computes gradients meanwhile; None without one."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def orthogonal(x: Tensor, dtype: torch.dtype = torch.float32, steps: int = 5) -> Tensor:
    """Matrices [N, rows, columns] with their singular values brought near one, 0.7 to 1.2.

    Source: the iteration of Newton and Schulz with the quintic of Jordan et al. 2024.

    Args:
        x: of any size.
        dtype: that the iteration is in.
        steps: of the iteration.
    """
    high = x.shape[1] > x.shape[2]
    y = (x.mT if high else x).float()
    y = (y / y.flatten(1).norm(dim=1)[:, None, None].clamp_min(1e-7)).to(dtype)
    for _ in range(steps):
        gram = y @ y.mT
        gram = torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)
        y = torch.baddbmm(y, gram, y, beta=3.4445)
    return (y.mT if high else y).to(x.dtype)


def depthwise(model: nn.Module) -> set[nn.Parameter]:
    """The filters of depthwise convolutions: each sees one channel of several."""
    found = set()
    for module in model.modules():
        weight, groups = getattr(module, "weight", None), getattr(module, "groups", 1)
        if isinstance(weight, nn.Parameter) and groups > 1 and weight.shape[1] == 1:
            found.add(weight)
    return found


def optimizer_of(model: nn.Module, cfg: OptimCfg) -> torch.optim.Optimizer:
    """An optimiser of all that learns; biases and norms do not decay, but with "adam".

    Where steps are in bf16, `Muon` turns in bfloat16 too.

    Args:
        model: its parameters that need gradients are learned.
        cfg: which, and its numbers.
    """
    if cfg.optimizer == "adam":
        own = [p for p in model.parameters() if p.requires_grad]
        return torch.optim.Adam(own, lr=cfg.lr, weight_decay=cfg.weight_decay)
    spared = set() if cfg.decay_depthwise else depthwise(model)
    learning = [p for p in model.parameters() if p.requires_grad]
    heavy = [p for p in learning if p.ndim > 1 and p not in spared]
    light = [p for p in learning if p.ndim <= 1 or p in spared]
    groups = [
        {"params": heavy, "weight_decay": cfg.weight_decay},
        {"params": light, "weight_decay": 0.0},
    ]
    if cfg.optimizer == "muon":
        single = depthwise(model)
        turned = [p for p in heavy if p not in single and min(p.flatten(1).shape) > 1]
        kept = set(turned)
        groups[0]["params"] = [p for p in heavy if p not in kept]
        turning = torch.bfloat16 if cfg.precision.startswith("bf16") else torch.float32
        groups = [{**groups[0], "params": turned, "turned": True}, *groups]
        return Muon(groups, lr=cfg.lr, turning=turning, replayed=cfg.graph)
    make = RMSProp if cfg.optimizer == "rmsprop" else torch.optim.AdamW
    return make(groups, lr=cfg.lr)


def sharpened(
    closure: Callable[[], Any],
    model: nn.Module,
    rho: float,
    again: Callable[[], None] = lambda: None,
) -> Callable[[], Any]:
    """Sharpness-aware minimisation, as a closure that takes the place of another.

    It computes the gradient, climbs by `rho` along it, leaves behind the gradient of up there and
    the weights of down here. Any optimiser then steps with it. Statistics of batch norms are
    those of the first pass alone.

    Source: Foret et al. 2020 (2010.01412), equations 2 and 3, algorithm 1.

    Args:
        closure: zeroes the gradients, computes the loss and its gradients, returns the loss.
        model: whose parameters have gradients.
        rho: length of the climb; 0 changes nothing.
        again: called before the second pass, such as to draw the same dropout.
    """
    if not rho:
        return closure

    def both() -> Any:
        loss = closure()
        with torch.no_grad():
            moved = [p for p in model.parameters() if p.grad is not None]
            before = [p.clone() for p in moved]
            norm = torch.stack([p.grad.norm() for p in moved if p.grad is not None]).norm()
            for p in moved:
                p.add_(p.grad * (rho / norm.clamp_min(1e-12)))
        again()
        with _same_statistics(model):
            closure()
        with torch.no_grad():
            for p, value in zip(moved, before, strict=True):
                p.copy_(value)
        return loss

    return both


@contextmanager
def _same_statistics(model: nn.Module) -> Iterator[None]:
    """Batch norms that learn nothing about means and variances."""
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    momenta = [m.momentum for m in norms]
    for m in norms:
        m.momentum = 0.0
    try:
        yield
    finally:
        for m, momentum in zip(norms, momenta, strict=True):
            m.momentum = momentum
