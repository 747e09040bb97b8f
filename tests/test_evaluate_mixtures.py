"""Scores of separators and extractors on lists of mixtures."""

import csv
import json

import numpy as np
import pytest
import torch

from sepaudio import hub, io, registry
from sepaudio.cli import main
from sepaudio.data import mixtures
from sepaudio.data.mixtures import Mixture, Part
from sepaudio.verbs.evaluate_mixtures import evaluate_mixtures, summary

RATE = 1000


class Says(torch.nn.Module):
    """Gives back what it was told, whatever it hears."""

    causal, sample_rate, hop, channels = False, RATE, 1, None

    def __init__(self, task, answer):
        super().__init__()
        self.task, self.answer = task, answer
        self.place = torch.nn.Parameter(torch.zeros(1))
        self.cfg = type("Cfg", (), {"n_src": 2})

    def enroll(self, enrollment):
        return enrollment

    def forward(self, mixture, *given):
        return self.answer(mixture)


@pytest.fixture
def rows(tmp_path):
    """Two hums in every mixture, the second 6 dB weaker, and more of the first to enroll."""
    t = np.arange(2 * RATE) / RATE
    for name, hz in (("a", 100), ("b", 170)):
        io.write(
            tmp_path / f"{name}.wav", (0.2 * np.sin(2 * np.pi * hz * t)).astype(np.float32), RATE
        )
    a, b = tmp_path / "a.wav", tmp_path / "b.wav"
    return [
        Mixture(
            id=f"m{i}",
            sources=(
                Part(path=a, speaker="a", start=0.1 * i, duration=1.0),
                Part(path=b, speaker="b", start=0.2 * i, duration=1.0, gain=0.5),
            ),
            sample_rate=RATE,
            enrollments=(Part(path=a, speaker="a", start=1.5),),
            target=0,
            split="test",
        )
        for i in range(4)
    ]


def pure(mixture, hz, gain):
    """The mixture's tone of one frequency, and nothing else."""
    spec = torch.fft.rfft(mixture)
    keep = torch.zeros_like(spec)
    keep[..., hz] = gain * spec[..., hz]
    return torch.fft.irfft(keep, mixture.shape[-1])


def test_the_mixture_itself_improves_nothing(rows):
    scored = evaluate_mixtures(Says("extraction", lambda x: x), rows)
    for one in scored:
        assert one.improvement == pytest.approx(0, abs=1e-3)
        assert one.before == pytest.approx(6.02, abs=0.1)
        assert one.sir_db == pytest.approx(6.02, abs=0.1)
        assert one.wrong is False


def test_the_right_and_the_wrong_speaker_are_told_apart(rows):
    right = evaluate_mixtures(Says("extraction", lambda x: pure(x, 100, 0.3)), rows)
    wrong = evaluate_mixtures(Says("extraction", lambda x: pure(x, 170, 3.0)), rows)
    assert summary(right).improvement > 30
    assert (summary(right).wrong, summary(wrong).wrong) == (0.0, 1.0)
    assert summary(wrong).after < -20


def test_a_separators_order_does_not_matter(rows):
    def swapped(x):
        return torch.stack([pure(x, 170, 1.0), pure(x, 100, 1.0)], dim=1)

    found = summary(evaluate_mixtures(Says("separation", swapped), rows))
    assert found.improvement > 30
    assert found.wrong is None
    assert found.interval[0] <= found.improvement <= found.interval[1]


def test_lists_that_do_not_fit_are_refused(rows):
    from dataclasses import replace

    net = Says("extraction", lambda x: x)
    with pytest.raises(ValueError, match="mixture m0 is at 8000 Hz: expected the model's 1000"):
        evaluate_mixtures(net, [replace(rows[0], sample_rate=8000)])
    with pytest.raises(ValueError, match="mixture m0: expected a target and an enrollment"):
        evaluate_mixtures(net, [replace(rows[0], enrollments=())])
    with pytest.raises(ValueError, match="mixture m0 has 1 sources: expected the model's 2"):
        evaluate_mixtures(
            Says("separation", lambda x: x), [replace(rows[0], sources=rows[0].sources[:1])]
        )
    with pytest.raises(ValueError, match="the list has no mixtures"):
        evaluate_mixtures(net, [])


@pytest.mark.parametrize("architecture", ["mitas_test", "tsenet_test"])
def test_evaluate_on_the_command_line(rows, architecture, tmp_path, capsys):
    mixtures.write(tmp_path / "two.csv", rows)
    model = hub.save(registry.create(architecture), tmp_path / "model", card="# test\n")
    out = tmp_path / "scores"
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(model), str(tmp_path / "two.csv"), "-o", str(out)])
    assert stop.value.code == 0
    assert "| two | 4 |" in capsys.readouterr().out
    with (out / "two.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["id"] for line in lines] == ["m0", "m1", "m2", "m3"]
    told = json.loads((out / "summary.json").read_text())["two"]
    mean = np.mean([float(line["improvement"]) for line in lines])
    assert told["improvement"] == pytest.approx(mean, abs=1e-3)
    example = out / "two" / "m0"
    assert np.isfinite(io.read(example / "estimate_1.wav")[0]).all()
    assert len(io.read(example / "mixture.wav")[0]) == RATE
