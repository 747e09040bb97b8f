"""The general classifier on cepstra."""

import laws
import pytest
import torch

from sepaudio import registry
from sepaudio.frontends import mel_cfg
from sepaudio.models.spectrogram import SpectrogramCfg

CEPSTRA = {
    "picture": "mfcc_deltas",
    "features": mel_cfg("psf", 1000, n_mels=16, n_mfcc=12),
    "labels": ("noise", "speech"),
    "hidden": 3,
}


def test_the_default_is_as_it_was():
    model = registry.create("spectrogram_mobilenet")
    assert sum(p.numel() for p in model.parameters()) == 217235
    assert registry.from_dict(registry.to_dict(model.cfg)) == model.cfg


def test_learns_a_step_from_cepstra_and_their_slopes():
    model = registry.create("spectrogram_mobilenet", **CEPSTRA, dropout=0.0)
    step = torch.optim.SGD(model.parameters(), 0.01)
    x, labels = laws.noise(4, 3000, dtype=torch.float32), torch.tensor([0, 1, 0, 1])
    losses = []
    for _ in range(2):
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        step.zero_grad()
        loss.backward()
        step.step()
        losses.append(loss.item())
    laws.every_parameter_learns(model, model(x))
    assert losses[1] < losses[0]


def test_the_backbone_sees_three_different_colours():
    model = registry.create("spectrogram_mobilenet", **CEPSTRA).double().eval()
    seen = []
    model.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model(laws.noise(2, 3000))
    features = model.frontend(laws.noise(2, 3000))
    laws.close(seen[0], model.frontend.picture(features))


def test_padding_in_a_batch_changes_nothing():
    model = registry.create("spectrogram_mobilenet", **CEPSTRA).double().eval()
    lengths = torch.tensor([3000, 2345, 333, 1])
    x = laws.noise(4, 3000) * (torch.arange(3000) < lengths[:, None])
    with torch.no_grad():
        together = model(x, lengths)
        for row, n in enumerate(lengths.tolist()):
            laws.close(together[row], model(x[row : row + 1, :n])[0])


def test_errors_name_value_and_remedy():
    with pytest.raises(ValueError, match="picture='cqt': expected one of mel, mfcc_deltas"):
        SpectrogramCfg(picture="cqt")
    with pytest.raises(ValueError, match="channels=1 with picture='mfcc_deltas': expected 3"):
        SpectrogramCfg(picture="mfcc_deltas", channels=1)
