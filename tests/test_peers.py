"""The comparison with published networks of recipes/real_small, on a budget of a step or so."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import voices

from sepaudio import io
from sepaudio.verbs.scores import Row

RECIPE = Path(__file__).parent.parent / "recipes" / "real_small"
NETWORKS = ("mitas_small", "conv_tasnet", "tsenet_small", "td_speakerbeam")

if importlib.util.find_spec("asteroid") is None:
    pytest.skip("needs asteroid", allow_module_level=True)


@pytest.fixture(scope="module")
def peers():
    """The script as a module, with what it imports from beside it."""
    sys.path.insert(0, str(RECIPE))
    try:
        spec = importlib.util.spec_from_file_location("peers", RECIPE / "peers.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules["peers"] = module
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(RECIPE))
        for name in ("peers", "peer_networks"):
            sys.modules.pop(name, None)


def call(folder, name, *arguments):
    done = subprocess.run(
        [sys.executable, str(RECIPE / name), "manifest.csv", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(RECIPE.parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_from_voices_to_the_table_and_nothing_is_made_twice(tmp_path):
    rows = ["path,kind,license,source,split,speaker"]
    for number in range(6):
        name, split = f"s{number}", ("train", "test")[number % 2]
        io.write(tmp_path / f"{name}.flac", voices.voice(7.5, 90 + 20 * number, number), 8000)
        rows.append(f"{name}.flac,speech,CC0-1.0,hum@1:{name},{split},{name}")
    for kind in ("noise", "music"):
        for split in ("train", "test"):
            x = voices.voice(3, 300 if kind == "noise" else 400)
            io.write(tmp_path / f"{kind}_{split}.flac", x, 8000)
            rows.append(f"{kind}_{split}.flac,{kind},CC0-1.0,{kind}@1:{split},{split},")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    shutil.copy(RECIPE / "README.md", tmp_path / "README.md")
    call(tmp_path, "make_lists.py", "--mixtures", 2)
    tiny = ["optim.batch=2", "data.mixing.seconds=1.0", "--budget", 0.01]
    tiny += ["--readme", "README.md", "--networks", *NETWORKS]
    said = call(tmp_path, "peers.py", *tiny)
    for name in NETWORKS:
        assert f"{name}: 1 steps in " in said
    block = (tmp_path / "README.md").read_text().split("<!-- peers -->")[1]
    assert re.search(r"\| mitas_small +\| 474,420 \| +2 \| +1 \| +\d+ \| two_speakers \|", block)
    assert "| conv_tasnet | 5,050,545 |" in block
    for kind in ("two_speakers", "noise", "music"):
        assert re.search(rf"\| {kind} +\| si_snr_i +\| .* \| +2 \|", block)
    assert "#### tsenet_small minus td_speakerbeam" in block
    assert block.count("p: Wilcoxon") == block.count("Better than ours at p < 0.05:") == 2
    scores = tmp_path / "runs/real_small/peers/scores/conv_tasnet/two_speakers.csv"
    before = scores.stat().st_mtime_ns
    assert "steps in" not in call(tmp_path, "peers.py", *tiny)
    assert scores.stat().st_mtime_ns == before
    about = json.loads((tmp_path / "runs/real_small/peers/conv_tasnet/about.json").read_text())
    assert about["cpu_seconds"] > 0.01


def test_the_learning_rate_rises_then_falls_to_zero_with_the_budget(peers):
    assert peers.rate(0.0, 0.01) == pytest.approx(0.01 / peers.WARMUP)
    assert peers.rate(0.0, 0.5) == 1.0  # a step that takes half the budget is made at full rate
    assert peers.rate(0.5, 0.01) == pytest.approx(0.5)
    assert peers.rate(1.0, 0.01) == pytest.approx(0.0, abs=1e-12)


def test_conv_tasnet_is_asteroids_and_td_speakerbeam_one_with_a_voice(peers):
    import peer_networks

    torch.manual_seed(0)
    separator = peer_networks.ConvTasNet(8000).eval()
    net = peer_networks.TDSpeakerBeam(8000).eval()
    mixture = torch.randn(2, 1603)
    with torch.inference_mode():
        assert separator(mixture).shape == (2, 2, 1603)
        one, other = net.enroll(torch.randn(2, 2000)), net.enroll(torch.randn(2, 2000))
        assert one.vectors.shape == (2, 256)
        made = net(mixture, one)
        assert made.shape == mixture.shape
        assert not torch.allclose(made, net(mixture, other), rtol=0.01)
        # what the voice is multiplied with stands behind the first stack: silence it, and only
        # the blocks before it are left in what the masks are made of
        silent = net(mixture, torch.zeros(2, 256))
        assert not torch.allclose(made, silent, rtol=0.01)


def test_a_short_enrollment_is_repeated_not_padded(peers):
    import peer_networks

    torch.manual_seed(0)
    voice = peer_networks.Auxiliary(8000, 4).eval()
    x = torch.randn(1, 800)
    padded = torch.cat([x, torch.zeros(1, 800)], dim=1)
    with torch.inference_mode():
        found = voice(padded, torch.tensor([800]))
        torch.testing.assert_close(found, voice(x.repeat(1, 2)))
        assert not torch.allclose(found, voice(padded), rtol=0.01)


def test_gradients_in_parts_are_those_of_the_batch(peers):
    class Mixer:
        def item(self, seed, epoch, index):
            from sepaudio.data.render import Example

            x = torch.randn(3, 1600, generator=torch.Generator().manual_seed(index)).numpy()
            return Example(x[0] + x[1], x[:2], 0, x[2], 8000, {})

    given = ["optim.batch=3", "voices=0.0"]
    cfg = peers.CONTENDERS["td_speakerbeam"].cfg(given)
    learner = peers.Learner("td_speakerbeam", cfg, Mixer(), 1.0)
    learner.model.double()
    batch = {
        k: x.double() if x.is_floating_point() else x for k, x in learner.draw(0, 0, 1).items()
    }
    found = []
    for learner.at_once in (1, 3):
        loss = learner._differentiate(batch)
        found.append((loss, [p.grad.clone() for p in learner.learning]))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-9)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def test_a_peer_that_is_ahead_is_named(peers):
    def rows(gain):
        return {"noise": [Row(file=str(i), figures={"si_snr_i": gain + i / 9}) for i in range(9)]}

    text, lost = peers.against(("ours", rows(1.0)), ("theirs", rows(2.0)))
    assert lost == ["theirs on noise"] and "-1.000" in text
    assert peers.against(("ours", rows(2.0)), ("theirs", rows(1.0)))[1] == []
    assert peers.against(("ours", rows(2.0)), ("theirs", rows(2.0)))[1] == []
