"""Preparation of LibriMix and WSJ0-mix lists, from lists in the published layouts."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import trees

from sepaudio.data import mixtures, published
from sepaudio.data.render import render
from sepaudio.data.validate import validate

sys.path.insert(0, str(Path(__file__).parents[1] / "data_prep"))


def prepared(name, folder, *options):
    """The rows that a script writes; the validator must find nothing wrong with them."""
    out = folder / "out.csv"
    importlib.import_module(name).main([*map(str, options), "--out", str(out)])
    report = validate(out)
    assert report.fine, report.problems
    return mixtures.read(out)


@pytest.fixture
def libri(tmp_path):
    trees.librispeech(tmp_path / "LibriSpeech")
    trees.sound(tmp_path / "wham_noise/tr/n1.wav", 2.0, channels=2)
    metadata = trees.librimix_metadata(tmp_path / "libri2mix_dev-clean.csv")
    return "--metadata", metadata, "--librispeech", tmp_path / "LibriSpeech"


def test_librimix(tmp_path, libri):
    rows = prepared("librimix", tmp_path, *libri)
    assert [(row.mode, row.sample_rate, row.split) for row in rows] == [("min", 8000, "valid")] * 3
    noise = tmp_path / "wham_noise"
    more = ("--kind", "both", "--wham-noise", noise, "--rate", 16000, "--mode", "max")
    noisy = prepared("librimix", tmp_path, *libri, *more)
    wanted = published.librimix(
        libri[1], tmp_path / "LibriSpeech", noise, sample_rate=16000, mode="max", kind="both"
    )
    assert noisy == wanted and noisy[0].noise
    assert not np.array_equal(render(noisy[0]).mixture, render(noisy[0]).sources.sum(axis=0))


def test_librimix_with_enrollments(tmp_path, libri):
    rows = prepared("librimix", tmp_path, *libri)
    (tmp_path / "map").write_text(f"{rows[0].id} 84-9-0000 s1/{rows[1].id}\n")
    (row,) = prepared("librimix", tmp_path, *libri, "--enrollments", tmp_path / "map")
    assert row.target == 0 and row.enrollments[0].path == rows[1].sources[0].path


@pytest.fixture
def wsj(tmp_path):
    for speaker in ("01t", "20g"):
        for name in ("o030v", "a010m", "o0304"):
            trees.sound(tmp_path / f"wsj0/si_tr_s/{speaker}/{speaker}{name}.wav", 1.0)
    pair = "wsj0/si_tr_s/01t/01to030v{0} 0.76421 wsj0/si_tr_s/20g/20ga010m{0} -0.76421"
    (tmp_path / "mix_2_spk_tr.txt").write_text(pair.format(".wav") + " \n")
    third = " wsj0/si_tr_s/01t/01to0304.wv1"
    (tmp_path / "mix_2_spk_tr_extr.txt").write_text(pair.format(".wv1") + third + "\n")
    return tmp_path


def test_wsj0_2mix(wsj):
    (wsj / "levels.txt").write_text("01to030v 1e-3\n20ga010m 4e-3\n")
    options = ("--lists", wsj / "mix_2_spk_tr.txt", "--wsj0", wsj)
    (row,) = prepared("wsj0_2mix", wsj, *options, "--levels", wsj / "levels.txt")
    gains = [part.gain for part in row.sources]
    ratio = 2 * 10 ** (2 * 0.76421 / 20)
    assert gains[0] / gains[1] == pytest.approx(ratio) and row.rules == "wsj0_mix"
    (measured,) = prepared("wsj0_2mix", wsj, *options)
    assert measured.sources[0].gain != gains[0]
    (wsj / "aux.scp").write_text(f"{row.id}_01to0304 /x/01to0304.wav\n")
    (row,) = prepared("wsj0_2mix", wsj, *options, "--enrollments", wsj / "aux.scp")
    assert row.target == 0 and row.enrollments[0].path.name == "01to0304.wav"


def test_wsj0_2mix_extr(wsj):
    options = ("--lists", wsj / "mix_2_spk_tr_extr.txt", "--wsj0", wsj)
    (row,) = prepared("wsj0_2mix_extr", wsj, *options)
    assert (row.mode, row.rules, row.target) == ("max", "wsj0_mix_extr", 0)
    assert row.enrollments[0].gain > 1  # brought to unit level like the others
    with pytest.raises(SystemExit, match=r"no enrollment: expected lists that end in _extr.txt"):
        prepared("wsj0_2mix_extr", wsj, "--lists", wsj / "mix_2_spk_tr.txt", "--wsj0", wsj)
