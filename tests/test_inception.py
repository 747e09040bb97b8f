"""Inception v1 to v4, Inception-ResNet, PolyNet, Xception: counts, sizes, auxiliary heads."""

import laws
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sepaudio.backbones import backbone
from sepaudio.frontends import mel_cfg
from sepaudio.losses import with_auxiliary
from sepaudio.models.spectrogram import SpectrogramCfg, SpectrogramClassifier
from sepaudio.training.classify import cross_entropy

COUNTS = {
    "googlenet": 6998552,
    "googlenet_bn": 6624904,
    "bn_inception": 11295240,
    "inception_v2": 23834568,
    "inception_v3": 23834568,
    "inception_v4": 42679816,
    "inception_resnet_v1": 23995624,
    "inception_resnet_v2": 55843464,
    "polynet": 95366600,
    "xception": 22855952,
}
AUXILIARY = {"googlenet": 13378280, "googlenet_bn": 13004888, "inception_v3": 27161264}


def meta(*args, **kwargs):
    with torch.device("meta"):
        return backbone(*args, **kwargs)


def parameters(net):
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_published_counts(name, count):
    assert parameters(meta(name, n_classes=1000)) == count


@pytest.mark.parametrize(("name", "count"), AUXILIARY.items())
def test_published_counts_with_auxiliary_heads(name, count):
    assert parameters(meta(name, n_classes=1000, auxiliary=True)) == count


def test_inception_v2_is_v3_without_a_norm_in_its_auxiliary_head():
    two, three = (
        meta(name, n_classes=1000, auxiliary=True) for name in ("inception_v2", "inception_v3")
    )
    assert parameters(three) - parameters(two) == 128 + 768  # gain and bias, for a bias


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("inception_v3", {}),
        ("inception_v4", {"blocks": (1, 1, 1)}),
        ("inception_resnet_v2", {"blocks": (1, 1, 1)}),
    ],
)
def test_grids_of_a_picture_of_299_by_299(name, changes):
    net, x = meta(name, 3, 0.125, **changes).eval(), torch.empty(1, 3, 299, 299, device="meta")
    x, grids = net.stem(x), []
    for stage in net.stages:
        x = stage(x)
        grids.append(x.shape[-1])
    assert grids == [35, 17, 8]


@pytest.mark.parametrize("name", AUXILIARY)
def test_auxiliary_heads_change_no_logits(name):
    net = backbone(name, 3, 0.125, n_classes=5, auxiliary=True).double().eval()
    bare = backbone(name, 3, 0.125, n_classes=5).double().eval()
    state = {k: v for k, v in net.state_dict().items() if not k.startswith("auxiliary")}
    bare.load_state_dict(state)
    x = laws.noise(1, 3, 80, 99)
    with torch.no_grad():
        logits = net.all_logits(x)
        assert torch.equal(net(x), bare(x))
    assert torch.equal(logits[0], net(x))
    assert len(logits) == 1 + len(net.auxiliary)
    assert all(y.shape == (1, 5) for y in logits)


def test_auxiliary_heads_teach_the_stages_before_them():
    net = backbone("googlenet_bn", 3, 0.125, n_classes=5, auxiliary=True).double()
    net.eval()
    net.all_logits(laws.noise(1, 3, 64, 80))[1].sum().backward()
    taught = [any(p.grad is not None for p in stage.parameters()) for stage in net.stages]
    assert taught == [True, True, False, False, False]


def test_the_loss_of_auxiliary_heads():
    logits, labels = [laws.noise(4, 3, seed=i) for i in range(3)], torch.tensor([0, 2, 1, -1])
    main, *others = (F.cross_entropy(y[:3], labels[:3]) for y in logits)
    torch.testing.assert_close(with_auxiliary(logits, labels), main + 0.3 * sum(others))
    torch.testing.assert_close(with_auxiliary(logits[:1], labels), main)
    assert with_auxiliary(logits, torch.full((4,), -1)) == 0


def test_smoothed_labels_pull_towards_themselves():
    logits = laws.noise(2, 4).requires_grad_()
    with_auxiliary([logits], torch.tensor([3, 1]), smoothing=0.1).backward()
    wanted = torch.full((2, 4), 0.025, dtype=torch.float64)
    wanted[[0, 1], [3, 1]] += 0.9
    torch.testing.assert_close(logits.grad, (logits.softmax(1) - wanted).detach() / 2)


def test_an_objective_hears_the_auxiliary_heads_of_a_classifier():
    cfg = SpectrogramCfg(
        features=mel_cfg("psf", 1000, n_mels=32),
        backbone="googlenet_bn",
        multiplier=0.125,
        auxiliary=True,
    )
    model = SpectrogramClassifier(cfg).eval()
    batch = torch.randn(2, 32, 40), torch.tensor([0, 2])
    logits = model.all_logits(batch[0])
    assert [y.shape for y in logits] == [(2, 3)] * 3
    assert torch.equal(logits[0], model.clip_logits(batch[0]))
    loss = cross_entropy(0.0)(model, batch)
    torch.testing.assert_close(loss, with_auxiliary(logits, batch[1]))
    loss.backward()
    assert all(p.grad is not None for p in model.backbone.auxiliary.parameters())


def test_a_network_without_a_head_has_no_logits():
    with pytest.raises(ValueError, match="n_classes=0: expected a network with a head"):
        backbone("googlenet_bn", 3, 0.125).all_logits(torch.zeros(1, 3, 64, 64))


def test_a_picture_of_few_bands_is_refused_where_the_classifier_is_made():
    cfg = SpectrogramCfg(backbone="inception_v3", multiplier=0.125)
    with pytest.raises(ValueError, match="picture of 64 rows: expected at least 75; take more n_m"):
        SpectrogramClassifier(cfg)


def test_a_short_clip_is_filled_up_to_the_smallest_picture():
    features = mel_cfg("psf", 16000, n_mels=80)
    cfg = SpectrogramCfg(features=features, backbone="inception_v3", multiplier=0.125)
    model = SpectrogramClassifier(cfg).eval()
    with torch.no_grad():
        assert torch.isfinite(model(torch.randn(1, 800))).all()


def test_survival_of_polynet_falls_to_its_last_module():
    net = meta("polynet")
    scales = [m.scale for m in net.modules() if getattr(m, "scale", 1.0) not in (1.0, None)]
    assert scales == [round(1 - 0.3 * i / 39, 6) for i in range(1, 40)]
    assert np.diff(scales).max() < 0


def test_twelve_of_the_fourteen_modules_of_xception_are_residual():
    net = meta("xception")
    assert sum(getattr(m, "combine", "") == "add" for m in net.modules()) == 12
