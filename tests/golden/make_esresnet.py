"""Seeded tensors and sounds for the authors' ESResNet, and what their code makes of them.

    python tests/golden/make_esresnet.py PATH

writes esresnet.json. PATH holds checkouts of github.com/AndreyGuzhov/ESResNet (commit 138c073) and
ESResNeXt-fbsp (commit 7c1488a) in folders of these names. Names and shapes of their tensors are
below and checked here; of their code, which has no licence, nothing is. It was written for torch
1.4; what it misses today is put in place before it runs.
"""

import contextlib
import importlib
import json
import sys
import types
import zlib
from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(__file__).with_name("esresnet.json")
CLASSES = 10
KERNELS = ((3, 1), (1, 5), (3, 1), (1, 5), (3, 5))
# (model, attention, shape of the sound); a second of stereo, and lengths that divide nothing
CASES = {
    "plain": ("ESResNet", False, (1, 1, 22050)),
    "plain, shortest": ("ESResNet", False, (1, 1, 1025)),
    "attention": ("ESResNet", True, (2, 1, 13001)),
    "attention, stereo": ("ESResNet", True, (1, 2, 30000)),
    "fbsp": ("ESResNeXt-fbsp", False, (1, 1, 9001)),
    "fbsp, attention": ("ESResNeXt-fbsp", True, (2, 1, 12345)),
    "fbsp, attention, stereo": ("ESResNeXt-fbsp", True, (1, 2, 1000)),
}


def shapes(model, attention):
    """Published names and shapes of a model's parameters and buffers."""
    found = {"conv1.weight": (64, 3, 7, 7)}
    found |= norm("bn1", 64)
    grouped = model == "ESResNeXt-fbsp"
    wide = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        out, inner = 256 << stage, (128 if grouped else 64) << stage
        for block in range(blocks):
            at = f"layer{stage + 1}.{block}"
            sizes = (
                (inner, wide, 1),
                (inner, inner // 32 if grouped else inner, 3),
                (out, inner, 1),
            )
            for i, (channels, into, k) in enumerate(sizes, 1):
                found[f"{at}.conv{i}.weight"] = (channels, into, k, k)
                found |= norm(f"{at}.bn{i}", channels)
            if block == 0:
                found[f"{at}.downsample.0.weight"] = (out, wide, 1, 1)
                found |= norm(f"{at}.downsample.1", out)
            wide = out
    sides = (64, 256, 512, 1024, 2048, 2048)
    for i, kernel in enumerate(KERNELS if attention else (), 1):
        into, out = sides[i - 1], sides[i]
        found[f"att{i}.conv_depth.weight"] = (into, 1, *kernel)
        found[f"att{i}.conv_depth.bias"] = (into,)
        found[f"att{i}.conv_point.weight"] = (out, into, 1, 1)
        found[f"att{i}.conv_point.bias"] = (out,)
        found |= norm(f"att{i}.bn", out)
    head = "fc" if grouped else "classifier"
    found |= {f"{head}.weight": (CLASSES, 2048), f"{head}.bias": (CLASSES,), "window": (1654,)}
    if grouped:  # a bias that is switched off is there, and empty
        found |= {"fbsp.m": (1025,), "fbsp.fb": (1025,), "fbsp.fc": (1025,), "fbsp.bias": (0,)}
    return found


def norm(at, channels):
    leaves = ("weight", "bias", "running_mean", "running_var")
    return {f"{at}.{leaf}": (channels,) for leaf in leaves} | {f"{at}.num_batches_tracked": ()}


def values(model, attention):
    """float64 arrays of all but the constant window; each hangs on its name alone."""
    return {n: value(n, s) for n, s in shapes(model, attention).items() if n != "window"}


def value(name, shape):
    random = np.random.default_rng(zlib.crc32(name.encode()))
    leaf = name.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return np.array(7)
    if leaf == "m":  # every seventh where it starts
        return random.uniform(0, 1, shape) * (np.arange(len(random.uniform(size=shape))) % 7 > 0)
    if leaf == "fb":
        return random.uniform(0.7, 1.4, shape)
    if leaf == "fc":
        return np.arange(shape[0]) + random.uniform(-0.4, 0.4, shape)
    if len(shape) > 1:
        return random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    first = name.startswith("bn1.")  # sees decibels
    if leaf == "running_var":
        return random.uniform(0.5, 1.5, shape) * (4000 if first else 1)
    if leaf == "weight":  # the sums of residual blocks grow no further
        return random.uniform(0.5, 1.5, shape) * (0.3 if ".bn3." in name else 1)
    return random.standard_normal(shape) * 0.2


def sound(shape):
    """Noise that fades, of [-1, 1], as float32 numbers."""
    x = np.random.default_rng(shape).uniform(-1, 1, shape) * np.linspace(1, 0.01, shape[-1])
    return x.astype(np.float32)


def golden():
    """What the authors' code gave: logits of each case."""
    return {name: np.array(y) for name, y in json.loads(GOLDEN.read_text())["logits"].items()}


SIZES = {
    "n_fft": 2048, "hop_length": 561, "win_length": 1654, "window": "blackmanharris",
    "normalized": True, "onesided": True, "spec_height": -1, "spec_width": -1,
}  # fmt: skip


@contextlib.contextmanager
def authors(folder):
    """Their packages importable, with what they import that is not here, and an old torch.stft."""
    from sepaudio import doors

    doors.timm()  # makes torchvision importable
    trainer = types.ModuleType("ignite_trainer")
    trainer.AbstractNet, trainer.AbstractTransform = torch.nn.Module, object
    colours = types.ModuleType("termcolor")
    colours.colored = lambda text, colour: text
    utils = types.ModuleType("utils")  # their transforms without their datasets
    utils.__path__ = [str(folder / "utils")]
    stft = torch.stft

    def old_stft(*args, **kwargs):
        return torch.view_as_real(stft(*args, **kwargs, return_complex=True))

    before = dict(sys.modules)
    sys.path.insert(0, str(folder))
    sys.modules.update(ignite_trainer=trainer, termcolor=colours, utils=utils)
    torch.stft = old_stft
    try:
        yield
    finally:
        torch.stft = stft
        sys.path.remove(str(folder))
        for name in ("model", "utils", "ignite_trainer", "termcolor"):
            for module in [m for m in sys.modules if m.split(".")[0] == name]:
                if before.get(module) is not sys.modules[module]:
                    del sys.modules[module]


def logits(path, case, dtype):
    """What their model gives for a case, in a dtype."""
    model, attention, shape = CASES[case]
    torch.set_default_dtype(dtype)
    try:
        with authors(Path(path) / model), torch.no_grad():
            if model == "ESResNet":
                code = importlib.import_module("model.esresnet")
                kind = code.ESResNetAttention if attention else code.ESResNet
                net = kind(**SIZES, num_classes=CLASSES)
            else:
                code = importlib.import_module("model.esresnet_fbsp")
                net = code.ESResNeXtFBSP(**SIZES, num_classes=CLASSES, apply_attention=attention)
            state = {n: torch.as_tensor(v) for n, v in values(model, attention).items()}
            state["window"] = net.window
            theirs = {name: tuple(value.shape) for name, value in net.state_dict().items()}
            assert theirs == shapes(model, attention)
            net.load_state_dict(state)
            x = torch.from_numpy(sound(shape)).to(dtype) * 32768
            return net.eval()(x)
    finally:
        torch.set_default_dtype(torch.float32)


if __name__ == "__main__":
    found = {case: logits(sys.argv[1], case, torch.float64) for case in CASES}
    made = {
        "made_by": "tests/golden/make_esresnet.py, float64",
        "torch": torch.__version__,
        "commits": {"ESResNet": "138c073", "ESResNeXt-fbsp": "7c1488a"},
        "logits": {case: y.tolist() for case, y in found.items()},
    }
    GOLDEN.write_text(json.dumps(made, indent=1) + "\n")
