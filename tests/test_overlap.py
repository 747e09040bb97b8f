"""Classes judged by themselves: stretches that overlap, from probabilities to files."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_cli import call

from sepaudio import hub, io, registry
from sepaudio.data import timeline
from sepaudio.verbs.overlap import apart
from sepaudio.verbs.segment import Heard, SegmentCfg, decide, hear

LABELS = ("music", "speech")


def heard(music, speech, quiet=(), seconds=12):
    """What a model says that is sure of music and speech from one second to another."""
    chances = np.full((100 * seconds, 2), 0.02, np.float32)
    for k, (start, end) in enumerate((music, speech)):
        chances[100 * start : 100 * end, k] = 0.98
    power = np.full(len(chances), 0.01, np.float32)
    for start, end in quiet:
        power[100 * start : 100 * end] = 0
    return Heard(
        probabilities=chances,
        power=power,
        labels=LABELS,
        frame=0.01,
        seconds=float(seconds),
        several=True,
    )


PLAIN = SegmentCfg(offset=0, speech_reach=0, switch=0.1)


def test_speech_over_music_is_both():
    one = decide(heard((4, 10), (2, 6)), PLAIN)
    assert [(s.label, s.start, s.end) for s in one.segments] == [
        ("noise", 0, 2),
        ("speech", 2, 6),
        ("music", 4, 10),
        ("noise", 10, 12),
    ]
    sure = [s.probability for s in one.segments]
    assert sure == pytest.approx([0.98**2, 0.98, 0.98, 0.98**2], abs=1e-3)


def test_silence_cuts_all_classes_and_speech_is_drawn_in_by_itself():
    cfg = SegmentCfg(offset=0, switch=0.1, speech_reach=0.5)
    one = decide(heard((0, 12), (2, 9), quiet=[(5, 7)]), cfg)
    found = [(s.label, s.start, s.end) for s in one.segments]
    assert [(label, round(a), round(b)) for label, a, b in found if label != "speech"] == [
        ("music", 0, 5),
        ("silence", 5, 7),
        ("music", 7, 12),
    ]
    assert [(a, b) for label, a, b in found if label == "speech"] == [
        (2.5, pytest.approx(5, abs=0.06)),
        (pytest.approx(7, abs=0.06), 8.5),
    ]


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.integers(1, 9)), max_size=9),
    st.integers(0, 5),
)
def test_every_frame_is_named_and_no_label_overlaps_itself(parts, least):
    rows = [part[:3] for part in parts for _ in range(part[3])] or [(True, False, False)]
    flags = np.array([row[:2] for row in rows])
    silent = np.array([row[2] for row in rows])
    chances = np.where(flags, 0.9, 0.2)
    found = apart(flags, chances, silent, LABELS, least)
    named = {label: np.zeros(len(rows), int) for label in (*LABELS, "noise", "silence")}
    for start, end, label, sure in found:
        named[label][start:end] += 1
        assert (sure is None) == (label == "silence")
    assert (sum(named.values()) >= 1).all()
    assert all((count <= 1).all() for count in named.values())
    np.testing.assert_array_equal(named["silence"] > 0, silent)
    loud = named["music"] + named["speech"]
    assert not loud[silent].any() and not (loud * named["noise"]).any()
    assert found == sorted(found, key=lambda s: s[:3])


def test_short_stretches_are_none_and_short_gaps_are_filled():
    flags = np.zeros((30, 2), bool)
    flags[5:7, 0] = True  # too short
    flags[10:25, 1] = True
    flags[15:17, 1] = False  # a gap too short
    found = apart(flags, np.where(flags, 0.9, 0.2), np.zeros(30, bool), LABELS, 4)
    assert [s[:3] for s in found] == [(0, 10, "noise"), (10, 25, "speech"), (25, 30, "noise")]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A network that says of everything that it is music, and of most that it is speech."""
    torch.manual_seed(0)
    net = registry.create("swishnet_test", labels=LABELS, several=True)
    with torch.no_grad():
        net.head[-1].bias.copy_(torch.tensor([6.0, 0.5]))
    return hub.save(net.eval(), tmp_path_factory.mktemp("m") / "net", card="# test\n")


def test_probabilities_are_those_of_each_class_by_itself(model):
    net = hub.load(model)
    x = np.random.default_rng(0).standard_normal(3000).astype(np.float32)
    one = hear(net, [x[:1000], x[1000:]])
    with torch.inference_mode():
        wanted = net(torch.from_numpy(x)[None])[0].sigmoid().T.numpy()
    np.testing.assert_allclose(one.probabilities, wanted, atol=1e-5)
    assert one.several and one.probabilities.sum(axis=1).max() > 1.2


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".rttm", ".TextGrid", ".txt"])
def test_overlaps_are_written_in_every_format(model, suffix, capfd, tmp_path):
    x = 0.1 * np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    io.write(tmp_path / "a.wav", x, 1000)
    out = tmp_path / f"a{suffix}"
    code, _, err = call(capfd, "segment", tmp_path / "a.wav", "-m", model, "--overlap", "-o", out)
    assert code == 0, err
    (one,) = timeline.read(out)
    assert {"music", "speech"} <= {s.label for s in one.segments}
    assert any(a.end > b.start for a, b in zip(one.segments, one.segments[1:], strict=False))


def test_a_model_of_one_class_at_a_time_has_no_overlaps(capfd, tmp_path):
    io.write(tmp_path / "a.wav", np.zeros(4000, np.float32), 1000)
    more = ("-m", "speech_music_noise_slim", "--overlap")
    code, _, err = call(capfd, "segment", tmp_path / "a.wav", *more)
    assert code == 2
    assert "says one class at a time: expected a model that judges classes by themselves" in err
