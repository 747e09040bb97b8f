"""Other programs' timelines beside ours: read, judged on the same frames, timed."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from test_recipes_listed import ROOT, call

from sepaudio import io
from sepaudio.data import manifest, timeline
from sepaudio.data.timeline import Segment, Timeline

RECIPE = ROOT / "recipes" / "segmentation"
RATE = 16000
NAMES = ("evaluate", "peer", "peer_figures", "mixture_set", "overlap", "make_set")


@pytest.fixture
def peer(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPE))
    for name in NAMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    import peer_figures

    yield peer_figures
    for name in NAMES:
        monkeypatch.delitem(sys.modules, name, raising=False)


def line(*parts):
    """Stretches of (label, seconds), one after the other."""
    at, found = 0.0, []
    for label, seconds in parts:
        found.append(Segment(start=at, end=at + seconds, label=label))
        at += seconds
    return Timeline(segments=tuple(found))


def theirs(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    body = "".join(f"{label}\t{start}\t{stop}\n" for label, start, stop in rows)
    path.write_text(f"labels\tstart\tstop\n{body}")


def test_their_words_are_ours(peer, tmp_path):
    theirs(
        tmp_path / "a.csv",
        ("noEnergy", 0.0, 0.5),
        ("male", 0.5, 1),
        ("female", 1, 1),
        ("music", 1, 2.02),
    )
    found = [(s.label, s.start, s.end) for s in peer.read(tmp_path / "a.csv").segments]
    assert found == [("silence", 0, 0.5), ("speech", 0.5, 1), ("music", 1, 2.02)]
    theirs(tmp_path / "b.csv", ("music", "early", 2))
    with pytest.raises(ValueError, match=r"b\.csv.*early.*start and a stop"):
        peer.read(tmp_path / "b.csv")
    with pytest.raises(ValueError, match="holds no timeline of c"):
        peer.beside(tmp_path, "c")


def test_figures_are_shares_of_frames(peer):
    there = line(("noise", 2), ("speech", 4), ("silence", 1), ("music", 3))
    said = line(("music", 1), ("noise", 1), ("speech", 3), ("silence", 2), ("music", 3))
    other = line(("silence", 1), ("noise", 1), ("speech", 4), ("music", 4))
    figures, changes = peer.judged([there], [said], [other])
    found = figures(np.ones(1))
    assert found["accuracy"] == pytest.approx(7 / 9)  # of nine seconds that sound
    assert found["both_hear"] == pytest.approx(7 / 7)  # but for one that each takes for silence
    assert found["silenced"] == pytest.approx(1 / 9)
    assert found["speech"] == pytest.approx(8 / 9)
    assert [found[f"recall {k}"] for k in peer.LABELS] == pytest.approx([1 / 2, 1, 3 / 4])
    assert found["precision"] == 1 and found["recall"] == pytest.approx(3 / 4)
    assert found["whole"] == pytest.approx(9 / 10)
    assert changes["changes"] == pytest.approx(3 / 2)
    swapped = peer.judged([there], [other], [said])[0](np.ones(1))
    assert swapped["both_hear"] == pytest.approx(found["both_hear"])  # the same frames


def test_who_names_no_noise_is_judged_by_the_rest(peer):
    there = [line(("noise", 2), ("speech", 2)), line(("music", 2), ("speech", 2))]
    said = [line(("music", 2), ("speech", 2)), line(("music", 1), ("speech", 3))]
    found = peer.side(there, said, there)
    assert "accuracy" not in found["figures"] and found["boundary"] is None
    assert found["figures"]["speech"][0] == pytest.approx(7 / 8)
    gain, low, high = found["ours_over"]["speech"]
    assert gain == pytest.approx(1 / 8) and low <= gain <= high
    assert peer.side(there, there, there)["ours_over"]["accuracy"] == [0, 0, 0]


def test_overlapping_stretches_are_speech_where_there_is_any(peer):
    both = Timeline(
        segments=(
            Segment(start=0, end=4, label="music"),
            Segment(start=1, end=2, label="speech"),
            Segment(start=4, end=5, label="silence"),
        )
    )
    found = [(s.label, s.start, s.end) for s in peer.flat(both).segments]
    assert found == [("music", 0, 1), ("speech", 1, 2), ("music", 2, 4), ("silence", 4, 5)]


def test_from_sets_to_tables_and_times(peer, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copy(RECIPE / "README.md", tmp_path / "README.md")
    random, found = np.random.default_rng(0), []
    Path("set").mkdir()
    for name in ("a", "b"):
        x = np.concatenate([random.normal(0, 0.1, 2 * RATE), np.zeros(RATE)])
        io.write(Path("set") / f"{name}.flac", x.astype(np.float32), RATE)
        found.append(
            Timeline(file=f"{name}.flac", segments=line(("noise", 2), ("silence", 1)).segments)
        )
        theirs(Path("made/set") / f"{name}.csv", ("noise", 0, 1.5), ("noEnergy", 1.5, 3))
    Path("set/labels.csv").write_text(timeline.text(found, "csv"))
    compare = ["python", "recipes/segmentation/peer.py", "compare", "--sets", "set", "--theirs"]
    call(monkeypatch, *compare, "them=made", "--into", ".")
    one = json.loads(Path("peer.json").read_text())["set"]
    assert list(one["sides"]) == ["sepaudio segment", "sepaudio segment --overlap", "them"]
    assert one["sides"]["them"]["figures"]["silenced"][0] == pytest.approx(1 / 4)
    assert one["files"] == 2 and one["minutes"] == pytest.approx(0.1)
    count = f"{sys.executable} -c 'import sys; assert sys.argv[1:]' {{audio}} {{out}}"
    timed = ["python", "recipes/segmentation/peer.py", "time", "--set", "set", "--seconds", "1"]
    call(monkeypatch, *timed, f"count={count}", "--into", ".")
    whole = json.loads(Path("peer.json").read_text())
    assert set(whole) == {"set", "time"} and whole["time"]["sides"]["count"][2] > 1
    text = Path("README.md").read_text().split("<!-- peer -->")[1]
    assert "| them |" in text and "| count |" in text and "nan" not in text
    with pytest.raises(SystemExit):
        call(monkeypatch, *timed, f"bad={sys.executable} -c 'exit(3)'", "--into", ".")
    assert "exit code 3" in capsys.readouterr().err


def test_speech_of_a_mixture_is_where_a_source_speaks(peer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("one").mkdir()
    random = np.random.default_rng(0)
    rows = ["path,kind,license,source,split"]
    speaker = np.concatenate([random.normal(0, 0.1, RATE), np.zeros(RATE)]).astype(np.float32)
    noise = random.normal(0, 0.02, 2 * RATE).astype(np.float32)
    for name, x in (("mix", speaker + noise), ("s1", speaker)):
        io.write(Path("one") / f"{name}.flac", x, RATE)
        rows.append(f"one/{name}.flac,mixture,CC0-1.0,x@1:{name},test")
    Path("m.csv").write_text("\n".join(rows) + "\n")
    call(monkeypatch, "python", "recipes/segmentation/mixture_set.py", "m.csv", "--out", "set")
    (one,) = timeline.read("set/labels.csv")
    assert [s.label for s in one.segments] == ["speech", "noise"]
    assert one.segments[0].end == pytest.approx(1, abs=0.06) and one.seconds == pytest.approx(2)
    assert io.info("set/one.flac").duration == 2


def test_noise_favoured_in_clips(monkeypatch, tmp_path):
    names = ("evaluate", "leave_out", "bias")
    monkeypatch.syspath_prepend(str(ROOT / "recipes" / "speech_music_noise"))
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    import bias

    random, found = np.random.default_rng(0), []
    for kind in bias.LABELS:
        for i in range(3):
            row = manifest.Recording(
                path=tmp_path / f"{kind}{i}.flac",
                kind=kind,
                license="CC0-1.0",
                source=f"x@1:{kind}{i}",
                split="test",
            )
            chances = random.dirichlet([1, 1, 1], 8).astype(np.float32)
            found.append(bias.Track(row, chances, 2.0))
    recalls = [
        bias.summarise(bias.shifted(found, b), bias.LABELS, 2.0).recall["noise"] for b in (0, 1, 9)
    ]
    assert recalls[0] <= recalls[1] <= recalls[2] == 1
    lines = bias.as_markdown({"these": found}).splitlines()
    assert len(lines) == 2 + 1 + len(bias.BIASES) and lines[2].endswith("|  |  |")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
