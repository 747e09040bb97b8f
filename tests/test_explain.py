"""What a classifier of pictures sees, and the maps that add up to what it says."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from sepaudio import hub, io, registry
from sepaudio.cli import main
from sepaudio.verbs import explain
from sepaudio.verbs.classify import Classification, window_of

plots = pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs matplotlib")


def net(name="esresnet_test", **changes):
    torch.manual_seed(0)
    model = registry.create(name, **changes)
    for parameter in model.parameters():  # biases and norms, too
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.double().eval()


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", ["esresnet_test", "esresnext_test"])
def test_the_mean_of_a_map_and_the_bias_are_the_logit(name, attention, channels):
    model = net(name, attention=attention, channels=channels)
    shape = (2, 1500) if channels == 1 else (2, channels, 1500)
    x = torch.randn(shape, dtype=torch.float64)
    maps = model.class_maps(x)
    assert maps.shape[:2] == (2, 2) and maps.ndim == 4
    logits = model(x)
    assert torch.allclose(maps.mean(dim=(2, 3)) + model.head.bias, logits, atol=1e-10)


@pytest.mark.parametrize("attention", [True, False])
def test_maps_of_several_members_add_up_too(attention):
    model = net(attention=attention, members=3)
    x = torch.randn(2, 1500, dtype=torch.float64)
    maps, logits = model.class_maps(x), model(x)
    assert torch.allclose(maps.mean(dim=(2, 3)) + model.head.bias, logits, atol=1e-10)


def test_the_picture_is_what_the_network_sees():
    model = net()
    x = torch.randn(2, 1500, dtype=torch.float64)
    picture = model.picture(x)
    assert picture.shape[:3] == (2, 2, 3)
    assert torch.equal(model.clip_logits(picture), model(x))
    assert model.picture(x[:, :3]).shape[-1] >= 1  # filled up to what can be mirrored


def test_a_model_has_windows_of_its_own():
    assert window_of(net(seconds=1.5)) == 1.5
    assert window_of(net(seconds=1.5), 0.5) == 0.5
    assert window_of(registry.create("swishnet_test")) == 2.0
    with pytest.raises(ValueError, match="at least one sample"):
        window_of(net(), 1e-9)
    with pytest.raises(ValueError, match="seconds=0"):
        registry.create("esresnet_test", seconds=0)


@pytest.fixture
def model(tmp_path):
    return hub.save(net(channels=1, seconds=1.0).float(), tmp_path / "model", card="")


@pytest.fixture
def recording(tmp_path):
    t = np.arange(2500) / 1000
    x = 0.01 * np.random.default_rng(0).standard_normal(2500)
    x += 0.3 * np.sin(2 * np.pi * 100 * t) * (t > 1.2)
    io.write(tmp_path / "x.wav", x.astype(np.float32), 1000)
    return tmp_path / "x.wav"


def test_the_window_that_speaks_most_is_looked_at(model, recording):
    from sepaudio.verbs.classify import classify_files, probabilities

    loaded = hub.load(model)
    (result,) = classify_files([recording], model=loaded)
    seen = explain.look(loaded, result)
    assert seen.start in (0.0, 1.0, 2.0) and seen.label == result.label
    blocks = list(io.blocks(recording, 1.0, sample_rate=1000))
    chances = [probabilities(loaded, [b])[0, loaded.labels.index(seen.label)] for b in blocks]
    assert seen.probability == pytest.approx(max(chances))
    silence = Classification(file="x.wav", label="silence")
    with pytest.raises(ValueError, match=r"x.wav is silence: expected a sound"):
        explain.look(loaded, silence)


@plots
def test_pictures_are_drawn(model, recording, tmp_path, capsys):
    one, two = tmp_path / "input.png", tmp_path / "why.svg"
    call = ["classify", str(recording), "-m", str(model), "--plot-input", str(one)]
    with pytest.raises(SystemExit) as stop:
        main([*call, "--explain", str(two)])
    assert stop.value.code == 0
    assert one.read_bytes().startswith(b"\x89PNG") and one.stat().st_size > 10000
    assert "<svg" in two.read_text()
    assert "x.wav" in capsys.readouterr().out


@plots
@pytest.mark.parametrize(
    ("more", "match"),
    [
        (["-m", "speech_music_noise", "--explain", "a.png"], "such as the weights esc10"),
        (["--plot-input", "a.gif"], "ends with '.gif'"),
        (["--explain", "nowhere/a.png"], "nowhere is no folder"),
    ],
)
def test_what_cannot_be_drawn_is_refused(model, recording, more, match, capsys):
    call = ["classify", str(recording), *(more if "-m" in more else ["-m", str(model), *more])]
    with pytest.raises(SystemExit) as stop:
        main(call)
    assert stop.value.code == 2
    assert match in capsys.readouterr().err


@plots
def test_maps_are_only_drawn_where_they_add_up(tmp_path):
    class Deep:
        picture = None

    with pytest.raises(ValueError, match="Deep has no maps whose means are its logits"):
        explain.check(tmp_path / "a.png", Deep(), maps=True)
    explain.check(tmp_path / "a.png", Deep(), maps=False)
