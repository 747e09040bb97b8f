"""Every door opens, in a fresh process, without a warning; and says what to do when it cannot."""

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import types

import pytest

from sepaudio import doors
from sepaudio.verbs import doctor as verb

DOORS = {
    "torchaudio": "torchaudio",
    "timm": "timm",
    "lightning": "pytorch_lightning",
    "asteroid": "asteroid",
    "museval": "museval",
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
for door in (doors.torchaudio, doors.timm, doors.lightning, doors.asteroid, doors.museval):
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


def test_the_python_part_of_torchaudio_works():
    pytest.importorskip("soundfile")
    if importlib.util.find_spec("torchaudio") is None:
        pytest.skip("torchaudio is not installed")
    import torch

    torchaudio = doors.torchaudio()
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
        "pip install asteroid requests 'setuptools<81'"
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
    for name in ("torchaudio", "timm (torchvision)", "pytorch-lightning", "asteroid", "museval"):
        assert checks[name].ok is None
        assert checks[name].found == "not installed"
        assert checks[name].remedy.startswith("only needed for ")


def test_doctor_warns_of_the_malicious_lightning(monkeypatch):
    monkeypatch.setattr(verb, "_installed", lambda name: True)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.6.3")
    ok, found, remedy = verb._lightning()
    assert (ok, found) == (False, "2.6.3")
    assert "malicious: change your secrets" in remedy
