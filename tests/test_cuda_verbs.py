"""What users call gives on a CUDA device what it gives on the CPU, with the weights that ship."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import OTHER

from sepaudio import classify, enroll, extract, io, segment, separate
from sepaudio.cli import main
from sepaudio.verbs import doctor

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("exact")]
SAMPLES = Path(__file__).parent.parent / "samples"
DEVICES_OF = ("cpu", OTHER)


def snr_db(wanted, made):
    off = np.square(wanted - made, dtype=np.float64).sum()
    return 10 * np.log10(np.square(wanted, dtype=np.float64).sum() / max(off, 1e-20))


@pytest.fixture(scope="module")
def mixture():
    return io.read(SAMPLES / "mixture.flac")


def test_separate(mixture):
    wanted, made = (separate(*mixture, device=device)[0] for device in DEVICES_OF)
    assert made.shape == wanted.shape
    assert snr_db(wanted, made) > 60


def test_windows_of_a_long_recording(mixture):
    x, rate = mixture
    wanted, made = (
        separate(np.tile(x, 2), rate, device=device, whole=4.0)[0] for device in DEVICES_OF
    )
    assert snr_db(wanted, made) > 60


def test_extract(mixture):
    """Enrolled on the CPU: the vector belongs to the same front-end wherever that is."""
    voice, rate = io.read(SAMPLES / "mixture_enrollment.flac")
    vectors = enroll([voice], rate, model="one_speaker").embedding
    wanted, made = (extract(*mixture, vectors, device=device)[0] for device in DEVICES_OF)
    assert np.abs(wanted).max() > 0.01
    assert snr_db(wanted, made) > 60


def test_classify_and_segment():
    for name in ("speech", "music_cello"):
        x, rate = io.read(SAMPLES / f"{name}.flac")
        wanted, made = (classify(x, rate, device=device) for device in DEVICES_OF)
        assert made.label == wanted.label
        assert made.probabilities == pytest.approx(wanted.probabilities, abs=1e-3)
        lines = [segment(x, rate, device=device).segments for device in DEVICES_OF]
        assert [one.label for one in lines[0]] == [one.label for one in lines[1]]
        for one, other in zip(*lines, strict=True):
            assert (one.start, one.end) == pytest.approx((other.start, other.end), abs=0.05)


def test_files_on_the_command_line(tmp_path, capfd):
    """Several at once: threads share the card."""
    for number in range(3):
        (tmp_path / f"{number}.flac").write_bytes((SAMPLES / "mixture.flac").read_bytes())
    files = [str(tmp_path / f"{number}.flac") for number in range(3)]
    voice = str(SAMPLES / "mixture_enrollment.flac")
    made = {}
    for device in DEVICES_OF:
        out = tmp_path / f"on_{device}"
        for verb, more in (("extract", ["--enroll", voice]), ("separate", [])):
            with pytest.raises(SystemExit) as stop:
                main([verb, *files, *more, "-o", str(out), "--device", device])
            assert stop.value.code == 0, capfd.readouterr().err
        made[device] = {path.name: io.read(path)[0] for path in sorted(out.iterdir())}
        if device == "cpu" and OTHER == "cpu":
            break
    (wanted, *others) = made.values()
    assert len(wanted) == 9
    for other in others:
        assert all(snr_db(x, other[name]) > 60 for name, x in wanted.items())


def test_the_doctor_tells_of_the_card():
    fine, found, _ = doctor.CHECKS["devices"]()
    assert fine
    assert OTHER == "cpu" or torch.cuda.get_device_name() in found
