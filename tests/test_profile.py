"""Profiles against the published arithmetic."""

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sepaudio import registry
from sepaudio.cli import profile as cli
from sepaudio.layers import SeparableConv2d
from sepaudio.verbs.profile import profile, separable_cost


def test_source_documents_example_656_for_4608():
    assert separable_cost(16, 32, (3, 3)) == (656, 4608)

    class One(torch.nn.Module):
        sample_rate, hop, latency, receptive_field, causal = 8, 1, 0, None, False

        def __init__(self):
            super().__init__()
            self.conv = SeparableConv2d(16, 32, 3, bias=False)

        def forward(self, x):
            return self.conv(x[:, None, None].expand(-1, 16, 4, -1))

    found = profile(One())
    assert (found.weights, found.dense_weights) == (656, 4608)
    assert (found.macs, found.dense_macs) == (656 * 32, 4608 * 32)


@pytest.mark.parametrize(("name", "per_frame"), [("swishnet_slim", 5304), ("swishnet_wide", 17912)])
def test_swishnets_multiply_adds_per_frame(name, per_frame):
    model = registry.create(name)
    found = profile(model, 2.0)
    assert found.macs == per_frame * model.frontend.frames(32000)


def test_parameters_of_the_layers_add_up():
    for name in [n for n in registry.names(tests=True) if n.endswith("_test")]:
        found = profile(name, 1.0)
        assert sum(layer.parameters for layer in found.layers) == found.parameters


@pytest.mark.parametrize(
    ("name", "giga"), [("convtasnet", 4.911), ("mitas", 6.920), ("tsenet", 6.865)]
)
def test_separators_multiply_adds_per_second(name, giga):
    """At 8 kHz; sharing saves none. With the dead last residual convtasnet would take 4.977."""
    model = registry.create(name)
    frames = model.encoder.frames(800)
    per_second = profile(model, 0.1).macs / frames * 8000 / model.hop
    assert per_second / 1e9 == pytest.approx(giga, abs=0.001)


def test_shared_weights_are_counted_once_and_played_often():
    found = {layer.name: layer for layer in profile("mitas_test", 0.2).layers}
    assert found["tcn.inputs.0"].calls == 2
    assert found["tcn.depthwise.0"].calls == 3
    assert found["tcn.residuals.0"].dense_weights == 3 * found["tcn.residuals.0"].weights


def test_the_teachers_multiply_adds():
    model = registry.create("spectrogram_mobilenet")
    found = profile(model, 2.01)
    assert model.frontend.frames(round(2.01 * 16000)) == 200
    assert found.macs / 1e6 == pytest.approx(10.75, abs=0.01)


def test_dense_costs_more_where_something_is_separable():
    found = profile("swishnet_slim")
    assert found.dense_weights - found.weights == sum(
        6 * i * o - 6 * i - i * o for i, o in ((20, 16), (16, 8), (8, 8))
    )


def test_profile_of_the_command_line(capsys):
    assert cli.run(["swishnet_slim", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["parameters"], found["latency"], found["receptive_field"]) == (5483, 399, 32561)
    assert cli.run(["spectrogram_mobilenet", "--layers"]) == 0
    text = capsys.readouterr().out
    assert "217,235" in text
    assert "whole clip" in text


def test_no_audio_is_refused():
    with pytest.raises(ValueError, match="seconds=0: expected at least one sample"):
        profile("swishnet_slim", 0)


@pytest.mark.parametrize("name", ["nf_resnet26", "hyper_wrn40_1", "mobilenet_v1", "polynet"])
def test_networks_multiply_adds_are_torchs_count(name):
    """Weights made on the fly are multiplied with as well."""
    picture = {"sample_rate": 1000, "n_fft": 32, "window_length": 26, "hop": 12, "n_bands": 1}
    values = {"backbone": name, "multiplier": 0.1, "features": picture, "attention": False}
    model = registry.create("esresnet", labels=["a", "b"], seconds=1.0, **values).eval()
    if model.backbone.minimum_size[0] > model.frontend.rows:
        model = registry.create("esresnet", **values | {"features": picture | {"n_fft": 256}})
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.clip(torch.zeros(1, 1000))
    assert profile(model, 1.0).macs == counter.get_total_flops() // 2
