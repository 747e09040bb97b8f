"""Dynamic mixing: pure in (seed, epoch, index), levels as drawn, target and enrollment apart."""

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trees

from sepaudio import io, parallel
from sepaudio.data import manifest
from sepaudio.data.augment import rms
from sepaudio.data.dataset import DynamicMixtures, ListedMixtures, collate
from sepaudio.data.manifest import Recording
from sepaudio.data.mixing import Mixer, MixingCfg, load
from sepaudio.data.mixtures import Mixture, Part
from sepaudio.data.shelf import Shelf

RATE = 8000
SMALL = {"seconds": 1.0, "enrollment_seconds": 0.8, "least_seconds": 0.5}


def speech(folder, name, seconds, speaker, **more):
    path = trees.sound(folder / name, seconds, RATE)
    about = {"kind": "speech", "license": "CC0-1.0", "source": name, "split": "train"}
    return Recording(path=path, speaker=speaker, **about, **more)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audio")
    made = [speech(folder, f"one_{s}.wav", 1.5 + 0.7 * i, s) for i, s in enumerate("abc")]
    made += [speech(folder, f"many_{i}.wav", 1.2 + 0.2 * i, "d") for i in range(3)]
    long = trees.sound(folder / "long.wav", 4.0, RATE)
    for start in (0.0, 1.2, 2.6):
        about = {"kind": "speech", "license": "CC0-1.0", "source": "x", "split": "train"}
        made.append(Recording(path=long, speaker="e", **about, start=start, duration=1.1))
    made.append(speech(folder, "short.wav", 0.9, "f"))  # another voice, but no target
    made.append(speech(folder, "tiny.wav", 0.3, "g"))  # too short for anything
    made.append(speech(folder, "crowd.wav", 3.0, "unlabelled_1"))
    for kind in ("noise", "music", "rir"):
        path = trees.sound(folder / f"{kind}.wav", 0.7, RATE)
        made.append(Recording(path=path, kind=kind, license="", source=kind, split="train"))
    return made


def mixer(rows, **options):
    shelves = {
        kind: Shelf([row for row in rows if row.kind == kind], RATE)
        for kind in ("speech", "noise", "music", "rir")
    }
    cfg = MixingCfg(**{**SMALL, "refused_speakers": ("unlabelled",), **options})
    return Mixer(cfg, shelves["speech"], shelves["noise"], shelves["music"], shelves["rir"])


EVERYTHING = {
    **{"n_src": (1, 3), "noise": 0.5, "music": 0.5, "room": 0.3, "absent": 0.3},
    **{"overlap": (0.3, 1.0), "speeds": (0.9, 1.0, 1.1)},
}


def test_an_item_depends_on_seed_epoch_and_index_only(rows):
    one, two = mixer(rows, **EVERYTHING), mixer(rows, **EVERYTHING)
    for index in (5, 0, 3):
        a, b = one.item(1, 2, index), two.item(1, 2, index)
        np.testing.assert_array_equal(a.mixture, b.mixture)
        np.testing.assert_array_equal(a.enrollment, b.enrollment)
        assert a.drawn == b.drawn
    for other in ((2, 2, 5), (1, 3, 5), (1, 2, 6)):
        assert two.item(*other).drawn != one.item(1, 2, 5).drawn


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine of one core
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(rows, workers):
    data = DynamicMixtures(mixer(rows, **EVERYTHING), items=6, seed=3)
    options = {"batch_size": 2, "collate_fn": collate}
    alone = list(torch.utils.data.DataLoader(data, **options))
    shared = list(torch.utils.data.DataLoader(data, num_workers=workers, **options))
    for a, b in zip(alone, shared, strict=True):
        for key in a:
            torch.testing.assert_close(a[key], b[key], rtol=0, atol=0)


def spans(drawn):
    """Path, begin and end of the target and of its enrollment."""
    found = [drawn["from"][0], drawn["enrollment"]]
    return [(p["path"], p["start_s"], p["start_s"] + p["duration_s"]) for p in found]


def test_target_and_enrollment_never_share_a_sample(rows):
    made = mixer(rows, speeds=(0.9, 1.1))
    seen = set()
    for index in range(200):
        example = made.item(0, 0, index)
        target, enrollment = spans(example.drawn)
        name = example.drawn["enrolled"]
        seen.add(name)
        assert example.drawn["speakers"][0] == name and example.target == 0
        assert len(set(example.drawn["speakers"])) == 2
        if name == "d":  # several files
            assert target[0] != enrollment[0]
        else:  # one file
            assert target[0] == enrollment[0]
            assert target[2] <= enrollment[1] + 1e-6 or enrollment[2] <= target[1] + 1e-6
        for _, begin, end in (target, enrollment):
            assert end - begin >= 0.5 - 1e-3
    assert seen == set("abcde") == set(made.speakers)
    assert set(made.others) == set("abcdef")


def test_a_copy_of_a_file_does_not_enroll_it(tmp_path):
    first = speech(tmp_path, "first.wav", 2.0, "a")
    copy = replace(first, path=tmp_path / "copy.wav")
    shutil.copy(first.path, copy.path)
    made = mixer([first, copy, speech(tmp_path, "b.wav", 2.0, "b")])
    for index in range(40):
        drawn = made.item(0, 0, index).drawn
        if drawn["enrolled"] == "a":
            target, enrollment = spans(drawn)
            assert target[2] <= enrollment[1] + 1e-6 or enrollment[2] <= target[1] + 1e-6
    made = mixer([first, copy, speech(tmp_path, "other.wav", 2.0, "a"), *made.speech.rows[2:]])
    for index in range(40):
        drawn = made.item(0, 0, index).drawn
        if drawn["enrolled"] == "a":
            names = {Path(path).name for path, *_ in spans(drawn)}
            assert names != {"first.wav", "copy.wav"} and len(names) == 2


def test_cuts_of_one_file_may_overlap_but_do_not_enroll_each_other(tmp_path):
    path = trees.sound(tmp_path / "talk.wav", 6.0, RATE)
    about = {"kind": "speech", "license": "", "source": "x", "split": "train", "path": path}
    cuts = [(0.0, 2.0), (1.0, 2.0), (2.5, 2.0), (4.6, 0.9)]
    here = [Recording(**about, speaker="a", start=start, duration=n) for start, n in cuts]
    here += [speech(tmp_path, "b.wav", 1.0, "b")]
    made = mixer(here)
    for index in range(60):
        target, enrollment = spans(made.item(0, 0, index).drawn)
        assert target[2] <= enrollment[1] + 1e-6 or enrollment[2] <= target[1] + 1e-6
    other = speech(tmp_path, "other.wav", 1.0, "a")
    made = mixer([*here, other])
    for index in range(30):
        drawn = made.item(0, 0, index).drawn
        target, enrollment = spans(drawn)
        assert (target[0] != enrollment[0]) == (drawn["enrolled"] == "a")  # another file is taken


def test_what_was_drawn_is_what_is_heard(rows):
    for index in range(5):
        example = mixer(rows, n_src=(1, 1)).item(0, 0, index)
        places = [example.drawn["from"][0], example.drawn["enrollment"]]
        for place, x in zip(places, [example.mixture, example.enrollment], strict=True):
            start, n = (round(place[key] * RATE) for key in ("start_s", "duration_s"))
            wanted = io.read(place["path"])[0][start : start + n]
            heard = x[np.flatnonzero(x)[0] :][:n] if len(x) > n else x
            assert np.corrcoef(heard[: n - 9], wanted[: len(heard)][: n - 9])[0, 1] > 0.9999


def test_a_short_recording_is_parted_in_proportion(rows):
    only = [row for row in rows if row.speaker in "ab"]
    made = mixer(only, seconds=4.0, enrollment_seconds=2.0)
    example = made.item(0, 0, 0)
    (_, *target), (_, *enrollment) = spans(example.drawn)
    whole = {"a": 1.5, "b": 2.2}[example.drawn["enrolled"]]
    lengths = target[1] - target[0], enrollment[1] - enrollment[0]
    assert sum(lengths) == pytest.approx(whole, abs=1e-3)
    assert lengths[0] == pytest.approx(min(2 * whole / 3, whole - 0.5), abs=1e-3)
    assert len(example.mixture) == 4 * RATE  # padded


def test_levels_are_as_drawn(rows):
    made = mixer(
        rows, n_src=(2, 3), noise=1.0, noise_db=(7, 7), sir_db=(-3, 4), level_db=(-30, -30)
    )
    for index in range(20):
        example = made.item(0, 0, index)
        active = [rms(x[np.flatnonzero(x)[0] : np.flatnonzero(x)[-1] + 1]) for x in example.sources]
        for other, sir in zip(active[1:], example.drawn["sir_db"], strict=True):
            assert 20 * np.log10(active[0] / other) == pytest.approx(sir, abs=0.05)
            assert -3 <= sir <= 4
        speech = example.sources.sum(axis=0)
        bed = example.mixture - speech
        assert 20 * np.log10(rms(speech) / rms(bed)) == pytest.approx(7, abs=0.01)
        assert 20 * np.log10(rms(example.mixture)) == pytest.approx(-30, abs=0.01)
        assert example.drawn["noise"]["snr_db"] == 7


def test_nothing_clips_and_the_sum_stays(rows):
    made = mixer(rows, level_db=(0.0, 0.0), n_src=(3, 3))
    for index in range(5):
        example = made.item(0, 0, index)
        peak = max(np.abs(example.mixture).max(), np.abs(example.sources).max())
        assert peak == pytest.approx(0.99, abs=1e-4)
        assert np.abs(example.enrollment).max() <= 0.99
        np.testing.assert_allclose(example.mixture, example.sources.sum(axis=0), atol=1e-6)


def test_absent_targets_are_not_in_the_mixture(rows):
    made = mixer(rows, absent=0.5, n_src=(1, 2))
    examples = [made.item(0, 0, index) for index in range(200)]
    gone = [example for example in examples if example.drawn["absent"]]
    assert 70 < len(gone) < 130
    for example in gone:
        assert example.target == -1 and len(example.enrollment)
        assert example.drawn["enrolled"] not in example.drawn["speakers"]
        assert len(example.sources) == len(example.drawn["speakers"])


def test_speakers_of_one_collection_meet_as_often_as_is_asked(rows):
    """Where it has enough of them; else anybody may be heard beside its only speaker."""
    where = {"a": "far", "b": "far", "c": "far", "d": "near", "e": "near"}
    told = [replace(row, source=f"{where.get(row.speaker, 'lone')}@1:x") for row in rows]
    for share, absent in ((0.0, 0.0), (0.6, 0.0), (1.0, 0.0), (1.0, 1.0)):
        made = mixer(told, same_origin=share, absent=absent)
        drawn = [made.draw(0, 0, index) for index in range(200)]
        met = [[where.get(n) for n in (*one.speakers, one.enrolled)] for one in drawn]
        alike = np.mean([len(set(names)) == 1 for names in met])
        by_chance = 0.45  # f is no target; it is heard beside the others
        if absent:  # "near" has one speaker instead of whom nobody else of it could be two
            assert all(len(set(names)) == 1 for names in met if names[-1] == "far")
        elif share:
            assert abs(alike - (share + (1 - share) * by_chance)) < 0.12
        else:
            assert alike < 0.6


def test_numbers_of_speakers_have_shares(rows):
    some = mixer(rows, n_src=(1, 3), shares=(0.0, 0.2, 0.8))
    counts = [len(some.draw(0, 0, i).parts) for i in range(300)]
    assert set(counts) == {2, 3} and 210 < counts.count(3) < 270


def test_overlap_modes_and_speakers(rows):
    made = mixer(rows, overlap=(0.4, 0.4), n_src=(2, 2))
    for index in range(10):
        other = np.flatnonzero(made.item(0, 0, index).sources[1])
        assert other[-1] - other[0] < 0.4 * RATE + 1
    short = mixer(rows, mode="min", seconds=2.0)
    lengths = [len(short.item(0, 0, index).mixture) for index in range(20)]
    assert min(lengths) < 2.0 * RATE and max(lengths) <= 2.0 * RATE
    counts = {len(mixer(rows, n_src=(1, 3)).item(0, 0, i).sources) for i in range(30)}
    assert counts == {1, 2, 3}


def test_without_enrollment_there_is_no_target(rows):
    example = mixer(rows, enrollment_seconds=0).item(0, 0, 0)
    assert example.target == -1 and len(example.enrollment) == 0
    assert len(example.sources) == 2


def test_what_was_drawn_is_plain(rows):
    drawn = mixer(rows, **{**EVERYTHING, "noise": 1.0, "room": 1.0}).item(0, 0, 1).drawn
    assert json.loads(json.dumps(drawn)) == drawn


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_src": (7, 7)}, r"n_src=\(7, 7\) needs 7 speakers .* found 6 and 5"),
        ({"n_src": (3, 2)}, r"n_src=\(3, 2\): expected fewest and most"),
        ({"n_src": (1, 2), "shares": (1.0,)}, r"shares=\(1.0,\) .* expected 2 that add up to 1"),
        ({"n_src": (1, 2), "shares": (0.3, 0.6)}, r"shares=\(0.3, 0.6\) .* add up to 1"),
        ({"sir_db": (3, 2)}, r"sir_db=\(3, 2\): expected the lower bound first"),
        ({"noise": 1.5}, "noise=1.5: expected 0 to 1"),
        ({"overlap": (0.5, 1.5)}, r"overlap=\(0.5, 1.5\): expected 0 to 1"),
        ({"mode": "mid"}, "mode='mid': expected min or max"),
        ({"speeds": ()}, r"speeds=\(\): expected one or more"),
        ({"least_seconds": 2.0}, "least_seconds=2.0: expected more than 0 and at most"),
        ({"absent": 0.5, "enrollment_seconds": 0}, "absent=0.5 without enrollment"),
    ],
)
def test_bad_cfgs_are_named(rows, options, match):
    with pytest.raises(ValueError, match=match):
        mixer(rows, **options)


def test_missing_material_is_named(rows):
    shelf = Shelf([row for row in rows if row.kind == "speech"], RATE)
    with pytest.raises(ValueError, match=r"noise=0\.5 but no noise: add recordings"):
        Mixer(MixingCfg(**SMALL, noise=0.5), shelf)


def test_a_shelf_on_disk_equals_one_in_memory(rows, tmp_path):
    here = [row for row in rows if row.speaker in "de"]
    kept, held = Shelf(here, RATE, tmp_path / "shelf"), Shelf(here, RATE)
    again = pickle.loads(pickle.dumps(Shelf(here, RATE, tmp_path / "shelf")))
    for i, row in enumerate(here):
        np.testing.assert_array_equal(kept.take(i), held.take(i))
        np.testing.assert_array_equal(again.take(i), held.take(i))
        wanted = manifest.of_file(row.path, kind="", split="train", source="").duration
        assert held.length(i) == round((row.duration or wanted) * RATE)
    assert len(pickle.dumps(kept)) < 10000 < len(pickle.dumps(held))
    changed = Shelf(here[1:], RATE, tmp_path / "shelf")  # made anew
    assert len(changed) == len(here) - 1 == len(changed.levels)


def test_a_shelf_is_the_same_on_one_core_and_on_many(rows, tmp_path, monkeypatch):
    """Though a long file that comes first is ready last; what is wrong is named as it comes."""
    text = tmp_path / "text.wav"
    text.write_text("no sound")
    bad = replace(rows[0], path=text, start=None, duration=None)
    here = [*(row for row in rows if row.speaker in "eda"), bad, replace(bad, start=1.0)]
    found = []
    for cores in (1, 4):
        monkeypatch.setattr(parallel, "cores", lambda cores=cores: cores)
        found.append(Shelf(here, RATE, tmp_path / f"{cores}", on_bad="skip"))
        with pytest.raises(ValueError, match=r"text\.wav is text.*; or leave such recordings out"):
            Shelf(here, RATE)
    one, many = found
    assert one.rows == many.rows == tuple(here[:-2]) and len(one.left_out) == 1
    assert one.left_out == many.left_out
    np.testing.assert_array_equal(one.samples, many.samples)
    np.testing.assert_array_equal(one.levels, many.levels)


def test_quiet_recordings_keep_their_resolution(tmp_path):
    path = trees.sound(tmp_path / "quiet.wav", 1.0, 16000, level=0.003)
    row = Recording(path=path, kind="speech", license="", source="", split="train")
    shelf = Shelf([row], 16000)
    x, _ = io.read(path)
    assert np.abs(shelf.take(0) - x).max() <= np.abs(x).max() / 32767
    with pytest.raises(ValueError, match=r"from 0.9 s for 0.5 s, expected a part of its 1 s"):
        Shelf([Recording(**{**row.__dict__, "start": 0.9, "duration": 0.5})], 16000)


def test_load_reads_manifests_by_split(rows, tmp_path):
    manifest.write(tmp_path / "m.csv", rows)
    cfg = MixingCfg(**SMALL, noise=1.0, refused_speakers=("unlabelled",))
    made = load(cfg, [tmp_path / "m.csv"], "train", tmp_path / "kept")
    assert set(made.speakers) == set("abcde") and (tmp_path / "kept/train/speech").is_dir()
    np.testing.assert_array_equal(
        made.item(0, 0, 0).mixture, load(cfg, [tmp_path / "m.csv"], "train").item(0, 0, 0).mixture
    )
    with pytest.raises(ValueError, match="no speech with a speaker in the valid split"):
        load(cfg, [tmp_path / "m.csv"], "valid")


def test_epochs_differ_and_keys_may_carry_them(rows):
    data = DynamicMixtures(mixer(rows), items=3)
    first = data[0]
    assert data[1, 0].drawn != first.drawn
    later = data[1, 0]
    data.epoch = 1
    assert data[0].drawn == later.drawn and len(list(data)) == 3
    with pytest.raises(IndexError, match="index=3: expected 0 to 2"):
        data[3]


def test_listed_mixtures_whole_and_in_stretches(rows, tmp_path):
    parts = [Part(path=rows[i].path, speaker=rows[i].speaker) for i in (1, 2)]
    enrollments = tuple(Part(path=row.path) for row in rows if row.speaker == "d")
    row = Mixture(id="m", sources=tuple(parts), enrollments=enrollments, target=0, sample_rate=RATE)
    whole = ListedMixtures([row])[0]
    cut = ListedMixtures([row], seconds=0.5, enrollment_seconds=0.25)
    starts = set()
    for epoch in range(8):
        made = cut[epoch, 0]
        start = round(made.drawn["start_s"] * RATE)
        np.testing.assert_array_equal(made.mixture, whole.mixture[start : start + 4000])
        np.testing.assert_array_equal(made.sources, whole.sources[:, start : start + 4000])
        assert made.sources.shape == (2, 4000) and len(made.enrollment) == 2000
        starts.add((start, made.drawn["enrollment"]))
    assert len({start for start, _ in starts}) == 8
    assert len({which for _, which in starts}) > 1
    batch = collate([whole, cut[0, 0]])
    assert batch["lengths"].tolist() == [len(whole.mixture), 4000]
    assert batch["sources"].shape == (2, 2, len(whole.mixture))
    assert batch["mixture"][1, 4000:].abs().max() == 0
    assert batch["target"].tolist() == [0, 0]


def test_a_batch_of_two_rates_is_refused(rows):
    one = mixer(rows).item(0, 0, 0)
    with pytest.raises(ValueError, match=r"sample rates \[8000, 16000\]: expected one"):
        collate([one, replace(one, sample_rate=16000)])


def test_a_lone_speaker_always_has_something_under_it(rows):
    drawn = mixer(rows, n_src=(1, 2), noise=0.2, music=0.1)
    made = [drawn.item(0, 0, i) for i in range(40)]
    alone = [example for example in made if len(example.sources) == 1]
    others = [example for example in made if len(example.sources) == 2]
    assert all({"noise", "music"} & set(example.drawn) for example in alone)
    assert not all({"noise", "music"} & set(example.drawn) for example in others)
    assert alone and others
