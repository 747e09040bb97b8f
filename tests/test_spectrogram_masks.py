"""Separation by masks of a spectrogram: what masks do, loudness, and what does not fit."""

import math

import laws
import pytest
import torch

from sepaudio import registry
from sepaudio.losses import pit


def model(**changes):
    return registry.create("spectrogram_unet_test", **changes).double().eval()


def test_masks_of_one_give_the_mixture_and_of_nothing_silence():
    net, x = model(), laws.noise(2, 777)
    torch.nn.init.zeros_(net.last.weight)
    torch.nn.init.constant_(net.last.bias, 50.0)
    laws.close(net(x), x[:, None].expand(-1, 2, -1), 1e-10)
    torch.nn.init.constant_(net.last.bias, -50.0)
    assert net(x).abs().max() < 1e-12


def test_softmax_shares_the_mixture_out():
    net, x = laws.perturbed(model(mask="softmax", n_src=3)), laws.noise(2, 1000)
    estimates = net(x)
    assert estimates.shape == (2, 3, 1000)
    laws.close(estimates.sum(dim=1), x, 1e-10)
    assert not torch.allclose(estimates[:, 0], estimates[:, 1])


def test_loudness_changes_no_mask():
    net, x = laws.perturbed(model()), laws.noise(1, 1000)
    laws.close(net(100 * x), 100 * net(x), 1e-8)


@pytest.mark.parametrize("name", ["saunet", "unet_residual", "unet_bilinear"])
def test_any_network_of_maps_takes_its_place(name):
    changes = {"backbone": name, "multiplier": 0.125, "n_fft": 64}
    assert model(**changes)(laws.noise(1, 500)).shape == (1, 2, 500)


def test_it_learns_to_tell_low_from_high():
    torch.manual_seed(0)
    net = model().train()
    t = torch.arange(500, dtype=torch.float64) / 1000
    sources = torch.stack([torch.sin(2 * math.pi * f * t) for f in (60, 310)])[None]
    optimizer, losses = torch.optim.Adam(net.parameters(), 1e-2), []
    for _ in range(16):
        optimizer.zero_grad()
        loss = pit(net(sources.sum(dim=1)), sources)[0].mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > -5  # dB
    assert losses[-1] < -8, losses


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="'resnet18' has features of stride 32: expected 1; take"):
        model(backbone="resnet18")
    with pytest.raises(ValueError, match="n_fft=16 gives 9 bins: expected at least 16"):
        model(n_fft=16)
    with pytest.raises(ValueError, match="compression=0: expected above 0"):
        model(compression=0)
    with pytest.raises(ValueError, match="n_src=0: expected 1 or more"):
        model(n_src=0)
