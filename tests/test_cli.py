"""The command line, run as a user runs it."""

import csv
import io as text_io
import json
import multiprocessing
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import odd_files
import pytest

from sepaudio import io
from sepaudio.cli import VERBS, guarded, key_values, main

SAMPLES = Path(__file__).parent.parent / "samples"


def run(*arguments, stdin=None):
    """Exit code, standard output and standard error of the real program."""
    done = subprocess.run(
        [sys.executable, "-m", "sepaudio", *map(str, arguments)],
        capture_output=True,
        input=stdin,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def call(capfd, *arguments):
    """The same in this process."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    out, err = capfd.readouterr()
    return stop.value.code, out, err


def rows(text):
    return list(csv.DictReader(text_io.StringIO(text)))


def test_help_and_version():
    code, out, _ = run("--help")
    assert code == 0
    assert all(verb in out for verb in VERBS)
    code, out, _ = run("--version")
    assert code == 0
    assert {line.split()[0] for line in out.splitlines()} >= {"sepaudio", "torch", "soundfile"}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb, capfd):
    code, out, _ = call(capfd, verb, "--help")
    assert code == 0
    assert f"sepaudio {verb}" in out


def test_import_pulls_in_nothing_heavy():
    heavy = [
        "torch",
        "torchaudio",
        "librosa",
        "asteroid",
        "pytorch_lightning",
        "soundfile",
        "numpy",
    ]
    for code in ("import sepaudio", "import sepaudio.cli; sepaudio.cli.usage()"):
        check = f"{code}; import sys; print([m for m in {heavy} if m in sys.modules])"
        done = subprocess.run(
            [sys.executable, "-c", check], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"


def test_classifying_pulls_in_no_training():
    check = (
        "import sepaudio, numpy, sys;"
        "sepaudio.classify(numpy.ones(16000, numpy.float32), 16000);"
        "print([m for m in ('pytorch_lightning', 'librosa', 'torchaudio', 'asteroid', 'timm')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ([], "usage"),
        (["clasify"], "did you mean 'classify'"),
        (["classify"], "paths"),
        (["classify", "x.wav", "--no-such"], "no-such"),
        (["classify", "x.wav", "--model", "nothing"], "no set of weights is called 'nothing'"),
        (["classify", "x.wav", "--top-k", "0"], "expected 1 or more"),
        (["classify", "x.wav", "--device", "abacus"], "device='abacus' is not usable"),
        (["profile", "nothing"], "no set of weights is called 'nothing'"),
        (["train", "no.yaml"], "no.yaml does not exist"),
    ],
)
def test_wrong_usage_exits_with_2(arguments, match, capfd):
    code, out, err = call(capfd, *arguments)
    assert code == 2
    assert match in out + err


def test_csv_has_a_row_per_file_and_probabilities_that_add_up(capfd):
    code, out, _ = call(capfd, "classify", SAMPLES)
    assert code == 0
    found = rows(out)
    assert len(found) == len(list(SAMPLES.glob("*.flac")))
    for row in found:
        chances = [float(row[k]) for k in ("noise", "music", "speech")]
        assert sum(chances) == pytest.approx(1, abs=1e-5)
        assert float(row["probability"]) == max(chances)
        assert row["label"] == ("noise", "music", "speech")[int(np.argmax(chances))]


def test_jsonl_and_top_k(capfd, tmp_path):
    out = tmp_path / "found.jsonl"
    code, printed, _ = call(
        capfd, "classify", SAMPLES / "speech.flac", "-o", out, "--top-k", 1, "--verbose"
    )
    assert (code, printed) == (0, "")
    (row,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert list(row["probabilities"]) == [row["label"]]


def test_a_name_that_promises_another_format_is_refused(capfd, tmp_path):
    code, _, err = call(capfd, "classify", SAMPLES / "speech.flac", "-o", tmp_path / "found.pdf")
    assert code == 2
    assert "found.pdf: expected a name that ends in .csv, .jsonl, .json, .txt; or pass" in err
    assert not list(tmp_path.iterdir())
    asked = ("classify", SAMPLES / "speech.flac", "--format", "csv")
    assert call(capfd, *asked, "-o", tmp_path / "found.pdf")[0] == 0
    assert (tmp_path / "found.pdf").read_text() == call(capfd, *asked)[1]


def test_table(capfd):
    code, out, _ = call(capfd, "classify", SAMPLES / "speech.flac", "--format", "table")
    assert code == 0
    assert "speech.flac" in out
    assert "probability" in out


def test_standard_input():
    data = (SAMPLES / "speech.flac").read_bytes()
    code, out, _ = run("classify", "-", stdin=data)
    assert code == 0
    assert rows(out)[0]["file"] == "-"


def test_patterns_and_folders_find_the_same(capfd):
    _, one, _ = call(capfd, "classify", SAMPLES)
    _, two, _ = call(capfd, "classify", f"{SAMPLES}/*.flac")
    assert one == two


def test_a_failed_output_leaves_the_old_one(capfd, tmp_path):
    out = tmp_path / "old.csv"
    out.write_text("precious")
    code, _, err = call(capfd, "classify", SAMPLES, "--model", tmp_path, "-o", out)
    assert code == 2
    assert "expected a model folder" in err
    assert out.read_text() == "precious"


def test_a_folder_of_bad_and_odd_files(capfd, tmp_path):
    """No traceback, no NaN, the good ones done, each bad one a row with its error."""
    wanted = odd_files.make(tmp_path)
    wanted[tmp_path / "loud_1e30.wav"] = False  # readable, but no level a microphone gives
    assert len(wanted) >= 100
    names = [str(path) for path in wanted]
    code, out, err = call(capfd, "classify", "-q", *names)
    found = rows(out)
    assert code == 1
    assert [row["file"] for row in found] == names
    assert "Traceback" not in out + err
    said = [row[k] for row in found for k in row if k not in ("file", "error")]
    assert not [text for text in said if "nan" in text.lower()]
    for row, good in zip(found, wanted.values(), strict=True):
        assert bool(row["label"]) == good, row
        assert bool(row["error"]) == (not good), row


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to ask")
def test_long_files_do_not_fill_memory(tmp_path):
    """Peak memory for an hour is that for a minute: 230 MB of samples at 16 kHz would show."""
    peaks = []
    for minutes in (1, 60):
        path = tmp_path / f"{minutes}.flac"
        x = np.random.default_rng(0).standard_normal(8000 * 60).astype(np.float32) * 0.05
        io.write(path, np.tile(x, minutes), 8000, "PCM_16")
        code = (
            "import re, sepaudio; [r] = sepaudio.classify_files([%r]); assert not r.error;"
            "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code % str(path)], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] < peaks[0] + 100


def test_list_names_architectures_and_weights_apart(capfd):
    code, out, _ = call(capfd, "list")
    assert code == 0
    weights, architectures = out.split("\n\n")
    assert "speech_music_noise" in weights
    assert "swishnet_wide" in architectures
    assert "18,267" in architectures


def test_doctor_has_a_line_per_trap(capfd):
    code, out, _ = call(capfd, "doctor")
    assert code == 0
    for trap in ("torchaudio", "torchvision", "asteroid", "museval", "lightning", "libsndfile"):
        assert trap in out


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("work", ["time.sleep(60)", "raise SystemExit(1)"])
def test_a_stopped_program_removes_what_it_was_writing(sign, code, work, tmp_path):
    text = f"""
import signal, sys, time
from sepaudio import files
from sepaudio.cli import script

def work():
    with files.atomic({str(tmp_path / "half.txt")!r}) as temporary:
        temporary.write_text("half")
        print("ready", flush=True)
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            {work.replace("time.sleep(60)", "raise")}  # Lightning exits with 1

script(work)
"""
    started = subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert started.stdout.readline() == "ready\n"
    started.send_signal(sign)
    _, err = started.communicate(timeout=60)
    assert started.returncode == code
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_program_beside_the_package_tells_what_is_wrong_in_a_line(tmp_path):
    program = SAMPLES.parent / "data_prep" / "speaker_folders.py"
    done = subprocess.run(
        [sys.executable, program, "--root", tmp_path / "no", "--out", tmp_path / "x.csv"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("speaker_folders.py: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["classify", "segment"])
def test_where_nothing_can_be_written_nothing_is_heard(verb, tmp_path, capfd, monkeypatch):
    from importlib import import_module

    heard = import_module(f"sepaudio.verbs.{verb}")
    monkeypatch.setattr(heard, "resolve", lambda *_: pytest.fail("a model was loaded"))
    code, _, err = call(capfd, verb, SAMPLES, "-o", tmp_path / "no" / "x.csv")
    assert code == 2
    assert "no is not a folder: expected one to write into" in err
    code, _, err = call(capfd, verb, "", "-o", tmp_path / "x.csv")
    assert code == 2
    assert "'' is no name" in err


def test_rttm_cannot_tell_equal_stems_apart(tmp_path, capfd):
    code, _, err = call(capfd, "segment", "a/x.wav", "b/x.wav", "-o", tmp_path / "x.rttm")
    assert code == 2
    assert "a/x.wav and b/x.wav are both 'x' in RTTM" in err


def test_values_stand_anywhere_but_names_of_files_are_no_values(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b.csv").write_text("")
    words = [
        "optim.steps=3",
        "m.csv",
        "--recipes",
        "one",
        "seed=1",
        "a=b.csv",
        "--lists=x",
        "./c=d",
    ]
    values, others = key_values(words)
    assert values == ["optim.steps=3", "seed=1"]
    assert others == ["m.csv", "--recipes", "one", "a=b.csv", "--lists=x", "./c=d"]


def test_a_file_whose_name_begins_like_an_option_is_told(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    io.write(tmp_path / "-loud.wav", np.zeros(8000, np.float32), 8000)
    code, _, err = call(capfd, "classify", "-loud.wav")
    assert code == 2 and "-loud.wav is taken for an option" in err and "write ./-loud.wav" in err
    assert call(capfd, "classify", "./-loud.wav")[0] == 0


def test_worker_processes_are_ended_as_any_process_is():
    """A handler in Python may miss a signal that comes just before it waits."""
    found = []

    def work():
        context = multiprocessing.get_context("fork")
        ours = signal.getsignal(signal.SIGTERM)
        with context.Pool(1) as pool:
            found.extend([callable(ours), pool.apply(signal.getsignal, (signal.SIGTERM,))])

    assert guarded("a program", work) == 0
    assert found == [True, signal.SIG_DFL]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
