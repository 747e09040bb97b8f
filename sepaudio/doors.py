"""The only way to optional packages whose import has a trap; each trap is handled here, once.

Nothing is imported before a door is called, and a door called again gives the same module. Where a
package is missing or unsafe, its door raises ImportError with the command that installs it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import importlib.util
import re
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

__all__ = [
    "asteroid",
    "has_torchcodec",
    "lightning",
    "matplotlib",
    "museval",
    "pesq",
    "pystoi",
    "timm",
    "torchaudio",
    "torchmetrics",
]

LIGHTNING = (2, 6, 6)  # 2.6.2 and 2.6.3 were malicious uploads; 2.6.6 mends a checkpoint hole
INSTALL = {
    "torchaudio": "pip install 'torchaudio>=2.11,<2.12'",
    "timm": "pip install 'timm>=1.0.20,<2'",
    "pytorch_lightning": "pip install 'sepaudio[train]'",
    "asteroid": "pip install 'sepaudio[asteroid]' (compiles pesq: needs gcc, python3-dev)",
    "matplotlib": "pip install 'sepaudio[plot]'",
    "museval": "pip install 'sepaudio[museval]'",
    "torchmetrics": "pip install 'sepaudio[metrics]'",
    "pystoi": "pip install 'sepaudio[metrics]'",
    "pesq": "pip install 'sepaudio[pesq]' (is compiled: needs gcc, python3-dev)",
}
_kept: list[Any] = []  # libraries of operators, which torch forgets when they are collected


@functools.cache
def torchaudio() -> types.ModuleType:
    """Import torchaudio, without its native part where that does not fit the torch at hand.

    Its wheel is built for one version of CUDA and refuses any other torch, CPU builds included.
    Its Python functions do not need the native part, so they are imported as if it was not there.
    Its data sets read audio by torchaudio.load, and that by torchcodec, which is another package
    with another native part; where that is missing or does not load, soundfile reads instead.
    """
    _need("torchaudio")
    try:
        module = importlib.import_module("torchaudio")
    except (ImportError, OSError, RuntimeError):  # CPU build, or another version of CUDA
        _forget("torchaudio")
        module = _without_native_part()
    module.load = _load_of(getattr(module, "load", None))  # type: ignore[attr-defined]
    return module


def _without_native_part() -> types.ModuleType:
    """Import torchaudio with a stand-in for the module that loads its libraries."""
    name = "torchaudio._extension"
    stub: Any = types.ModuleType(name, "Stands in for torchaudio's native part.")
    stub._IS_TORCHAUDIO_EXT_AVAILABLE = stub._IS_ALIGN_AVAILABLE = False
    stub._load_lib = lambda library: False
    stub._check_cuda_version = lambda: None
    stub.fail_if_no_align = _no_native
    sys.modules[name] = stub
    module = importlib.import_module("torchaudio")
    module._extension = stub  # type: ignore[attr-defined]
    return module


@functools.cache
def timm() -> types.ModuleType:
    """Import timm, after making torchvision importable."""
    _need("timm")
    _torchvision()
    return importlib.import_module("timm")


@functools.cache
def lightning() -> types.ModuleType:
    """Import pytorch_lightning, after making torchvision importable, which torchmetrics imports."""
    _need("pytorch_lightning")
    version = importlib.metadata.version("pytorch-lightning")
    if tuple(int(n) for n in re.findall(r"\d+", version)[:3]) < LIGHTNING:
        raise ImportError(
            f"pytorch_lightning is {version}: expected 2.6.6 or later, "
            f"earlier ones are unsafe: {INSTALL['pytorch_lightning']}"
        )
    _torchvision()
    return _quietly("pytorch_lightning")  # asteroid's old torchmetrics imports pkg_resources


@functools.cache
def asteroid() -> types.ModuleType:
    """Import asteroid, after what it imports (torchaudio, torchmetrics, lightning)."""
    _need("asteroid")
    lightning()
    torchaudio()
    return _quietly("asteroid")


@functools.cache
def museval() -> types.ModuleType:
    """Import museval, whose reader of stem files refuses to be imported where ffmpeg is missing.

    The figures themselves need no ffmpeg, so the reader is then left out.
    """
    _need("museval")
    with contextlib.suppress(RuntimeError):
        return _quietly("museval")
    _forget("museval", "musdb", "stempeg")
    sys.modules["stempeg"] = types.ModuleType("stempeg", "Stands in for stempeg.")
    try:
        return _quietly("museval")
    finally:
        del sys.modules["stempeg"]


def _load_of(torchcodecs: Callable[..., Any] | None) -> Callable[..., Any]:
    """A torchaudio.load that does without torchcodec where it must."""

    def load(
        uri: Any,
        frame_offset: int = 0,
        num_frames: int = -1,
        normalize: bool = True,
        channels_first: bool = True,
        format: str | None = None,
        buffer_size: int = 4096,
        backend: str | None = None,
    ) -> tuple[Any, int]:
        """Samples in float32 [C, T], or [T, C], and their rate; by torchcodec, else soundfile."""
        if torchcodecs is not None and has_torchcodec():
            how = (normalize, channels_first, format, buffer_size, backend)
            samples, rate = torchcodecs(uri, frame_offset, num_frames, *how)
            return samples, int(rate)
        import soundfile
        import torch

        with soundfile.SoundFile(uri) as file:
            file.seek(min(frame_offset, file.frames))
            read = torch.from_numpy(file.read(num_frames, dtype="float32", always_2d=True))
            return read.T.contiguous() if channels_first else read, int(file.samplerate)

    return load


@functools.cache
def has_torchcodec() -> bool:
    """Whether torchcodec is there and loads; imports it to find out."""
    try:
        importlib.import_module("torchcodec.decoders")
    except (ImportError, OSError, RuntimeError):  # RuntimeError: no FFmpeg, or another torch
        return False
    return True


@functools.cache
def torchmetrics() -> types.ModuleType:
    """Import torchmetrics, after making torchvision importable, which it imports."""
    _need("torchmetrics")
    _torchvision()
    return _quietly("torchmetrics")  # old ones, such as asteroid's, import pkg_resources


@functools.cache
def pystoi() -> types.ModuleType:
    """Import pystoi."""
    _need("pystoi")
    return _quietly("pystoi")


@functools.cache
def pesq() -> types.ModuleType:
    """Import pesq, which has no wheels."""
    _need("pesq")
    return _quietly("pesq")


@functools.cache
def matplotlib() -> types.ModuleType:
    """Import matplotlib with its figures; they are drawn to files, so no screen is looked for."""
    _need("matplotlib")
    module = _quietly("matplotlib")
    importlib.import_module("matplotlib.figure")
    return module


def _need(name: str) -> None:
    """Say how to install a package that is not there."""
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        raise ImportError(f"{name} is not installed: {INSTALL[name]}", name=name)


def _quietly(name: str) -> types.ModuleType:
    """Import an old package: without warnings, and with the remedy when something is missing."""
    try:
        with warnings.catch_warnings():
            # Written for libraries of years ago, whose notices of renamed things help no user.
            for kind in (DeprecationWarning, FutureWarning, SyntaxWarning, UserWarning):
                warnings.simplefilter("ignore", kind)
            return importlib.import_module(name)
    except ImportError as error:
        _forget(name)
        raise ImportError(f"{name} cannot be imported ({error}): {INSTALL[name]}") from error


def _torchvision() -> None:
    """Make torchvision importable beside a torch that its native part was not built for.

    Without the native part torchvision gives shapes to two operators that nobody declared; they are
    declared here. Only after it failed: if it was declared twice, the native part would not load.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        _forget("torchvision")
        import torch

        library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _kept.append(library)
        importlib.import_module("torchvision")


def _forget(*packages: str) -> None:
    """Remove what a failed import left behind."""
    for name in [n for n in sys.modules if n.split(".")[0] in packages]:
        del sys.modules[name]


def _no_native(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of torchaudio that is refused when called, for want of the native part."""

    @functools.wraps(function)
    def refused(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            f"torchaudio.functional.{function.__name__} needs torchaudio's native part, which does "
            "not fit the torch installed here; install builds of both for one version of CUDA"
        )

    return refused
