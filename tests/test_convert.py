"""Foreign files become model folders; what cannot is refused with a reason."""

import hashlib
import json
import pickle
from pathlib import Path

import laws
import pytest
import torch
from safetensors.torch import save_file

from sepaudio import cli, create, hub
from sepaudio.backbones import backbone
from sepaudio.convert import (
    CONVERTERS,
    Source,
    asteroid,
    esresnet,
    from_asteroid,
    from_esresnet,
    from_imagenet,
    from_torchaudio,
    imagenet,
    torchaudio,
)
from sepaudio.verbs import convert as verb
from sepaudio.verbs.classify import resolve

SAMPLES = Path(__file__).parent.parent / "samples"
ARGS = {
    **{"n_src": 2, "n_filters": 12, "kernel_size": 8, "stride": 4, "bn_chan": 6, "hid_chan": 10},
    **{"skip_chan": 5, "n_blocks": 3, "n_repeats": 2, "sample_rate": 8000.0, "fb_name": "FreeFB"},
}


@pytest.fixture
def model():
    tcn = {"bottleneck": 6, "hidden": 10, "skip": 5, "n_blocks": 3, "n_repeats": 2}
    return create("convtasnet_test", sample_rate=8000, pad="drop", tcn=tcn).eval()


@pytest.fixture
def pack(model):
    """A pack with the odd things that real ones have."""
    state = {asteroid.their_name(name, model.cfg.tcn): v for name, v in model.state_dict().items()}
    versions = {"torch_version": torch.__version__, "asteroid_version": "0.7.0"}
    return {
        "model_name": "ConvTasNet",
        "model_args": dict(ARGS),
        "state_dict": state,
        "infos": {"software_versions": versions},
        "licenses": [{"title": "WSJ0", "paid": True}],
    }


@pytest.fixture
def state():
    tcn = {"bottleneck": 6, "hidden": 10, "skip": 6, "n_blocks": 3, "n_repeats": 2}
    model = create("convtasnet_test", sample_rate=8000, tcn=tcn).eval()
    ours = {name: v for name, v in model.state_dict().items() if name not in model.dead_parameters}
    return {torchaudio.their_name(name): v for name, v in ours.items()}


SAID = {"sample_rate": 8000, "mask": "sigmoid", "n_blocks": 3}


@pytest.mark.parametrize("suffix", verb.PICKLED)
def test_a_pack_becomes_a_folder_that_plays_the_same(tmp_path, model, pack, suffix):
    file, folder = tmp_path / f"model{suffix}", tmp_path / "runs" / "tasnet"
    torch.save(pack, file)
    given = verb.convert(file, "asteroid", folder, license="CC-BY-SA-4.0")
    x = laws.noise(2, 163, dtype=torch.float32)
    with torch.no_grad():
        for ours in (given, hub.load(folder)):
            assert torch.equal(ours(x), model(x))
            assert not ours.training
    config = hub.read_config(folder)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    origin = {"file": f"model{suffix}", "sha256": digest, "format": "asteroid"}
    assert config["converted_from"] == origin
    assert (config["license"], config["sample_rate"]) == ("CC-BY-SA-4.0", 8000)
    assert "untrained" not in config
    card = (folder / "README.md").read_text()
    for text in ("# tasnet", f"`model{suffix}`", digest, "asteroid", "CC-BY-SA-4.0", "8000 Hz"):
        assert text in card


def test_safetensors_and_an_unknown_licence(tmp_path, state):
    save_file(state, tmp_path / "theirs.safetensors")
    verb.convert(tmp_path / "theirs.safetensors", "torchaudio", tmp_path / "out", said=SAID)
    assert hub.read_config(tmp_path / "out")["license"] == "unknown"
    assert "unknown: ask who made them" in (tmp_path / "out" / "README.md").read_text()


def test_nothing_is_replaced_unasked(tmp_path, pack):
    torch.save(pack, tmp_path / "a.pth")
    folder = tmp_path / "out"
    verb.convert(tmp_path / "a.pth", "asteroid", folder)
    before = (folder / "model.safetensors").read_bytes()
    pack["state_dict"]["masker.mask_net.0.weight"].add_(1)
    torch.save(pack, tmp_path / "a.pth")
    with pytest.raises(FileExistsError, match="is there already; pass --overwrite"):
        verb.convert(tmp_path / "a.pth", "asteroid", folder)
    assert (folder / "model.safetensors").read_bytes() == before
    verb.convert(tmp_path / "a.pth", "asteroid", folder, overwrite=True)
    assert (folder / "model.safetensors").read_bytes() != before


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("code of the file was run",))


@pytest.mark.parametrize(
    ("write", "match"),
    [
        (lambda p: torch.save({"a": Evil()}, p), "holds Python objects that would run code"),
        (lambda p: p.write_bytes(pickle.dumps({"a": Evil()})), "holds Python objects"),
        (lambda p: p.write_bytes(b"PK\x03\x04 cut"), "is damaged, or holds"),
        (lambda p: p.write_bytes(b""), "is empty"),
        (lambda p: torch.save([1], p), r"holds a list: expected a dict"),
        (lambda p: torch.save({1: 2}, p), "expected a dict with text keys"),
        (lambda p: None, "does not exist"),
    ],
)
def test_files_that_are_refused(tmp_path, write, match):
    write(tmp_path / "x.pth")
    with pytest.raises(ValueError, match=match):
        verb.convert(tmp_path / "x.pth", "asteroid", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_suffixes_and_damaged_safetensors(tmp_path):
    for name, match in (("x.h5", "expected a file of weights"), ("x.safetensors", "or damaged")):
        (tmp_path / name).write_bytes(b"no weights")
        with pytest.raises(ValueError, match=match):
            verb.read(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"mask_act": "gelu"}, "mask_act='gelu': expected one of sigmoid"),
        ({"norm_type": "fgLN"}, "norm_type='fgLN': expected one of gLN"),
        ({"fb_name": "stft"}, "fb_name='stft': expected 'free'"),
        ({"out_chan": 1}, "out_chan=1: expected n_filters=12"),
        ({"n_src": None}, "n_src=None: expected a whole number"),
        ({"kernel_size": "8"}, "kernel_size='8': expected a whole number"),
        ({"who_is_pinv": "decoder"}, "model_args has 'who_is_pinv': expected none but"),
        ({"sample_rate": None}, "sample_rate is not in the file"),
        ({"n_blocks": 4}, r"0 unknown and 28 \(masker\.TCN\.6.* missing"),
        ({"skip_chan": 0}, r"12 \(masker\.TCN\.0\.skip_conv\.weight, .* unknown and 0 missing"),
        ({"hid_chan": 11}, r"has shape \[10, 6, 1\]: expected \[11, 6, 1\]"),
    ],
)
def test_packs_that_are_refused(pack, change, match):
    pack["model_args"].update(change)
    with pytest.raises(ValueError, match=match):
        from_asteroid(pack)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"model_name": "VADNet"}, "model_name='VADNet': expected 'ConvTasNet'"),
        ({"model_args": None}, "model_args is a NoneType: expected a dict"),
    ],
)
def test_things_that_are_no_pack(pack, change, match):
    with pytest.raises(ValueError, match=match):
        from_asteroid({**pack, **change})
    with pytest.raises(ValueError, match="no model_name, model_args in it"):
        from_asteroid({"state_dict": {}})


def test_what_a_pack_does_not_say_is_asked_for_and_not_contradicted(pack):
    with pytest.raises(ValueError, match="sample_rate=16000: the file says 8000"):
        from_asteroid(pack, sample_rate=16000)
    del pack["model_args"]["sample_rate"]
    assert from_asteroid(pack, sample_rate=16000).sample_rate == 16000


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"sample_rate": None}, "sample_rate is not in the file"),
        ({"mask": None}, "mask=None: expected relu"),
        ({"n_blocks": None}, "n_blocks=None: expected how many of the 6 blocks"),
        ({"n_blocks": 4}, "n_blocks=4: expected how many of the 6 blocks"),
    ],
)
def test_torchaudio_needs_what_weights_do_not_show(state, change, match):
    with pytest.raises(ValueError, match=match):
        from_torchaudio(state, **{**SAID, **change})


def test_another_state_dict_is_refused(state):
    with pytest.raises(ValueError, match=r"no filters 'encoder\.weight' in it"):
        from_torchaudio({"fc.weight": torch.zeros(1)}, **SAID)


def test_weights_that_are_not_finite_are_refused(tmp_path, pack):
    pack["state_dict"]["masker.mask_net.1.bias"][3] = torch.nan
    torch.save(pack, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"mask_conv\.bias has NaN or infinite values"):
        verb.convert(tmp_path / "a.pth", "asteroid", tmp_path / "out")


def headless(state, *, architecture="swishnet_test"):
    model = create(architecture)
    model.load_state_dict(state)
    return model


@pytest.fixture
def headless_folder(tmp_path, monkeypatch):
    source = Source(build=headless, what="a test", untrained=("head",))
    monkeypatch.setitem(CONVERTERS, "test", source)
    torch.save(create("swishnet_test").state_dict(), tmp_path / "trunk.pt")
    verb.convert(tmp_path / "trunk.pt", "test", tmp_path / "trunk")
    return tmp_path / "trunk"


def test_an_untrained_head_is_marked_and_refused_where_weights_are_needed(headless_folder):
    assert hub.read_config(headless_folder)["untrained"] == ["head"]
    assert "Not trained yet: `head`" in (headless_folder / "README.md").read_text()
    for load in (hub.load, resolve):
        with pytest.raises(ValueError, match=r"head not trained yet: expected a trained model"):
            load(headless_folder)


def test_it_is_there_to_be_trained_and_then_it_is_trained(headless_folder, tmp_path):
    model = hub.load(headless_folder, untrained=True)
    hub.save(model, tmp_path / "trained", card="")
    assert resolve(tmp_path / "trained", "cpu").labels == model.labels


@pytest.mark.parametrize(
    "arguments", [("classify", SAMPLES, "--model"), ("evaluate", "--split=all")]
)
def test_verbs_refuse_it(capfd, headless_folder, arguments):
    more = ["m.csv"] if arguments[0] == "evaluate" else []
    code, _, err = call(capfd, *arguments, headless_folder, *more)
    assert code == 2
    assert "head not trained yet" in err


def test_what_it_costs_can_be_asked(capfd, headless_folder):
    assert call(capfd, "profile", headless_folder)[0] == 0


@pytest.fixture(scope="module")
def trunk():
    """A ResNet-50 under its published names."""
    state = {imagenet.published_name(n): v for n, v in backbone("resnet50").state_dict().items()}
    return {**state, "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}


def test_imagenet_is_the_start_of_a_classifier(trunk, tmp_path):
    labels = ["dog", "rain", "siren"]
    said = {"architecture": "esresnet_attention", "labels": labels}
    torch.save(trunk, tmp_path / "resnet50.pth")
    given = verb.convert(tmp_path / "resnet50.pth", "imagenet", tmp_path / "start", said=said)
    assert hub.read_config(tmp_path / "start")["untrained"] == ["attention", "head"]
    again = hub.load(tmp_path / "start", untrained=True)
    assert given.labels == again.labels == tuple(labels)
    assert again.head.out_features == 3
    for net in (given, again):
        assert torch.equal(net.backbone.stem.unit.conv.weight, trunk["conv1.weight"])
        spatial = net.backbone.stages[3][2].branch[1].conv.weight
        assert torch.equal(spatial, trunk["layer4.2.conv2.weight"])


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({}, r"architecture=None: expected one of esresnet, .*; say it \(--to\)"),
        ({"architecture": "swishnet_slim"}, "architecture='swishnet_slim': expected one of"),
        ({"architecture": "esresnext_fbsp"}, "missing|has shape"),
        ({"architecture": "esresnet", "labels": "dog"}, "labels='dog': expected a list"),
    ],
)
def test_imagenet_needs_an_architecture_with_that_trunk(trunk, said, match):
    with pytest.raises(ValueError, match=match):
        from_imagenet(trunk, **said)


@pytest.mark.parametrize(
    ("name", "said", "labels"),
    [
        ("esresnet", {}, ("0", "1", "2")),
        ("esresnet_attention", {"labels": ["a", "b", "c"], "channels": 2}, ("a", "b", "c")),
    ],
)
def test_the_weights_say_which_esresnet_it_is(name, said, labels):
    torch.manual_seed(1)
    model = create(name, labels=("x", "y", "z")).eval()
    state = {esresnet.their_name(n, "classifier"): v for n, v in model.state_dict().items()}
    ours = from_esresnet(state, **said).eval()
    assert ours.labels == labels
    assert ours.cfg.attention == ("attention" in name)
    assert ours.cfg.channels == said.get("channels", 1)
    weights = model.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in ours.state_dict().items())
    with pytest.raises(ValueError, match=r"labels=\['a'\]: expected a list of 3"):
        from_esresnet(state, labels=["a"])


def test_fifty_classes_are_those_of_esc_50():
    model = create("esresnext_fbsp")
    state = {esresnet.their_name(n, "fc"): v for n, v in model.state_dict().items()}
    ours = from_esresnet(state)
    assert ours.cfg == model.cfg
    assert ours.labels[:2] == ("dog", "rooster")
    with pytest.raises(ValueError, match=r"no classifier\.bias"):
        from_esresnet({})


def call(capfd, *arguments):
    with pytest.raises(SystemExit) as stop:
        cli.main([str(a) for a in arguments])
    out, err = capfd.readouterr()
    return stop.value.code, out, err


def test_the_command_line(capfd, tmp_path, model, pack):
    torch.save(pack, tmp_path / "model.pth")
    command = ["convert", tmp_path / "model.pth", "--from", "asteroid", "-o", tmp_path / "out"]
    code, out, _ = call(capfd, *command, "--license", "MIT")
    assert code == 0
    count = sum(p.numel() for p in model.parameters())
    assert out == f"{tmp_path / 'out'}: ConvTasNet, {count:,} parameters\n"
    assert json.loads((tmp_path / "out" / "config.json").read_text())["license"] == "MIT"
    code, _, err = call(capfd, *command)
    assert code == 2
    assert "pass --overwrite" in err
    assert call(capfd, *command, "--overwrite")[0] == 0


def test_the_command_line_says_what_the_file_does_not(capfd, tmp_path, state):
    save_file(state, tmp_path / "theirs.safetensors")
    command = ["convert", "--from", "torchaudio", "-o", tmp_path / "out"]
    command.append(tmp_path / "theirs.safetensors")
    code, _, err = call(capfd, *command, "--sample-rate", 8000, "--say", "mask=relu")
    assert code == 2
    assert "theirs.safetensors, read as torchaudio: n_blocks=None" in err
    code, out, _ = call(capfd, *command, "--sample-rate", 8000, "--say", "mask=relu", "n_blocks=3")
    assert code == 0
    assert "ConvTasNet" in out
    assert hub.load(tmp_path / "out").cfg.mask == "relu"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--from", "nemo"], "no source of weights is called 'nemo'"),
        (["--from", "asteroid", "--say", "mask"], "'mask': expected key=value"),
        (
            ["--from", "asteroid", "--say", "mask=relu"],
            "mask is nothing that asteroid takes: expected",
        ),
        (["--from", "asteroid", "--to", "mitas"], "architecture is nothing that asteroid takes"),
    ],
)
def test_wrong_usage(capfd, tmp_path, arguments, match):
    code, _, err = call(capfd, "convert", "x.pth", "-o", tmp_path / "out", *arguments)
    assert code == 2
    assert match in err
