"""The comparison with published networks of recipes/real_small, on a budget of one step each."""

import json
import re
import shutil
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import voices

from sepaudio import io
from sepaudio.data.render import Example
from sepaudio.verbs.scores import Row

RECIPE = Path(__file__).parent.parent / "recipes" / "real_small"
NETWORKS = ("mitas_small", "conv_tasnet", "tsenet_small", "td_speakerbeam")
SCRIPTS = ("learner", "make_lists", "peer_networks", "peers")

pytestmark = pytest.mark.skipif(find_spec("asteroid") is None, reason="needs asteroid")


@pytest.fixture(scope="module")
def recipe():
    """The scripts of the recipe as modules, by name."""
    sys.path.insert(0, str(RECIPE))
    yield lambda name: import_module(name)
    sys.path.remove(str(RECIPE))
    for name in SCRIPTS:
        sys.modules.pop(name, None)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Five voices, a noise and some music, each in both splits; the working folder."""
    rows = ["path,kind,license,source,split,speaker"]
    for number in range(5):
        name, split = f"s{number}", ("test", "train")[number % 2]
        io.write(tmp_path / f"{name}.flac", voices.voice(7.5, 90 + 20 * number, number), 8000)
        rows.append(f"{name}.flac,speech,CC0-1.0,hum@1:{name},{split},{name}")
    for kind in ("noise", "music"):
        x = voices.voice(3, 300 if kind == "noise" else 400)
        for split in ("train", "test"):
            io.write(tmp_path / f"{kind}_{split}.flac", x, 8000)
            rows.append(f"{kind}_{split}.flac,{kind},CC0-1.0,{kind}@1:{split},{split},")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    shutil.copy(RECIPE / "peers.md", tmp_path / "peers.md")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_voices_to_the_table_and_nothing_is_made_twice(recipe, folder, monkeypatch, capfd):
    def call(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, "manifest.csv", *map(str, arguments)])
        recipe(name).main()
        return capfd.readouterr().out

    short = [f"data.mixing.{key}=0.5" for key in ("seconds", "enrollment_seconds", "least_seconds")]
    tiny = ["optim.batch=2", *short]
    tiny += ["--budget", 0.001, "--readme", "peers.md", "--networks", *NETWORKS]
    said, elsewhere = call("peers", *tiny, "--unscored"), folder / "elsewhere"
    for name in NETWORKS:
        assert f"{name}: 1 steps in " in said
    shutil.copytree(folder, elsewhere)
    monkeypatch.chdir(elsewhere)
    folder = elsewhere
    call("make_lists", "--mixtures", 2)
    (folder / "runs/real_small/lists/music.csv").unlink()  # a set may have no music
    assert "steps in" not in call("peers", *tiny)
    block = (folder / "peers.md").read_text().split("<!-- peers -->")[1].split("<!-- end")[0]
    assert re.search(r"\| mitas_small +\| +474,420 \| +2 \| +1 \| +\d+ \| two_speakers \|", block)
    assert re.search(r"\| conv_tasnet +\| +5,050,545 \| +2 \| +1 \|", block)
    for kind, compared in (("two_speakers", 2), ("noise", 1), ("music", 0)):
        assert len(re.findall(rf"\| {kind} +\| si_snr_i +\| .* \| +2 \|", block)) == compared
    assert "#### tsenet_small minus td_speakerbeam" in block
    assert block.count("p: Wilcoxon") == block.count("Better than ours at p < 0.05:") == 2
    kept = folder / "runs/real_small/peers"
    about = json.loads((kept / "td_speakerbeam/about.json").read_text())
    assert about["seconds"] > 0.001 and "lr: 0.001" in about["recipe"]
    files = [path for path in kept.rglob("*") if path.is_file()]
    before = [path.stat().st_mtime_ns for path in files]
    said = call("peers", *tiny)
    assert "steps in" not in said and [path.stat().st_mtime_ns for path in files] == before


def test_the_learning_rate_rises_then_falls_to_zero_with_the_budget(recipe):
    learner = recipe("learner")
    assert learner.rate(0.0, 0.01) == pytest.approx(0.01 / learner.WARMUP)
    assert learner.rate(0.0, 0.5) == 1.0  # a step that takes half the budget is made at full rate
    assert learner.rate(0.5, 0.01) == pytest.approx(0.5)
    assert learner.rate(1.0, 0.01) == pytest.approx(0.0, abs=1e-12)


class Noise:
    """Draws mixtures of two noises."""

    def item(self, seed, epoch, index):
        x = np.random.default_rng(index).standard_normal((3, 800)).astype(np.float32)
        return Example(x[0] + x[1], x[:2], 0, x[2], 8000, {})


def learner_of(recipe, folder, name, *given):
    peers = recipe("peers")
    cfg = peers.CONTENDERS[name].cfg(["optim.batch=3", *given])
    torch.manual_seed(0)
    net = peers.CONTENDERS[name].build(cfg)
    return recipe("learner").Learner(net, cfg, Noise(), 1e6, folder / name, 1)


def test_a_killed_run_goes_on_as_if_it_had_not_been(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(recipe("learner").time, "process_time", iter(range(100)).__next__)

    def learned(steps, folder):
        folder.mkdir(exist_ok=True)
        small = "model.tcn={bottleneck: 8, hidden: 8, n_blocks: 2, n_repeats: 2}"
        one = learner_of(recipe, folder, "mitas_small", small)
        while one.steps < steps:
            one.learn()
        return one

    whole = learned(4, tmp_path / "whole")
    learned(2, tmp_path / "killed").save()
    again = learned(4, tmp_path / "killed")
    assert (again.steps, again.spent) == (whole.steps, whole.spent) == (4, 4.0)
    for a, b in zip(again.averaged.parameters(), whole.averaged.parameters(), strict=True):
        assert torch.equal(a, b)
    changed = learner_of(recipe, tmp_path / "killed", "mitas_small", "seed=2")
    assert changed.steps == 0  # another recipe's checkpoint is left alone


def test_gradients_in_parts_are_those_of_the_batch(recipe, tmp_path):
    one = learner_of(recipe, tmp_path, "td_speakerbeam")
    one.model.double()
    batch = {k: x.double() if x.is_floating_point() else x for k, x in one.draw(0, 0, 1).items()}
    found = []
    for one.at_once in (1, 3):
        loss = one.differentiate(batch)
        reached = {n: p.grad.clone() for n, p in one.model.named_parameters() if p.grad is not None}
        found.append({"loss": torch.tensor(loss), **reached})
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-9)
    idle = {n.rsplit(".", 1)[0] for n, _ in one.model.named_parameters()}
    idle -= {n.rsplit(".", 1)[0] for n in found[0]}
    # what a last block hands on leads nowhere, as in asteroid's own Conv-TasNet
    assert idle == {"masker.TCN.23.res_conv", "speaker.blocks.TCN.7.res_conv"}


def test_td_speakerbeam_follows_the_voice_and_peers_keep_the_length(recipe):
    networks = recipe("peer_networks")
    torch.manual_seed(0)
    net, mixture = networks.TDSpeakerBeam(8000).eval(), torch.randn(2, 1603)
    with torch.inference_mode():
        assert networks.ConvTasNet(8000).eval()(mixture).shape == (2, 2, 1603)
        one, other = net.enroll(torch.randn(2, 2000)), net.enroll(torch.randn(2, 2000))
        assert one.vectors.shape == (2, 256)
        assert net(mixture, one).shape == mixture.shape
        apart = (net(mixture, one) - net(mixture, other)).norm() / net(mixture, one).norm()
        assert apart > 1e-3


def test_a_short_enrollment_is_repeated_not_padded(recipe):
    torch.manual_seed(0)
    voice, x = recipe("peer_networks").Auxiliary(8000, 4).eval(), torch.randn(1, 800)
    padded = torch.cat([x, torch.zeros(1, 800)], dim=1)
    with torch.inference_mode():
        found = voice(padded, torch.tensor([800]))
        torch.testing.assert_close(found, voice(x.repeat(1, 2)))
        assert not torch.allclose(found, voice(padded), rtol=0.01)


def test_a_peer_that_is_ahead_is_named(recipe):
    def rows(gain):
        return {"noise": [Row(file=str(i), figures={"si_snr_i": gain + i / 9}) for i in range(9)]}

    against = recipe("peers").against
    text, lost = against(("ours", rows(1.0)), ("theirs", rows(2.0)))
    assert lost == ["theirs on noise"] and "-1.000" in text
    for theirs in (1.0, 2.0):
        assert against(("ours", rows(2.0)), ("theirs", rows(theirs)))[1] == []
