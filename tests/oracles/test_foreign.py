"""Networks of timm through the door: counts, features, refusals, and a classifier of one."""

import importlib.util

import laws
import pytest
import torch

from sepaudio import doors, hub
from sepaudio.backbones import backbone
from sepaudio.frontends import mel_cfg
from sepaudio.models.spectrogram import SpectrogramCfg, SpectrogramClassifier

pytestmark = pytest.mark.oracle

COUNTS = {
    "vit_base_patch16_224": 86567656,
    "deit_small_patch16_224": 22050664,
    "swin_tiny_patch4_window7_224": 28288354,
    "regnety_040": 20646656,
    "efficientnetv2_s": 21458488,
    "dpn68": 12611602,
    "mnasnet_100": 4383312,
    "resnetv2_50x1_bit": 25549352,
    "lambda_resnet26t": 10958272,
}
LARGE = {
    "swin_small_patch4_window7_224": 49606258,
    "regnety_080": 39180068,
    "regnety_160": 83590140,
    "dpn98": 61570728,
    "dpn131": 79254504,
    "nasnetalarge": 88753150,
    "pnasnet5large": 86057668,
    "semnasnet_100": 3887038,
    "resnetv2_101x3_bit": 387934888,
    "resnetv2_152x4_bit": 936533224,
    "botnet26t_256": 12488672,
}


@pytest.mark.parametrize(
    ("name", "count"),
    [*COUNTS.items(), *(pytest.param(*pair, marks=pytest.mark.slow) for pair in LARGE.items())],
)
def test_counts_of_those_that_are_only_named(name, count):
    with torch.device("meta"):
        net = backbone(f"timm:{name}", n_classes=1000)
    assert sum(p.numel() for p in net.parameters()) == count


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_features_are_pictures_of_any_size(name):
    net = backbone(f"timm:{name}", 1).eval()
    x = laws.noise(2, 1, 70, 131, dtype=torch.float32)
    with torch.no_grad():
        y, theirs = net(x), net.stem.net.forward_features(x)
        laws.close(net(x[:1]), y[:1], 1e-4)
    assert y.shape[:2] == (2, net.out_channels)
    assert y.shape[2] == -(-70 // net.stride)
    assert y.shape[3] == -(-131 // net.stride)
    if name == "test_resnet":
        laws.close(y, theirs)
    else:  # row by row, after the one token that stands for no place
        laws.close(y[:, :, 1, 2], theirs[:, 1 + y.shape[3] + 2])


def test_channels_come_first_where_timm_has_them_last():
    with torch.device("meta"):
        net = backbone("timm:swin_tiny_patch4_window7_224").eval()
        assert net(torch.empty(1, 3, 70, 131)).shape == (1, net.out_channels, 3, 5)


def test_gradients_reach_every_parameter():
    net = backbone("timm:mobilenetv3_small_050", n_classes=5).double()
    laws.every_parameter_learns(net, net(laws.noise(2, 3, 64, 96)))


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("timm:hf-hub:timm/vit", {}, "hub are not fetched: .* such as 'timm:vit'"),
        ("timm:resnet50.a1_in1k", {}, "hub are not fetched: .* such as 'timm:resnet50'"),
        ("timm:resnet50", {"pretrained": True}, "hub are not fetched"),
        ("timm:resnet50", {"multiplier": 0.5}, "with multiplier=0.5: expected its own widths"),
        ("timm:resnet50", {"drop": 0.5}, "with drop=0.5: expected its own widths"),
        ("timm:resnet49", {}, "no network of timm is called 'resnet49'; did you mean 'resnet"),
    ],
)
def test_what_is_refused(name, changes, said):
    with pytest.raises(ValueError, match=said):
        backbone(name, **changes)


def test_without_timm_its_install_is_named(monkeypatch):
    doors.timm()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delitem(__import__("sys").modules, "timm")
    monkeypatch.setattr(doors, "timm", doors.timm.__wrapped__)
    with pytest.raises(ImportError, match="timm is not installed: pip install 'timm>=1"):
        backbone("timm:resnet50")


def test_a_classifier_of_one_is_saved_and_loaded(tmp_path):
    cfg = SpectrogramCfg(
        features=mel_cfg("psf", 1000, n_mels=16), backbone="timm:test_resnet", multiplier=1.0
    )
    model = SpectrogramClassifier(cfg).eval()
    hub.save(model, tmp_path / "model", card="A test.")
    x = laws.noise(2, 3000, dtype=torch.float32)
    with torch.no_grad():
        assert torch.equal(hub.load(tmp_path / "model")(x), model(x))
