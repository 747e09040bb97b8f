"""Keras' MobileNet becomes the trunk of SwishNet's teacher."""

import json
from itertools import pairwise

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from sepaudio import hub, registry
from sepaudio.convert.keras import BLOCKS, from_keras, keras_name
from sepaudio.verbs.convert import convert

WIDTHS = [8, 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256]
STRIDES = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]


def norm(width, random):
    draw = lambda low: low + torch.rand(width, generator=random)  # noqa: E731
    return {"gamma": draw(0.5), "beta": draw(-0.5), "moving_mean": draw(-0.5),
            "moving_variance": draw(0.5)}  # fmt: skip


@pytest.fixture
def published():
    """What the file of MobileNet at a quarter of its width holds, under Keras' long names."""
    random = torch.Generator().manual_seed(0)
    shapes = {"conv1": ("kernel", (3, 3, 3, 8))}
    for n, (i, o) in enumerate(pairwise(WIDTHS), 1):
        shapes[f"conv_dw_{n}"] = ("depthwise_kernel", (3, 3, i, 1))
        shapes[f"conv_pw_{n}"] = ("kernel", (1, 1, i, o))
    state = {}
    for layer, (leaf, shape) in shapes.items():
        fan = shape[0] * shape[1] * (shape[2] if leaf == "kernel" else 1)
        state[f"{layer}/{layer}/{leaf}:0"] = torch.randn(shape, generator=random) * (2 / fan) ** 0.5
        width = shape[2] if leaf == "depthwise_kernel" else shape[3]
        for name, value in norm(width, random).items():
            state[f"{layer}_bn/{layer}_bn/{name}:0"] = value
    return state


def keras_forward(state, x):
    """Pictures [B, 3, time, bins] through the layers of the file, in the words of Keras."""

    def layer(x, name, leaf, stride):
        kernel = state[f"{name}/{name}/{leaf}:0"]
        if leaf == "depthwise_kernel":
            x = F.conv2d(x, kernel.permute(2, 3, 0, 1), None, stride, 1, groups=x.shape[1])
        else:
            x = F.conv2d(x, kernel.permute(3, 2, 0, 1), None, stride, kernel.shape[0] // 2)
        g, b, m, v = (
            state[f"{name}_bn/{name}_bn/{what}:0"]
            for what in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return F.batch_norm(x, m, v, g, b, eps=1e-3).clamp(0, 6)

    x = layer(x, "conv1", "kernel", 2)
    for n, stride in enumerate(STRIDES, 1):
        x = layer(x, f"conv_dw_{n}", "depthwise_kernel", stride)
        x = layer(x, f"conv_pw_{n}", "kernel", 1)
    return x


def test_the_trunk_says_what_keras_layers_say_of_pictures_with_time_in_rows(published):
    net = from_keras(published).eval()
    assert sum(p.numel() for p in net.parameters()) == 217235
    x = torch.randn(2, 3, 64, 97, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours = net.backbone(x)
        theirs = keras_forward(published, x.mT).mT
    assert (ours - theirs).abs().max() < 1e-4 * theirs.std()


def test_from_a_file_to_a_start_for_the_teacher(published, tmp_path):
    published["conv_preds/conv_preds/kernel:0"] = torch.zeros(1, 1, 256, 1000)
    file = tmp_path / "mobilenet.safetensors"
    save_file({name: value.contiguous() for name, value in published.items()}, file)
    convert(file, "keras", tmp_path / "start", license="Apache-2.0")
    config = json.loads((tmp_path / "start" / "config.json").read_text())
    assert config["untrained"] == ["head"] and config["cfg"]["multiplier"] == 0.25
    with pytest.raises(ValueError, match="head not trained yet"):
        hub.load(tmp_path / "start")


def test_what_is_missing_or_wrong_is_named(published):
    del published["conv_pw_7_bn/conv_pw_7_bn/beta:0"]
    with pytest.raises(ValueError, match=r"0 unknown and 1 \(conv_pw_7_bn/beta\) missing"):
        from_keras(published)
    with pytest.raises(ValueError, match="conv1/kernel is missing"):
        from_keras({})


def test_names_cover_the_network():
    assert sum(BLOCKS) == len(STRIDES)
    with torch.device("meta"):
        names = registry.create("spectrogram_mobilenet").backbone.state_dict()
    assert len({keras_name(name) for name in names}) == len(names)
