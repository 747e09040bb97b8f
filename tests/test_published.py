"""Published lists give the samples that the published scripts write, to the last bit."""

import csv

import numpy as np
import pytest
import soundfile
import trees
from scipy.signal import resample_poly

from sepaudio.data import mixtures, published
from sepaudio.data.level import active_level
from sepaudio.data.render import extend, render


def libri(tmp_path, n_src=2, noise_seconds=2.0, loud=1.0):
    speakers = ("84", "174", "251")[:n_src]
    trees.librispeech(tmp_path / "LibriSpeech", speakers=speakers)
    trees.sound(tmp_path / "wham_noise/tr/n1.wav", noise_seconds, channels=2)
    return trees.librimix_metadata(tmp_path / "libri2mix_dev-clean.csv", n_src, loud=loud)


def by_the_rules(tmp_path, line, n_src, rate, mode, kind):
    """What LibriMix writes for a line of metadata, step by step, through real 16-bit files."""
    sources = []
    for i in range(1, n_src + 1):
        path = tmp_path / "LibriSpeech" / line[f"source_{i}_path"]
        sources.append(soundfile.read(path, dtype="float32")[0])
    longest = max(map(len, sources))
    path = tmp_path / "wham_noise" / line["noise_path"]
    noise = soundfile.read(path, dtype="float32", stop=longest)[0][:, 0]
    rising, falling = np.hanning(16001)[:8001], np.hanning(16001)[8000::-1]
    out = noise
    while len(out) < longest:
        middle = out[-8001:] * falling + noise[:8001] * rising
        out = np.concatenate((out[:-8001], middle, noise[8001:]))
    gains = [float(line[f"source_{i}_gain"]) for i in range(1, n_src + 1)]
    pieces = [
        resample_poly(x * gain, rate, 16000)
        for x, gain in zip(
            [*sources, out[:longest]], [*gains, float(line["noise_gain"])], strict=True
        )
    ]
    n = min(map(len, pieces)) if mode == "min" else max(map(len, pieces))
    pieces = [np.pad(x, (0, max(n - len(x), 0)))[:n] for x in pieces]
    heard = {"clean": pieces[:-1], "both": pieces, "single": [pieces[0], pieces[-1]]}[kind]
    mixture = np.zeros_like(heard[0])
    for x in heard:
        mixture += x
    written = []
    for x in [mixture, *pieces[:-1]]:
        soundfile.write(tmp_path / "x.wav", x, rate)
        written.append(soundfile.read(tmp_path / "x.wav", dtype="float32")[0])
    return written[0], np.stack(written[1:])


@pytest.mark.parametrize("kind", published.KINDS)
@pytest.mark.parametrize("mode", mixtures.MODES)
@pytest.mark.parametrize(
    ("rate", "n_src", "noise", "loud"),
    [(8000, 2, 2.0, 1.0), (16000, 2, 0.6, 1.0), (8000, 3, 0.6, 1.0), (8000, 2, 2.0, 30.0)],
)
def test_librimix_is_bit_exact(tmp_path, kind, mode, rate, n_src, noise, loud):
    """With noise that is long enough or repeats, and so loud that 16 bits clip."""
    metadata = libri(tmp_path, n_src, noise, loud)
    places = (tmp_path / "LibriSpeech", tmp_path / "wham_noise")
    rows = published.librimix(metadata, *places, sample_rate=rate, mode=mode, kind=kind)
    mixtures.write(tmp_path / "list.csv", rows)
    rows = mixtures.read(tmp_path / "list.csv")  # a list on disk loses nothing
    lines = list(csv.DictReader(metadata.read_text().splitlines()))
    assert len(rows) == len(lines) == 3
    for row, line in zip(rows, lines, strict=True):
        made = render(row)
        mixture, sources = by_the_rules(tmp_path, line, n_src, rate, mode, kind)
        np.testing.assert_array_equal(made.mixture, mixture)
        heard = 1 if kind == "single" else n_src  # the others are silent in the mixture
        np.testing.assert_array_equal(made.sources[:heard], sources[:heard])
        assert not made.sources[heard:].any()
        assert (np.abs(mixture).max() == 1) == (loud > 1)


def test_noise_that_repeats_has_no_seam():
    x = np.ones(20001, np.float32)
    np.testing.assert_allclose(extend(x, 70000, 16000), 1, atol=1e-12)
    np.testing.assert_array_equal(extend(np.arange(3.0), 7, 16000), [0, 1, 2, 0, 1, 2, 0])


def test_librimix_speakers_and_split(tmp_path):
    metadata = libri(tmp_path)
    rows = published.librimix(metadata, tmp_path / "LibriSpeech")
    assert [part.speaker for part in rows[0].sources] == ["84", "174"]
    assert rows[0].split == "valid" and rows[0].noise is None
    assert {part.gender for part in rows[0].sources} == {""}
    speakers = tmp_path / "LibriSpeech" / "SPEAKERS.TXT"
    speakers.write_text(";ID |SEX| SUBSET\n84   | F | dev-clean | 8.02 | A\n174 | M | dev-clean\n")
    (row, *_) = published.librimix(metadata, tmp_path / "LibriSpeech")
    assert [part.gender for part in row.sources] == ["f", "m"]
    speakers.write_text("84 F\n")
    with pytest.raises(ValueError, match=r"SPEAKERS.TXT, line 1: '84 F': expected a speaker \| F"):
        published.librimix(metadata, tmp_path / "LibriSpeech")
    with pytest.raises(ValueError, match="kind='both' has noise: expected the folder"):
        published.librimix(metadata, tmp_path, kind="both")
    with pytest.raises(ValueError, match="kind='all': expected clean, both, single"):
        published.librimix(metadata, tmp_path, kind="all")
    with pytest.raises(ValueError, match="lacks the columns mixture_ID"):
        published.librimix(trees.table(tmp_path / "test.csv", [{"a": 1}]), tmp_path)


def test_speakerbeams_map_and_csv(tmp_path):
    rows = published.librimix(libri(tmp_path), tmp_path / "LibriSpeech", mode="min")
    ids = [row.id for row in rows]
    file = tmp_path / "map_mixture2enrollment"
    file.write_text(f"{ids[0]} 84-9-0000 s1/{ids[1]}\n{ids[0]} 174-9-0001 s2/{ids[2]}\n")
    first, second = published.librimix_enrollments(rows, file)
    assert (first.target, second.target) == (0, 1)
    assert first.id == f"{ids[0]}/84-9-0000" and first.enrollments[0].speaker == "84"
    # the file of s1/other holds what that mixture's min mode leaves of it, at its gain
    whole = render(rows[1]).sources[0]
    made = render(first).enrollment
    assert len(made) == len(whole)
    np.testing.assert_allclose(made[:-20], whole[:-20], atol=2 / 32768)
    file = tmp_path / "enroll.csv"
    audio = trees.sound(tmp_path / "e.wav", 0.5, 8000)
    file.write_text(
        f"mixture_id,utterance_id,enr_path1,length1\n{ids[0]},174-9-0001,{audio},4000\n"
    )
    (row,) = published.librimix_enrollments(rows, file)
    assert row.target == 1 and len(render(row).enrollment) == 4000


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("none 84-9-0000 s1/none", "line 1: no mixture 'none' in the list"),
        ("{0} 84-9-0007 s1/{0}", "line 1: '84-9-0007' is not in .*expected one of"),
        ("{0} 84-9-0000 s7/{0}", "line 1: source 's7': expected s1 to s2"),
        ("{0} 84-9-0000", "line 1: expected a mixture, an utterance and an enrollment"),
    ],
)
def test_bad_maps_are_named(tmp_path, line, match):
    rows = published.librimix(libri(tmp_path), tmp_path / "LibriSpeech")
    (tmp_path / "map").write_text(line.format(rows[0].id) + "\n")
    with pytest.raises(ValueError, match=match):
        published.librimix_enrollments(rows, tmp_path / "map")


def wsj(tmp_path):
    for speaker, folder in (("01t", "si_tr_s"), ("20g", "si_tr_s")):
        for name, seconds in (("o030v", 1.2), ("a010m", 0.8), ("o0304", 1.0)):
            trees.sound(tmp_path / "wsj0" / folder / speaker / f"{speaker}{name}.wav", seconds)
    one, two = "wsj0/si_tr_s/01t/01to030v", "wsj0/si_tr_s/20g/20ga010m"
    plain = tmp_path / "mix_2_spk_cv.txt"
    plain.write_text(f"{one}.wav 0.76421 {two}.wav -0.76421 \n")
    extr = tmp_path / "mix_2_spk_tt_extr.txt"
    extr.write_text(f"{one}.wv1 0.76421 {two}.wv1 -0.76421 wsj0/si_tr_s/01t/01to0304.wv1\n")
    return plain, extr


def as_written(x):
    return np.int16(np.round(2**15 * x)) / np.float32(2**15)


@pytest.mark.parametrize("mode", mixtures.MODES)
def test_wsj0_2mix_is_bit_exact(tmp_path, mode):
    plain, _ = wsj(tmp_path)
    levels = {"01to030v": 2.5e-4, "20ga010m": 4.9e-4}
    (row,) = published.wsj0_mix(plain, tmp_path, levels, mode=mode)
    assert row.id == "01to030v_0.76421_20ga010m_-0.76421" and row.split == "valid"
    made = render(row)
    folder = tmp_path / "wsj0/si_tr_s"
    pieces = []
    for name, snr in (("01t/01to030v", 0.76421), ("20g/20ga010m", -0.76421)):
        x = resample_poly(soundfile.read(folder / f"{name}.wav", dtype="float32")[0], 8000, 16000)
        x = np.hstack((x, np.zeros(9600 - len(x))))
        pieces.append(x / np.sqrt(levels[name[4:]]) * 10 ** (snr / 20))
    sources = np.stack(pieces)[:, : 6400 if mode == "min" else 9600]
    mixture = sources.sum(axis=0)
    gain = max(1.0, np.abs(mixture).max(), np.abs(sources).max()) / 0.9
    np.testing.assert_array_equal(made.mixture, as_written(mixture / gain))
    np.testing.assert_array_equal(made.sources, as_written(sources / gain))


def test_wsj0_2mix_extr_rules(tmp_path):
    _, extr = wsj(tmp_path)
    (row,) = published.wsj0_mix(extr, tmp_path, mode="max")
    assert row.id == "01to030v_0.76421_20ga010m_-0.76421_01to0304"
    assert (row.target, row.split, row.enrollments[0].speaker) == (0, "test", "01t")
    made = render(row)
    heard = [made.mixture, *made.sources, made.enrollment]
    assert max(np.abs(x).max() for x in heard) == pytest.approx(0.9, abs=1e-4)
    np.testing.assert_allclose(made.mixture, made.sources.sum(axis=0), atol=2 / 32768)
    levels = [10 * np.log10(active_level(x, 8000)) for x in heard[1:]]
    assert levels[0] - levels[1] == pytest.approx(2 * 0.76421, abs=0.15)
    assert levels[0] - levels[2] == pytest.approx(0.76421, abs=0.15)


def test_wsj0_enrollments_and_levels(tmp_path):
    plain, _ = wsj(tmp_path)
    (tmp_path / "levels.txt").write_text("01to030v 2.5e-04\n20ga010m 4.9e-04\n")
    levels = published.wsj0_levels([tmp_path / "levels.txt"])
    rows = published.wsj0_mix(plain, tmp_path, levels)
    scp = tmp_path / "aux.scp"
    scp.write_text(f"{rows[0].id}_20go0304 /old/place/si_tr_s_8k/20g/20go0304.wav\n")
    (row,) = published.wsj0_enrollments(rows, scp, tmp_path)
    assert row.target == 1 and row.id.endswith("/20go0304")
    assert row.enrollments[0].path == tmp_path / "wsj0/si_tr_s/20g/20go0304.wav"
    assert len(render(row).enrollment) == 8000
    scp.write_text(f"{rows[0].id}_40no0304 /x/40no0304.wav\n")
    with pytest.raises(ValueError, match=r"line 1: no file \['40no0304'\] under"):
        published.wsj0_enrollments(rows, scp, tmp_path)
    (tmp_path / "levels.txt").write_text("01to030v\n")
    with pytest.raises(ValueError, match="line 1: '01to030v': expected an utterance and its level"):
        published.wsj0_levels([tmp_path / "levels.txt"])


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("wsj0/a.wav 0.5", "line 1: .* expected two or more utterances, each with a gain"),
        ("a.wav x b.wav y", "line 1: .* expected two or more"),
        ("wsj0/a.wav 0.5 wsj0/b.wav -0.5", "a.wav does not exist, nor as .wav, .flac or .wv1"),
    ],
)
def test_bad_wsj0_lines_are_named(tmp_path, line, match):
    (tmp_path / "mix_2_spk_tr.txt").write_text(line + "\n")
    with pytest.raises(ValueError, match=match):
        published.wsj0_mix(tmp_path / "mix_2_spk_tr.txt", tmp_path)
