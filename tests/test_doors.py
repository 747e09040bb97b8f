"""Every door opens, in a fresh process, without a warning; and says what to do when it cannot."""

import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import laws
import numpy as np
import pytest
import torch

from sepaudio import doors, io
from sepaudio.verbs import doctor as verb

DOORS = {
    "torchaudio": "torchaudio",
    "timm": "timm",
    "lightning": "pytorch_lightning",
    "asteroid": "asteroid",
    "matplotlib": "matplotlib",
    "museval": "museval",
    "torchmetrics": "torchmetrics",
    "pystoi": "pystoi",
    "pesq": "pesq",
}


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        check=False,
    )


def test_the_module_of_doors_imports_nothing_heavy():
    done = python("import sys; from sepaudio import doors; print('torch' in sys.modules)")
    assert (done.stdout, done.stderr) == ("False\n", "")


@pytest.fixture(scope="module")
def opened():
    """All doors and the doctor in one process, since these imports take seconds."""
    return python("""
from sepaudio import doors
names = "torchaudio timm lightning asteroid matplotlib museval torchmetrics pystoi pesq"
for name in names.split():
    door = getattr(doors, name)
    try:
        module = door()
    except ImportError as error:
        assert "is not installed: pip install" in str(error), error
    else:
        assert door() is module
        print(module.__name__)
import dataclasses, json
from sepaudio.verbs.doctor import doctor
print(json.dumps([dataclasses.astuple(check) for check in doctor()]))
""")


def test_all_doors_in_one_process_without_a_warning(opened):
    assert (opened.returncode, opened.stderr) == (0, "")
    there = [name for name in DOORS.values() if importlib.util.find_spec(name)]
    assert opened.stdout.splitlines()[:-1] == there


def test_doctor_finds_this_installation_usable(opened):
    checks = [verb.Check(*row) for row in json.loads(opened.stdout.splitlines()[-1])]
    assert [check.name for check in checks] == list(verb.CHECKS)
    for check in checks:
        assert check.found, check
        assert bool(check.remedy) == (not check.ok), check
    needed = ("Python", "torch", "devices", "soundfile (libsndfile)", "soxr")
    assert [c.name for c in checks if c.name in needed and c.ok is not True] == []


IMPORTS = {  # module: how it is imported
    "torchaudio": "doors.torchaudio()",
    "timm": "doors.timm()",
    "torchvision": "import torchvision.ops",
    "pytorch_lightning": "doors.lightning()",
    "torchmetrics": "import torchmetrics",
    "asteroid": "doors.asteroid(); import asteroid.models, asteroid.losses, asteroid.data",
    "museval": "doors.museval()",
    "librosa": "import librosa; librosa.feature.mfcc",
}
ORDERS = {  # torchvision and torchmetrics cannot come before a door, as anywhere
    "as listed": list(IMPORTS),
    "asteroid first": ["asteroid", "librosa", "museval", *IMPORTS],
    "backwards": ["librosa", "museval", "pytorch_lightning", *reversed(IMPORTS)],
}


def of_the_test_extra():
    """Modules that installing sepaudio[test] brings, if this is such an installation."""
    try:
        needs = importlib.metadata.requires("sepaudio") or []
    except importlib.metadata.PackageNotFoundError:
        return set()
    brought = {re.match(r"[\w-]+", need)[0].replace("-", "_") for need in needs}
    if "asteroid" in brought:
        brought.add("torchmetrics")
    if "timm" in brought:
        brought.add("torchvision")
    return brought & set(IMPORTS)


@pytest.mark.parametrize("order", ORDERS)
def test_everything_is_imported_into_one_process(order):
    there = {name for name in IMPORTS if importlib.util.find_spec(name)}
    assert of_the_test_extra() <= there, "pip install -e '.[test]' again"
    names = [name for name in dict.fromkeys(ORDERS[order]) if name in there]
    code = "\n".join(["import sys", "from sepaudio import doors", *map(IMPORTS.get, names)])
    # The doors are silent with any filter; librosa and torchmetrics, come by plainly, have theirs.
    code += "\nprint(*(name for name in sys.argv[1:] if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code, *names],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.stdout.split() == names, done.stderr
    assert done.stderr == ""


def test_the_test_extra_brings_every_oracle():
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    extras = text.split("[project.optional-dependencies]")[1].split("[project.scripts]")[0]
    for package in ("asteroid==", "torchaudio>=", "timm>=", "librosa>=", "pytorch-lightning>="):
        assert f'"{package}' in extras
    assert (
        '"sepaudio[asteroid,metrics,museval,plot]"' in extras.split("test = [")[1].split("\n]")[0]
    )


def test_classifying_and_creating_open_no_door():
    done = python(f"""
import sys, numpy, sepaudio
sepaudio.create("swishnet_slim")
sepaudio.classify(numpy.ones(16000, numpy.float32), 16000)
print([name for name in {list(IMPORTS)} if name in sys.modules])
""")
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.fixture(scope="module")
def torchaudio():
    if importlib.util.find_spec("torchaudio") is None:
        pytest.skip("torchaudio is not installed")
    return doors.torchaudio()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_torchaudio_resamples_inside_a_graph(torchaudio, dtype):
    """Resampling is linear, so <resample(x), g> is <x, gradient> to rounding."""
    x = laws.noise(2, 441, dtype=dtype).requires_grad_()
    y = torchaudio.functional.resample(x, 44100, 16000)
    assert y.dtype == dtype
    assert y.shape == (2, 160)
    g = laws.noise(2, 160, dtype=dtype, seed=1)
    (y * g).sum().backward()
    assert x.grad.dtype == dtype
    assert x.grad.abs().min() > 0
    laws.close((x * x.grad).sum(-1), (y * g).sum(-1), 1e-4 if dtype == torch.float32 else 1e-12)


def test_torchaudio_resamples_a_tone_to_the_same_tone(torchaudio):
    t = torch.arange(8000, dtype=torch.float64)
    down = torchaudio.functional.resample(
        torch.sin(2 * torch.pi * 440 * t / 16000), 16000, 8000, lowpass_filter_width=64
    )
    wanted = torch.sin(2 * torch.pi * 440 * t[:4000] / 8000)
    laws.close(down[200:-200], wanted[200:-200], 1e-3)


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.1])
def test_torchaudio_perturbs_speed(torchaudio, factor):
    """Factor times as fast: as much shorter, and a tone as much higher."""
    t = torch.arange(16000, dtype=torch.float64)
    x = torch.sin(2 * torch.pi * 1000 * t / 16000).requires_grad_()
    lengths = torch.tensor(16000)
    y, after = torchaudio.functional.speed(x, 16000, factor, lengths)
    assert len(y) == int(after) == -(-16000 * 10 // round(10 * factor))
    peak = int(torch.fft.rfft(y * torch.hann_window(len(y), dtype=y.dtype)).abs().argmax())
    assert peak * 16000 / len(y) == pytest.approx(1000 * factor, abs=2)
    y.square().sum().backward()
    assert torch.isfinite(x.grad).all()
    one_of = torchaudio.transforms.SpeedPerturbation(16000, [factor])  # in float32 alone
    laws.close(one_of(x.detach().float(), lengths)[0], y.detach().float(), 1e-5)


def steps(n, seed, channels=1):
    """Samples [C, n] that 16 bits hold exactly."""
    random = np.random.default_rng(seed)
    return (random.integers(-20000, 20000, (channels, n)) / 32768).astype(np.float32)


def test_torchaudio_reads_librispeech(torchaudio, tmp_path):
    """Two utterances in the layout of the real archive come back bit for bit, with their text."""
    folder = tmp_path / "LibriSpeech" / "dev-clean" / "84" / "121123"
    folder.mkdir(parents=True)
    written = [steps(n, n) for n in (16000, 12345)]
    for number, x in enumerate(written):
        io.write(folder / f"84-121123-{number:04}.flac", x, 16000, "PCM_16")
    lines = ["84-121123-0000 GO DO YOU HEAR", "84-121123-0001 BUT IN LESS THAN FIVE MINUTES"]
    (folder / "84-121123.trans.txt").write_text("\n".join(lines) + "\n")
    data = torchaudio.datasets.LIBRISPEECH(tmp_path, "dev-clean", download=False)
    assert len(data) == 2
    for number, (x, item) in enumerate(zip(written, data, strict=True)):
        assert item[1:] == (16000, lines[number].split(" ", 1)[1], 84, 121123, number)
        assert item[0].dtype == torch.float32
        assert torch.equal(item[0], torch.from_numpy(x))
    (batch,) = torch.utils.data.DataLoader(data, batch_size=2, collate_fn=list)
    assert [item[0].shape for item in batch] == [(1, 16000), (1, 12345)]


def test_torchaudio_reads_yesno_and_speech_commands(torchaudio, tmp_path):
    (tmp_path / "waves_yesno").mkdir()
    x = steps(8000, 0)
    io.write(tmp_path / "waves_yesno" / "0_1_0_1_1_0_0_1.wav", x, 8000, "PCM_16")
    ((y, rate, labels),) = torchaudio.datasets.YESNO(tmp_path)
    assert (rate, labels) == (8000, [0, 1, 0, 1, 1, 0, 0, 1])
    assert torch.equal(y, torch.from_numpy(x))
    folder = tmp_path / "SpeechCommands" / "speech_commands_v0.02" / "yes"
    folder.mkdir(parents=True)
    x = steps(16000, 1)
    io.write(folder / "0a7c2a8d_nohash_0.wav", x, 16000, "PCM_16")
    ((y, *rest),) = torchaudio.datasets.SPEECHCOMMANDS(tmp_path)
    assert rest == [16000, "yes", "0a7c2a8d", 0]
    assert torch.equal(y, torch.from_numpy(x))


def test_torchaudio_loads_parts_and_says_which_file_it_cannot(torchaudio, tmp_path):
    x = steps(1000, 2, channels=2)
    io.write(tmp_path / "x.wav", x, 44100, "PCM_16")
    y, rate = torchaudio.load(tmp_path / "x.wav", 100, 50)
    assert rate == 44100
    assert torch.equal(y, torch.from_numpy(x[:, 100:150]))
    y, _ = torchaudio.load(tmp_path / "x.wav", frame_offset=2000, channels_first=False)
    assert y.shape == (0, 2)
    with pytest.raises(RuntimeError, match=r"not_there\.wav"):
        torchaudio.load(tmp_path / "not_there.wav")


def test_torchcodec_reads_where_it_loads(monkeypatch):
    monkeypatch.setattr(doors, "has_torchcodec", lambda: True)
    load = doors._load_of(lambda *given: (given, 8000.0))
    assert load("a.mp4", 5) == (("a.mp4", 5, -1, True, True, None, 4096, None), 8000)


@pytest.mark.parametrize("fault", [ImportError, OSError, RuntimeError])
def test_a_torchcodec_that_does_not_load_is_none(monkeypatch, fault):
    def fails(name):
        raise fault("no FFmpeg")

    monkeypatch.setattr(importlib, "import_module", fails)
    assert not doors.has_torchcodec.__wrapped__()


def test_the_python_part_of_torchaudio_works(torchaudio):
    assert torchaudio is sys.modules["torchaudio"]
    x = torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))
    assert torchaudio.functional.resample(x, 8000, 4000).shape == (2, 2000)
    assert torchaudio.transforms.MelSpectrogram(8000, n_fft=256, n_mels=16)(x).shape == (2, 16, 32)
    a, b = torch.tensor([1.0, 0.5]), torch.tensor([1.0, 0.0])
    y = torchaudio.functional.lfilter(torch.eye(1, 3), a, b)
    torch.testing.assert_close(y, torch.tensor([[1.0, -0.5, 0.25]]))
    if not torchaudio._extension._IS_TORCHAUDIO_EXT_AVAILABLE:
        with pytest.raises(RuntimeError, match=r"forced_align needs torchaudio's native part"):
            torchaudio.functional.forced_align(x, x)


def fake(folder, name, text):
    (folder / f"{name}.py").write_text(text)


def test_a_torchaudio_that_fits_is_imported_plainly(tmp_path):
    fake(tmp_path, "torchaudio", "__version__ = 'fits'")
    code = "from sepaudio import doors; print(doors.torchaudio().__version__)"
    done = python(code, PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    assert (done.stdout, done.stderr) == ("fits\n", "")


def test_other_faults_of_torchvision_are_not_hidden(tmp_path):
    fake(tmp_path, "torchvision", "raise RuntimeError('another fault')")
    fake(tmp_path, "timm", "")
    code = "from sepaudio import doors; doors.timm()"
    done = python(code, PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    assert "RuntimeError: another fault" in done.stderr


def test_museval_opens_where_its_reader_of_stem_files_does_not(tmp_path):
    fake(tmp_path, "museval", "import musdb")
    fake(tmp_path, "musdb", "import stempeg")
    fake(tmp_path, "stempeg", "raise RuntimeError('ffmpeg or ffprobe could not be found!')")
    code = (
        "import sys; from sepaudio import doors; doors.museval(); print('stempeg' in sys.modules)"
    )
    done = python(code, PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    assert (done.stdout, done.stderr) == ("False\n", "")


@pytest.mark.skipif(importlib.util.find_spec("museval") is None, reason="museval is missing")
def test_museval_measures_where_there_is_no_ffmpeg():
    code = (
        "import numpy as np; from sepaudio import metrics\n"
        "x = np.random.default_rng(0).random(800)\n"
        "print(round(metrics.museval_sdr(0.9 * x, x, 800), 6))"
    )
    done = python(code, PATH="")
    assert (done.stdout, done.stderr) == ("20.0\n", "")


def test_asteroid_names_the_remedy_for_what_it_lacks(tmp_path):
    text = "import warnings; warnings.warn('old', DeprecationWarning)\nimport not_here"
    fake(tmp_path, "asteroid", text)
    for name in ("torchvision", "torchaudio", "pytorch_lightning"):
        fake(tmp_path, name, "")
    code = "from sepaudio import doors; doors.asteroid()"
    done = python(code, PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    last = done.stderr.strip().splitlines()[-1]
    assert last == (
        "ImportError: asteroid cannot be imported (No module named 'not_here'): "
        "pip install 'sepaudio[asteroid]' (compiles pesq: needs gcc, python3-dev)"
    )


@pytest.mark.parametrize(("door", "package"), DOORS.items())
def test_a_missing_package_names_how_to_install_it(monkeypatch, door, package):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, package, raising=False)
    with pytest.raises(ImportError, match=f"^{package} is not installed: pip install ") as caught:
        getattr(doors, door).__wrapped__()
    assert caught.value.name == package


@pytest.mark.parametrize("version", ["2.6.2", "2.6.3", "2.5.6", "1.9.5"])
def test_unsafe_lightning_is_refused_before_it_is_imported(monkeypatch, version):
    monkeypatch.setattr(doors, "_need", lambda name: None)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    monkeypatch.setattr(importlib, "import_module", lambda name: pytest.fail("was imported"))
    with pytest.raises(ImportError, match=rf"is {version}: expected 2\.6\.6 or later.*\[train\]"):
        doors.lightning.__wrapped__()


def test_doctor_never_raises(monkeypatch):
    def broken(*arguments, **keywords):
        raise OSError("libsomething.so:\n cannot open")

    monkeypatch.setattr(importlib.util, "find_spec", broken)
    monkeypatch.setattr(importlib.metadata, "version", broken)
    monkeypatch.setattr(verb, "_numbers", broken)
    monkeypatch.setattr(verb, "_installed", broken)
    monkeypatch.setattr(verb, "json", types.SimpleNamespace(loads=broken))
    checks = {check.name: check for check in verb.doctor()}
    assert checks["torch"] == verb.Check(
        "torch", False, "OSError: libsomething.so: cannot open", "reinstall torch"
    )


def test_doctor_tells_absent_from_broken(monkeypatch):
    monkeypatch.setattr(verb, "_installed", lambda name: False)
    checks = {check.name: check for check in verb.doctor()}
    optional = ("torchaudio", "timm (torchvision)", "pytorch-lightning", "asteroid", "museval")
    for name in (*optional, "torchmetrics", "pystoi", "pesq", "matplotlib"):
        assert checks[name].ok is None
        assert checks[name].found == "not installed"
        assert checks[name].remedy.startswith("only needed for ")


def test_doctor_warns_of_the_malicious_lightning(monkeypatch):
    monkeypatch.setattr(verb, "_installed", lambda name: True)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.6.3")
    ok, found, remedy = verb._lightning()
    assert (ok, found) == (False, "2.6.3")
    assert "malicious: change your secrets" in remedy
