"""Small folders in the layout of real data sets, made of noise that differs from file to file."""

import csv
import zlib

import numpy as np
import soundfile


def sound(path, seconds, rate=16000, channels=1, level=0.1):
    """Write bursts of noise; what is written depends on the file's name only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(zlib.crc32(path.name.encode()))
    n = round(seconds * rate)
    bursts = np.repeat(random.uniform(0.2, 1, n // 800 + 1), 800)[:n]
    x = random.standard_normal((n, channels)) * bursts[:, None] * level
    soundfile.write(path, x.clip(-1, 1), rate)
    return path


def table(path, rows):
    """Write rows, dicts with the same keys, as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def librispeech(root, subset="dev-clean", speakers=("84", "174"), seconds=(1.0, 1.3, 0.7)):
    """subset/speaker/chapter/speaker-chapter-number.flac."""
    return [
        sound(root / subset / speaker / "9" / f"{speaker}-9-{i:04d}.flac", length)
        for speaker in speakers
        for i, length in enumerate(seconds)
    ]


def librimix_metadata(path, n_src=2, noise="tr/n1.wav", loud=1.0, subset="dev-clean"):
    """Rows of LibriMix's columns over the files of `librispeech`."""
    rows = []
    for i in range(3):
        line = {}
        ids = []
        for k in range(n_src):
            speaker = ("84", "174", "251")[k]
            name = f"{speaker}-9-{(i + k) % 3:04d}"
            ids.append(name)
            line[f"source_{k + 1}_path"] = f"{subset}/{speaker}/9/{name}.flac"
            line[f"source_{k + 1}_gain"] = loud * (0.4377082537050251 + 0.31 * k + 0.07 * i)
        more = {"noise_path": noise, "noise_gain": loud * 0.2912572627192476}
        rows.append({"mixture_ID": "_".join(ids), **line, **more})
    return table(path, rows)


def wsj0(root, lists="mix_2_spk_{}.txt", enrolled=False):
    """Speakers in the folders of WSJ0 under `root`, and lists of tr, cv and tt over them."""
    for split, folder in (("tr", "si_tr_s"), ("cv", "si_tr_s"), ("tt", "si_et_05")):
        first, second = ("01t", "20g") if folder == "si_tr_s" else ("440", "22g")
        lines = []
        for i in range(3):
            names = [
                f"wsj0/{folder}/{speaker}/{speaker}{split}{take}.wav"
                for speaker, take in ((first, i), (second, i), (first, (i + 1) % 3))
            ]
            for name in names:
                sound(root / name, 1.0 + 0.2 * i)
            db = 0.5 + 0.6 * i
            line = f"{names[0]} {db} {names[1]} {-db} "
            lines.append(line + (names[2].replace(".wav", ".wv1") if enrolled else ""))
        path = root / lists.format(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
