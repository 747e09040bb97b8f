"""MobileNet v1 of Keras -> the trunk of our spectrogram classifier, SwishNet's teacher.

Keras keeps its weights in HDF5; recipes/musan/README.md shows how h5py makes a file of it that
`sepaudio convert` reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from .. import registry
from .names import renamed

EPS, OURS = 1e-3, 1e-5  # what Keras and we add to the variance of a batch norm
LEAVES = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
    "num_batches_tracked": "num_batches_tracked",
}
BLOCKS = (1, 2, 2, 6, 2)  # of the stages


def from_keras(state: Mapping[str, Tensor], *, labels: Sequence[str] | None = None) -> nn.Module:
    """A spectrogram classifier whose MobileNet was trained on ImageNet; its head is not trained.

    The author's pictures have time in the place of an image's rows, ours have it in that of its
    columns: kernels are turned. Keras pads below and to the right where it steps by two, we pad on
    both sides: the first pixel is another one, the function is the same.

    Args:
        state: Keras' names, such as "conv_dw_1/conv_dw_1/depthwise_kernel:0", of a MobileNet of any
            width; its classifier is left out.
        labels: of the classes it will be trained for; the architecture's own by default.

    Raises:
        ValueError: a tensor is missing, unknown or of another shape; the message names it.
    """
    if isinstance(labels, str):
        raise ValueError(f"labels={labels!r}: expected a list")
    given = {_short(name): value for name, value in state.items()}
    given = {name: x for name, x in given.items() if name.split("/")[0] != "conv_preds"}
    first = given.get("conv1/kernel")
    if first is None or first.ndim != 4:
        raise ValueError("conv1/kernel is missing: expected the weights of Keras' MobileNet")
    changes = {} if labels is None else {"labels": tuple(labels)}
    model = registry.create("spectrogram_mobilenet", multiplier=first.shape[-1] / 32, **changes)
    trunk: nn.Module = model.backbone  # type: ignore[assignment]
    expected = trunk.state_dict()
    turned = {name: _turned(name, value) for name, value in given.items()}
    theirs = {name: keras_name(name) for name in expected}
    trunk.load_state_dict(renamed(turned, expected, theirs))
    return model


def keras_name(name: str) -> str:
    """Keras' name of a tensor of our MobileNet.

    >>> keras_name("stages.1.0.1.unit.norm.bias"), keras_name("stages.0.0.0.unit.conv.weight")
    ('conv_pw_2_bn/beta', 'conv_dw_1/depthwise_kernel')
    """
    place, _, leaf = name.rpartition(".")
    *where, kind = place.split(".")
    layer = "conv1"
    if where[0] == "stages":
        stage, block, half = map(int, where[1:4])
        layer = f"conv_{('dw', 'pw')[half]}_{sum(BLOCKS[:stage]) + block + 1}"
    if kind == "norm":
        return f"{layer}_bn/{LEAVES[leaf]}"
    return f"{layer}/{'depthwise_kernel' if '_dw_' in layer else 'kernel'}"


def _short(name: str) -> str:
    parts = name.removesuffix(":0").split("/")
    return f"{parts[0]}/{parts[-1]}"


def _turned(name: str, x: Tensor) -> Tensor:
    """A tensor of Keras as ours: rows [time] and columns [bins] change places in kernels."""
    if not isinstance(x, Tensor):
        return x
    if name.endswith("/depthwise_kernel") and x.ndim == 4:
        return x.permute(2, 3, 1, 0).contiguous()
    if name.endswith("/kernel") and x.ndim == 4:
        return x.permute(3, 2, 1, 0).contiguous()
    return x + (EPS - OURS) if name.endswith("/moving_variance") else x


__all__ = ["from_keras", "keras_name"]
