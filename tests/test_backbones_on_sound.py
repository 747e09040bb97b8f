"""Every family inside the spectrogram classifier: a step on real sound, saved, loaded, the same."""

import functools
from pathlib import Path

import laws
import pytest
import torch
from test_backbones import NARROW, shallow, shallow_size
from torch.nn import functional as F

from sepaudio import hub, io
from sepaudio.frontends import mel_cfg
from sepaudio.models import spectrogram
from sepaudio.models.spectrogram import SpectrogramCfg, SpectrogramClassifier

RATE = 16000
SAMPLES = Path(__file__).parent.parent / "samples"


@functools.cache
def sound():
    """One second of each of two sounds [2, T]."""
    names = ("speech.flac", "music_cello.flac")
    clips = [io.read(SAMPLES / name, RATE)[0][RATE // 2 :][:RATE] for name in names]
    return torch.stack([torch.as_tensor(x) for x in clips])


@pytest.mark.parametrize("name", NARROW)
def test_any_backbone_learns_a_step_of_sound_and_is_kept(name, monkeypatch, tmp_path, device):
    monkeypatch.setattr(spectrogram, "backbone", shallow)
    bands = max(64, shallow_size(name)[0])
    features = mel_cfg("psf", RATE, n_mels=bands)
    cfg = SpectrogramCfg(backbone=name, multiplier=0.125, channels=1, features=features)
    model = SpectrogramClassifier(cfg).to(device).train()
    x, labels = sound().to(device), torch.tensor([0, 1], device=device)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    F.cross_entropy(model(x), labels).backward()
    optimizer.step()
    moved = [not a.equal(b) for a, b in zip(before, model.parameters(), strict=True)]
    assert any(moved) and all(torch.isfinite(p).all() for p in model.parameters())
    hub.save(model.eval(), tmp_path / "model", card="a test")
    again = hub.load(tmp_path / "model", device=device)
    with torch.no_grad():
        laws.close(again(x), model(x), 1e-6)
