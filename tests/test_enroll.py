"""From files to an embedding file: preparing, enrolling, what is refused, and verification."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_cli import call
from voices import RATE, RECORDINGS, voice

import sepaudio
from sepaudio import hub, io, registry
from sepaudio.data.augment import telephone_band
from sepaudio.frontends import Embedding, fingerprint
from sepaudio.verbs.enroll import enroll, enroll_files
from sepaudio.verbs.prepare import PrepareCfg, prepare_ivector, read_overrides
from sepaudio.verbs.verify import cosine, equal_error_rate, verify

VALUES = ["components=6", "rank=5", "steps=2", "frames=2000"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A manifest, its recordings, and a prepared front-end."""
    folder = tmp_path_factory.mktemp("voices")
    rows = ["path,kind,speaker,license,source,split"]
    for i, x in enumerate(RECORDINGS):
        split = "test" if i % 3 == 2 else "train"
        io.write(folder / f"{i}.flac", x.numpy(), RATE)
        rows.append(f"{i}.flac,speech,s{i // 3},CC0-1.0,here@1:{i},{split}")
    io.write(folder / "silence.wav", np.zeros(RATE, np.float32), RATE)
    io.write(folder / "short.wav", voice(0.2).numpy(), RATE)
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    cfg = read_overrides(VALUES, PrepareCfg)
    prepare_ivector([folder / "manifest.csv"], folder / "speaker", cfg, quiet=True)
    return folder


def test_a_prepared_folder_says_what_it_is(folder):
    config = hub.read_config(folder / "speaker")
    assert config["cfg"]["type"] == "IVectorCfg"
    assert config["recordings"] == 12
    assert config["trained_on"] == ["here"]
    history = config["subspace_log_likelihood"]
    assert history == sorted(history)
    card = (folder / "speaker" / "README.md").read_text()
    assert "| here | CC0-1.0 | 12 |" in card
    assert hub.load(folder / "speaker").cfg.components == 6


def test_the_command_line_prepares_the_same(folder, capfd, tmp_path):
    out = tmp_path / "deep" / "speaker"
    code, printed, err = call(
        capfd, "prepare", "ivector", folder / "manifest.csv", "-o", out, *VALUES
    )
    assert (code, printed.strip()) == (0, str(out))
    assert "log-likelihood per frame" in err
    assert fingerprint(hub.load(out)) == fingerprint(hub.load(folder / "speaker"))


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (["compnents=3"], "compnents"),
        (["components=many"], "components"),
        (["split=valid"], "split='valid': no recording of kind 'speech' that is allowed"),
        (["kind=singing"], "no recording of kind 'singing'"),
        (["sample_rate=11025"], "sample_rate='11025': expected one of 8000, 16000"),
        (["components=100000"], "frames for components=100000"),
    ],
)
def test_preparing_refuses(folder, values, match, capfd, tmp_path):
    args = ["prepare", "ivector", folder / "manifest.csv", "-q", "-o", tmp_path / "no", *values]
    code, _, err = call(capfd, *args)
    assert code == 2
    assert match in err
    assert not list(tmp_path.iterdir())


def test_preparing_needs_a_manifest(capfd, tmp_path):
    code, _, err = call(capfd, "prepare", "ivector", "rank=3", "-o", tmp_path / "no")
    assert code == 2
    assert "manifests" in err
    with pytest.raises(ValueError, match="'rank': expected key=value"):
        read_overrides(["rank"], PrepareCfg)


def test_an_interrupted_run_leaves_nothing(folder, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("safetensors.torch.save_model", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cfg = PrepareCfg(components=2, rank=2, frames=500)
        prepare_ivector([folder / "manifest.csv"], tmp_path / "new", cfg, quiet=True)
    assert not list(tmp_path.iterdir())


def test_the_command_line_enrolls(folder, capfd, tmp_path):
    out = tmp_path / "anna.safetensors"
    files = [folder / "0.flac", folder / "1.flac"]
    code, printed, _ = call(capfd, "enroll", *files, "--model", folder / "speaker", "--output", out)
    assert code == 0
    assert all(str(file) in printed for file in files)
    made, model = sepaudio.load_embedding(out), hub.load(folder / "speaker")
    assert made.speaker == fingerprint(model)
    sounds = [torch.from_numpy(io.read(file)[0]) for file in files]
    assert torch.equal(made.vectors, model.together(sounds))


def test_quality_is_measured(folder):
    x = RECORDINGS[0].numpy()
    clipped = np.clip(40 * x, -1, 1)
    found = enroll([x, RECORDINGS[1].numpy(), clipped], RATE, model=folder / "speaker").recordings
    assert [q.seconds for q in found] == [3.0, 3.0, 3.0]
    assert all(1 < q.voiced <= 3 for q in found)
    loud = 20 * math.log10(np.sqrt(np.mean(x[np.abs(x) > 0.005] ** 2)))
    assert found[0].level == pytest.approx(loud, abs=1.5)
    assert found[0].clipping == 0
    assert found[2].clipping == pytest.approx((np.abs(40 * x) >= 1).mean(), abs=0.01)
    assert all(-1 <= q.similarity <= 1 for q in found)
    assert enroll([x], RATE, model=folder / "speaker").recordings[0].similarity is None


def test_what_came_by_telephone_is_told(folder, capfd):
    """Where a voice has been heard with its bass, and the command line says so."""
    io.write(folder / "phone.wav", telephone_band(RECORDINGS[0].numpy(), RATE), RATE)
    model = folder / "speaker"
    plain, phone = (enroll_files([folder / name], model=model) for name in ("0.flac", "phone.wav"))
    assert plain.recordings[0].bass > -10 and phone.recordings[0].bass < -16
    assert "bass" not in plain.doubts()
    assert "phone.wav has no bass (-" in phone.doubts() and "by telephone" in phone.doubts()
    made = folder / "phone.safetensors"
    _, _, err = call(capfd, "enroll", folder / "phone.wav", "--model", model, "--output", made)
    assert "as if it came by telephone" in err


def test_rates_and_channels_are_met(folder):
    x = RECORDINGS[0].numpy()
    wide = io.resample(np.stack([x, x]), RATE, 44100)
    model = folder / "speaker"
    one, two = enroll([x], RATE, model=model), enroll([wide], 44100, model=model)
    assert (one.embedding.vectors * two.embedding.vectors).sum() > 0.99


@pytest.mark.parametrize(
    ("files", "match"),
    [
        (["0.flac", "silence.wav"], r"silence.wav holds 0.00 s of voice in 1.00 s: expected at"),
        (["short.wav"], "short.wav holds 0.* s of voice in 0.20 s"),
        (["none.wav"], "none.wav does not exist"),
        (["manifest.csv"], "manifest.csv"),
    ],
)
def test_bad_recordings_are_refused_by_name(folder, files, match):
    with pytest.raises(ValueError, match=match):
        enroll_files([folder / file for file in files], model=folder / "speaker")


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (np.zeros(0, np.float32), "recording 1 of 1 has no samples"),
        (np.zeros(9000, np.int16), "recording 1 of 1 has dtype int16"),
        (np.full(9000, np.nan), "NaN or infinite"),
        (np.zeros((9000, 2)), r"expected \[C, T\]; pass x.T"),
    ],
)
def test_arrays_that_are_no_sound_are_refused(folder, x, match):
    with pytest.raises(ValueError, match=match):
        enroll([x], RATE, model=folder / "speaker")


def test_a_refused_recording_leaves_the_old_embedding(folder, capfd, tmp_path):
    out = tmp_path / "anna.safetensors"
    out.write_text("precious")
    silence = folder / "silence.wav"
    code, _, err = call(capfd, "enroll", silence, "--model", folder / "speaker", "--output", out)
    assert code == 2
    assert "expected at least 0.5 s" in err
    assert out.read_text() == "precious"


def test_models_without_a_front_end_are_refused(folder):
    with pytest.raises(ValueError, match="an extractor that takes vectors from elsewhere"):
        enroll([voice(1).numpy()], RATE, model=registry.create("tsenet_causal_test", speaker=None))
    with pytest.raises(ValueError, match="speech_music_noise is for classification"):
        enroll([voice(1).numpy()], RATE, model="speech_music_noise")
    with pytest.raises(ValueError, match="no recording of the speaker"):
        enroll([], RATE, model=folder / "speaker")


def test_a_learned_front_end_enrolls_too():
    net = registry.create("tsenet_test").eval()
    sounds = [io.resample(x.numpy(), RATE, 1000) for x in RECORDINGS[:2]]
    made = enroll(sounds, 1000, model=net).embedding
    with torch.no_grad():
        wanted = sum(net.speaker(torch.from_numpy(x)[None]) for x in sounds) / 2
    torch.testing.assert_close(made.vectors, wanted)
    assert made.speaker == fingerprint(net.speaker)
    assert net(torch.zeros(1, 100), made).shape == (1, 100)
    with pytest.raises(ValueError, match="pooling='statistics' with a SpeakerEncoder"):
        enroll(sounds, 1000, model=net, pooling="statistics")


@pytest.mark.parametrize("db", [-40.0, -15.0, 20.0])
def test_a_learned_front_end_hears_who_speaks_and_not_how_loud(db):
    speaker = registry.create("speaker_encoder_test").eval()
    sounds = torch.nn.utils.rnn.pad_sequence(
        [voice(1.0, 100), voice(0.6, 170)], batch_first=True, padding_value=0.5
    )
    lengths = torch.tensor([RATE, round(0.6 * RATE)])
    gains = torch.tensor([[1.0], [10 ** (db / 20)]])
    with torch.no_grad():
        one, other = speaker(sounds, lengths), speaker(gains * sounds, lengths)
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-5)
        alone = speaker(gains[1] * sounds[1:, : lengths[1]])
        assert torch.allclose(one[1:], alone, rtol=1e-3, atol=1e-5)
        assert torch.isfinite(speaker(torch.zeros_like(sounds))).all()


def test_embeddings_survive_the_disk(tmp_path):
    made = Embedding(torch.randn(2, 7), "0123456789abcdef")
    hub.save_embedding(made, tmp_path / "a.safetensors", speaker_name="Anna")
    again = hub.load_embedding(tmp_path / "a.safetensors")
    assert torch.equal(again.vectors, made.vectors)
    assert again.speaker == made.speaker


def test_vectors_from_elsewhere_plug_in(tmp_path):
    from safetensors.torch import save_file

    vector = torch.randn(4)
    np.save(tmp_path / "a.npy", vector.double().numpy())
    save_file({"xvector": vector}, str(tmp_path / "a.safetensors"), {"format": "pt"})
    outside = registry.create("tsenet_test", speaker=None).eval()
    own = registry.create("tsenet_test").eval()
    for name in ("a.npy", "a.safetensors"):
        found = hub.load_embedding(tmp_path / name)
        assert found.speaker == ""
        torch.testing.assert_close(found.vectors, vector[None])
        assert outside(torch.zeros(1, 100), found).shape == (1, 100)
        with pytest.raises(ValueError, match="made by something else"):
            own(torch.zeros(1, 100), found)


def test_what_is_no_embedding_is_refused(folder, tmp_path):
    from safetensors.torch import save_file

    np.save(tmp_path / "int.npy", np.arange(4))
    np.save(tmp_path / "nan.npy", np.full(4, np.nan))
    np.save(tmp_path / "object.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "text.npy").write_text("hello")
    (tmp_path / "text.safetensors").write_text("hello")
    save_file({"v": torch.ones(3)}, str(tmp_path / "new.safetensors"), {"sepaudio_embedding": "9"})
    matches = {
        "int.npy": r"int64 of shape \[1, 4\]",
        "nan.npy": "NaN or infinity",
        "object.npy": "is no embedding",
        "text.npy": "is no embedding",
        "text.safetensors": "is no embedding",
        "new.safetensors": "its format is '9'",
        "none.npy": "does not exist",
    }
    for name, match in matches.items():
        with pytest.raises(ValueError, match=match):
            hub.load_embedding(tmp_path / name)
    with pytest.raises(ValueError, match="holds 7 tensors, expected one"):
        hub.load_embedding(folder / "speaker" / "model.safetensors")
    with pytest.raises(ValueError, match=r"ends in \.safetensors"):
        hub.save_embedding(Embedding(torch.ones(1, 3)), tmp_path / "a.npy")
    with pytest.raises(ValueError, match="NaN or infinity"):
        hub.save_embedding(Embedding(torch.full((1, 3), math.nan)), tmp_path / "b.safetensors")
    assert not (tmp_path / "b.safetensors").exists()


def test_equal_error_rates():
    assert equal_error_rate([2, 3], [0, 1]) == 0
    assert equal_error_rate([0, 1], [2, 3]) == 1
    assert equal_error_rate([1, 1], [1, 1, 1]) == 0.5
    assert equal_error_rate([1.0], [0.0]) == 0
    rng = np.random.default_rng(0)
    found = equal_error_rate(rng.standard_normal(200_000) + 2, rng.standard_normal(100_000))
    assert found == pytest.approx(0.5 * math.erfc(1 / math.sqrt(2)), abs=2e-3)
    one, two = rng.standard_normal(50) + 1, rng.standard_normal(70)
    assert equal_error_rate(one, two) == pytest.approx(equal_error_rate(-two, -one), abs=1e-12)
    with pytest.raises(ValueError, match="0 scores of the same voice and 1 of another"):
        equal_error_rate([], [1])
    with pytest.raises(ValueError, match="expected numbers"):
        equal_error_rate([math.nan], [1])


def test_trials_are_sorted_by_speaker():
    scores = np.array([[0.9, 0.1, 0.8], [0.2, 0.7, 0.75], [math.nan, math.nan, math.nan]])
    found = verify(scores, ["a", "b", "c"], ["a", "b", "a"])
    assert (found.targets, found.others, found.speakers) == (3, 3, 3)
    assert found.error_rate == pytest.approx(equal_error_rate([0.9, 0.8, 0.7], [0.1, 0.2, 0.75]))
    assert found.interval[0] <= found.error_rate <= found.interval[1]
    a = np.random.default_rng(0).standard_normal((3, 5))
    np.testing.assert_allclose(np.diag(cosine(a, 2 * a)), 1)
    assert cosine(a, 0 * a).any() == 0


def test_the_recipe_fits_measures_and_writes(tmp_path):
    rows = ["path,kind,speaker,license,source,split"]

    def add(speaker, split, x, i):
        io.write(tmp_path / f"{speaker}{i}.flac", x.numpy(), RATE)
        rows.append(f"{speaker}{i}.flac,speech,{speaker},CC0-1.0,here@1:{speaker}{i},{split}")

    for i, x in enumerate(RECORDINGS):
        add("train_all", "train", x, i)
    for k, pitch in enumerate((100, 130, 160, 190)):
        for i in range(4 if k < 2 else 1):
            add(f"x_{k}", "test", voice(3, pitch, seed=100 + 10 * k + i), i)
    add("unlabelled_a", "test", voice(2), 0)
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    script = Path(__file__).parent.parent / "recipes" / "speaker" / "ivector.py"
    command = [sys.executable, script, "manifest.csv", *VALUES, "--into", tmp_path]
    command += ["--folder", tmp_path / "ivector"]

    def run(*more):
        done = subprocess.run(
            list(map(str, [*command, *more])),
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(script.parent.parent.parent)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    done = run()
    cells = [line.split("|")[1:-1] for line in done.stdout.splitlines() if " to " in line]
    counts = {row[0].strip(): [int(c) for c in row[2:]] for row in cells if len(row) == 5}
    assert counts["one recording against one, all speakers with several"] == [2, 12, 16]
    assert counts["the same, only `x_*`"] == [2, 12, 16]
    assert counts["3 recordings against one, pooled by vectors"] == [2, 2, 2]
    assert counts["first half of the only recording against second halves"] == [2, 2, 2]
    assert (tmp_path / "README.md").read_text().strip() == done.stdout.strip()
    assert "one_speaker" not in done.stdout
    told = run("--beside", "one_speaker")
    before, beside = told.stdout.split("The encoder of `one_speaker` on the same trials:")
    tables = [[line.split("|")[1:-1] for line in text.splitlines()] for text in (before, beside)]
    here, there = ([row for row in rows if len(row) == 5 and " to " in row[1]] for rows in tables)
    vectors_alone = [row for row in here if "statistics" not in row[0]]
    assert [(row[0], row[2:]) for row in there] == [(row[0], row[2:]) for row in vectors_alone]
    assert "--beside one_speaker" in before
