"""Check an installation: one line for every trap that is known."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Check", "doctor"]

Finding = tuple[bool | None, str, str]


@dataclass(frozen=True)
class Check:
    """One finding about an installation."""

    name: str
    ok: bool | None  # None: absent, and needed only for something optional
    found: str
    remedy: str  # empty when ok


def doctor() -> list[Check]:
    """Look at the installation; one check for every known trap, in a fixed order.

    Imports what it checks, so it takes some seconds. Prints nothing and never raises: a check that
    fails in an unforeseen way is one that is not ok.
    """
    checks = []
    for name, look in CHECKS.items():
        try:
            ok, found, remedy = look()
        except Exception as error:  # whatever a broken package throws is the finding
            text = " ".join(str(error).split())
            ok, found = False, f"{type(error).__name__}: {text}"[:300]
            remedy = f"reinstall {name.split()[0].lower()}"
        checks.append(Check(name, ok, found, "" if ok else remedy))
    return checks


def _python() -> Finding:
    return sys.version_info >= (3, 10), platform.python_version(), "install Python 3.10 or later"


def _torch() -> Finding:
    import torch

    fits = (2, 11) <= _numbers(torch.__version__) < (2, 14)
    return fits, torch.__version__, "pip install 'torch>=2.11,<2.14'"


def _devices() -> Finding:
    import torch

    found = ["cpu"]
    if torch.cuda.is_available():
        found += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return True, ", ".join(found), ""


def _threads() -> Finding:
    import torch

    used, cores = torch.get_num_threads(), os.cpu_count() or 1
    found = f"{used} of {cores} cores"
    return used <= cores, found, "more threads than cores are slow: set OMP_NUM_THREADS"


def _libsndfile() -> Finding:
    import numpy as np
    import soundfile

    can = []
    for name, form, subtype in (("MP3", "MP3", "MPEG_LAYER_III"), ("Opus", "OGG", "OPUS")):
        if form in soundfile.available_formats() and soundfile.check_format(form, subtype):
            file = io.BytesIO()
            soundfile.write(file, np.zeros(4800), 48000, format=form, subtype=subtype)
            file.seek(0)
            can += [name] * bool(len(soundfile.read(file)[0]))
    version = soundfile.__libsndfile_version__
    found = f"{version}, reads {' and '.join(can) or 'neither MP3 nor Opus'}"
    return len(can) == 2, found, "pip install --upgrade soundfile; its wheel brings libsndfile 1.1+"


def _soxr() -> Finding:
    import numpy as np
    import soxr

    length = len(soxr.resample(np.zeros(441), 44100, 8000))
    return length == 80, str(soxr.__version__), "pip install --upgrade soxr"


def _torchaudio() -> Finding:
    from sepaudio import doors

    if not _installed("torchaudio"):
        return None, "not installed", "only needed for its resampler in training and its data sets"
    module = doors.torchaudio()
    native = module._extension._IS_TORCHAUDIO_EXT_AVAILABLE
    reader = "torchcodec" if doors.has_torchcodec() else "soundfile"
    part = "native" if native else "Python part only"
    return True, f"{module.__version__}, {part}, reads by {reader}", ""


def _timm() -> Finding:
    from sepaudio import doors

    if not _installed("timm"):
        return None, "not installed", "only needed for its networks"
    found = f"timm {doors.timm().__version__}"
    if not _installed("torchvision"):
        return None, f"{found}, no torchvision", "only needed for its networks: install both"
    native = sys.modules["torchvision.extension"]._has_ops()
    part = "native" if native else "Python part only"
    return True, f"{found}, torchvision {sys.modules['torchvision'].__version__}, {part}", ""


def _lightning() -> Finding:
    from sepaudio import doors

    if not _installed("pytorch_lightning"):
        return None, "not installed", "only needed for training: pip install 'sepaudio[train]'"
    version = importlib.metadata.version("pytorch-lightning")
    if _numbers(version) < doors.LIGHTNING:
        unsafe = (
            "2.6.2 and 2.6.3 were malicious: change your secrets" if version in BAD else "unsafe"
        )
        return False, version, f"{unsafe}; pip install 'sepaudio[train]'"
    return True, str(doors.lightning().__version__), ""


def _asteroid() -> Finding:
    from sepaudio import doors

    if not _installed("asteroid"):
        return None, "not installed", "only needed for tests against it and its data sets"
    try:
        return True, str(doors.asteroid().__version__), ""
    except ImportError as error:
        there = "there" if _installed("pkg_resources") else "missing (setuptools 81 dropped it)"
        return False, f"{error}; pkg_resources is {there}", doors.INSTALL["asteroid"]


def _museval() -> Finding:
    from sepaudio import doors

    if not _installed("museval"):
        return None, "not installed", "only needed for SDR as in music separation"
    doors.museval()
    ffmpeg = "with ffmpeg" if shutil.which("ffmpeg") else "without ffmpeg (stem files unreadable)"
    return True, f"{importlib.metadata.version('museval')}, {ffmpeg}", ""


def _behind(door: str, use: str) -> Callable[[], Finding]:
    """A look at a package that its door in `doors` has nothing special to say of."""

    def look() -> Finding:
        from sepaudio import doors

        if not _installed(door):
            return None, "not installed", f"only needed for {use}: {doors.INSTALL[door]}"
        getattr(doors, door)()
        return True, importlib.metadata.version(door), ""

    return look


def _weights() -> Finding:
    index = Path(__file__).parents[1] / "pretrained" / "index.json"
    remedy = "the package is incomplete: reinstall sepaudio"
    if not index.is_file():
        return False, "pretrained/index.json is missing", remedy
    entries = json.loads(index.read_text(encoding="utf-8"))
    return bool(entries), f"index of {len(entries)} entries", remedy


def _installed(name: str) -> bool:
    return name in sys.modules or importlib.util.find_spec(name) is not None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:3])


BAD = ("2.6.2", "2.6.3")
CHECKS: dict[str, Callable[[], Finding]] = {
    "Python": _python,
    "torch": _torch,
    "devices": _devices,
    "threads": _threads,
    "soundfile (libsndfile)": _libsndfile,
    "soxr": _soxr,
    "torchaudio": _torchaudio,
    "timm (torchvision)": _timm,
    "pytorch-lightning": _lightning,
    "asteroid": _asteroid,
    "museval": _museval,
    "torchmetrics": _behind("torchmetrics", "SDR"),
    "pystoi": _behind("pystoi", "STOI"),
    "pesq": _behind("pesq", "PESQ"),
    "matplotlib": _behind("matplotlib", "plots"),
    "sepaudio weights": _weights,
}
