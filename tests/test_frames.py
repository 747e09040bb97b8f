"""Classifiers of frames: they train as others do, and the causal ones segment a stream."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sepaudio import registry
from sepaudio.layers import SliceCfg
from sepaudio.models.frames import FramesCfg
from sepaudio.training import classify
from sepaudio.training.bank import Bank
from sepaudio.training.optim import OptimCfg
from sepaudio.training.recipe import RecipeCfg
from sepaudio.verbs.segment import hear, resolve

TRUNKS = ["slicenet_test", "bytenet_causal_test", "transformer_causal_test", "hyperlstm_test"]


def bank(n=48, bands=8, frames=60):
    """Items whose class is the sign of their mean, but for one in six, which is mislabelled."""
    random = np.random.default_rng(0)
    labels = np.arange(n) % 2
    x = random.standard_normal((n, bands, frames)) + 2 * labels[:, None, None] - 1
    labels = np.where(np.arange(n) % 12 < 2, 1 - labels, labels)
    return Bank(
        features=x.astype(np.float16),
        active=np.ones((n, frames), bool),
        labels=labels.astype(np.int64),
        edges=np.full(n, 500, np.float32),
        origins=np.zeros((n, 2), np.int64),
        names=("ours",),
        fingerprint="none",
    )


@pytest.mark.parametrize("name", TRUNKS)
def test_it_learns_and_its_head_is_calibrated(name, tmp_path):
    torch.manual_seed(0)
    optim = OptimCfg(steps=30, batch=16, lr=2e-2, warmup=2, lengths=(0.2, 0.3), ema=0.5)
    cfg = RecipeCfg(architecture=name, optim=replace(optim, save_every=1e3))
    made = classify.fit(registry.create(name), bank(), bank(), cfg, tmp_path / "run", quiet=True)
    assert made.valid_accuracy > 0.7  # of five in six
    again, _ = classify.calibrate(made.model, made.bank, ())
    assert again == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("name", TRUNKS[1:])
def test_a_causal_one_segments_a_stream(name):
    torch.manual_seed(0)
    model = resolve(registry.create(name).eval(), "cpu")
    x = np.random.default_rng(0).standard_normal(2345).astype(np.float32) * 0.1
    heard = hear(model, np.split(x, [1, 700, 701, 2000]))
    with torch.no_grad():
        whole = model(torch.from_numpy(x)[None])[0].softmax(dim=0).T.numpy()
    np.testing.assert_allclose(heard.probabilities, whole, atol=1e-5)


def test_one_that_is_not_causal_is_refused_for_a_stream():
    with pytest.raises(ValueError, match="FrameClassifier names whole clips: expected a causal"):
        resolve(registry.create("slicenet_test"), "cpu")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FramesCfg(labels=("a",)), r"labels=\('a',\): expected two classes or more"),
        (lambda: FramesCfg(hidden=-1), "hidden=-1: expected 0 or more"),
        (
            lambda: registry.create("slicenet_super", trunk={"groups": [5]}),
            "groups=5 with 96 channels in and 96 out: expected a divisor",
        ),
        (
            lambda: registry.create("slicenet", trunk={"type": "ByteNetCfg", "width": 9}),
            "width=9: expected an even number",
        ),
    ],
)
def test_bad_classifiers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_trunk_changes_by_a_key():
    model = registry.create("slicenet_small", trunk={"modules": 1})
    assert isinstance(model.cfg.trunk, SliceCfg) and model.cfg.trunk.width == 96
    other = registry.create("slicenet_small", trunk={"type": "HyperLSTMCfg", "width": 16})
    assert other.causal and other.cfg.trunk.hyper == 32
