"""Batches made in torch are those of numpy, whatever else is in them and wherever they are made."""

from dataclasses import replace

import mixed_voices
import numpy as np
import pytest
import torch

from sepaudio import io
from sepaudio.data import batched
from sepaudio.data.batched import Batched, to
from sepaudio.data.dataset import collate
from sepaudio.data.resampling import kernel_of, resample

EDGE = 4  # first samples, which soxr makes in another way
EXACT = [name for name, o in mixed_voices.CASES.items() if not o.get("speeds") and "room" not in o]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return mixed_voices.rows(tmp_path_factory.mktemp("voices"))


def both(mixer, numbers, device):
    """The batch of numpy, and that of torch brought back from its device."""
    source = Batched(mixer)
    made = source(to(source.drawn(1, 2, numbers), device))
    assert all(x.device.type == device.type for x in made.values())
    return collate([mixer.item(1, 2, i) for i in numbers]), to(made, torch.device("cpu"))


def snr_db(wanted, made):
    """Of every signal [..., T] that is not silence, over what `made` differs by [dB]."""
    power, off = wanted.square().sum(-1), (wanted - made).square().sum(-1)
    return (10 * torch.log10(power / off.clamp_min(1e-20)))[power > 0]


def same_but_for_sounds(wanted, made):
    assert wanted.keys() == made.keys()
    for key, value in wanted.items():
        assert made[key].shape == value.shape and made[key].dtype == value.dtype, key
        if not value.is_floating_point():
            assert torch.equal(made[key], value), key


@pytest.mark.parametrize("name", EXACT)
def test_a_batch_is_that_of_numpy(rows, name, device):
    mixer = mixed_voices.mixer(rows, **mixed_voices.CASES[name])
    wanted, made = both(mixer, range(40), device)
    same_but_for_sounds(wanted, made)
    for key in ("mixture", "sources", "enrollment"):
        off = (made[key] - wanted[key]).abs().flatten(1).amax(1)
        assert (off <= 1e-5 * wanted[key].abs().flatten(1).amax(1)).all(), key


def test_a_batch_in_rooms_is_that_of_numpy(rows, device):
    wanted, made = both(
        mixed_voices.mixer(rows, room=1.0, n_src=(1, 3), noise=1.0), range(40), device
    )
    same_but_for_sounds(wanted, made)
    for key in ("mixture", "sources", "enrollment"):
        assert snr_db(wanted[key], made[key]).min() > 90, key


@pytest.mark.parametrize("name", [name for name in mixed_voices.CASES if name not in EXACT])
def test_resampled_voices_are_those_of_numpy(rows, name, device):
    """White noise, the worst case: 40 dB; most of what differs are a stretch's first samples."""
    wanted, made = both(mixed_voices.mixer(rows, **mixed_voices.CASES[name]), range(40), device)
    same_but_for_sounds(wanted, made)
    for key in ("mixture", "sources", "enrollment"):
        assert all(snr_db(wanted[key], made[key]) > 40), key
        assert (made[key].abs().amax() <= 0.99 + 1e-6) if made[key].numel() else True


@pytest.mark.parametrize("speed", [0.8, 0.9, 0.97, 1.03, 1.1, 1.25])
def test_the_resampler_is_that_of_files(speed, device):
    own = round(8000 * speed)
    x = torch.randn(3, 5000)
    wanted = torch.from_numpy(io.resample(x.numpy(), own, 8000))
    made = resample(x.to(device), kernel_of(own, 8000, device), wanted.shape[1]).cpu()
    assert snr_db(wanted, made).min() > 50
    assert snr_db(wanted[:, EDGE:], made[:, EDGE:]).min() > 100


def test_what_else_is_in_a_batch_changes_nothing(rows, device):
    source = Batched(mixed_voices.mixer(rows, **mixed_voices.EVERYTHING))
    together = source(to(source.drawn(1, 2, range(12)), device))
    for i in range(12):
        alone = source(to(source.drawn(1, 2, [i]), device))
        for key, value in alone.items():
            x = together[key][i]
            if x.ndim:
                x = x[tuple(slice(n) for n in value.shape[1:])]
            torch.testing.assert_close(value[0], x, rtol=0, atol=2e-6)
        n_src, n = together["n_src"][i], together["lengths"][i]
        assert together["sources"][i, n_src:].abs().sum() == 0
        assert together["mixture"][i, n:].abs().sum() == 0
        assert together["enrollment"][i, together["enrollment_lengths"][i] :].abs().sum() == 0


def test_a_batch_is_the_same_every_time(rows, device):
    source = Batched(mixed_voices.mixer(rows, **mixed_voices.EVERYTHING))
    again = Batched(mixed_voices.mixer(rows, **mixed_voices.EVERYTHING))
    first, second = (s(to(s.drawn(1, 2, range(9)), device)) for s in (source, again))
    for key, value in first.items():
        assert torch.equal(value, second[key])
        assert not value.requires_grad and not value.is_inference()


def test_half_precision_around_it_changes_nothing(rows, device):
    source = Batched(mixed_voices.mixer(rows, **mixed_voices.EVERYTHING))
    drawn = to(source.drawn(1, 2, range(5)), device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        inside = source(drawn)
    for key, value in source(drawn).items():
        assert torch.equal(value, inside[key])


def test_no_step_moves_to_another_device_or_waits_for_it(rows):
    """On the meta device any tensor made elsewhere, or any look at a value, would raise."""
    meta = torch.device("meta")
    mixer = mixed_voices.mixer(rows, **{**mixed_voices.EVERYTHING, "room": 1.0, "noise": 1.0})
    source = Batched(mixer)
    drawn = source.drawn(1, 2, range(8))
    with torch.no_grad():
        made = batched._made(to(drawn, meta), source._on(meta))
    for key, value in source(drawn).items():
        assert (made[key].device, made[key].shape) == (meta, value.shape), key


def test_the_mixture_stays_the_sum_of_its_parts(rows, device):
    source = Batched(mixed_voices.mixer(rows, room=0.5, speeds=(0.9, 1.0), n_src=(3, 3)))
    made = source(to(source.drawn(0, 0, range(20)), device))
    torch.testing.assert_close(made["mixture"], made["sources"].sum(1), rtol=0, atol=1e-6)
    assert (made["sources"].abs().amax() <= 0.99) and made["mixture"].abs().amax() <= 0.99 + 1e-6


def test_kept_shelves_are_not_changed_by_it(rows, tmp_path, device):
    from sepaudio.data.mixing import Mixer
    from sepaudio.data.shelf import Shelf

    speech = [row for row in rows if row.kind == "speech"]
    kept = Shelf(speech, mixed_voices.RATE, tmp_path / "shelf")
    before = (tmp_path / "shelf" / "samples.int16").read_bytes()
    plain = mixed_voices.mixer(rows)
    source, other = Batched(Mixer(plain.cfg, kept)), Batched(plain)
    assert source.bytes == 2 * len(kept.samples) == len(before)
    for key, value in source(to(source.drawn(0, 0, range(4)), device)).items():
        assert torch.equal(value, other(to(other.drawn(0, 0, range(4)), device))[key])
    assert (tmp_path / "shelf" / "samples.int16").read_bytes() == before


def test_longer_shelves_are_copied_in_pieces(rows, device, monkeypatch):
    monkeypatch.setattr(batched, "CHUNK", 1000)
    shelf = mixed_voices.mixer(rows).speech
    samples = batched._copy(shelf, device)
    assert samples.dtype == torch.int16
    np.testing.assert_array_equal(samples.cpu().numpy(), shelf.samples)


def test_the_laws_can_fail(rows):
    """A gain that is off by a percent is 40 dB away, and a sample late is nowhere near."""
    mixer = mixed_voices.mixer(rows)
    drawn = [mixer.draw(1, 2, i) for i in range(4)]
    source = Batched(mixer)
    wanted = collate([mixer.item(1, 2, i) for i in range(4)])
    for change in ({"sir_db": (5.1,)}, {"level_db": -50.0}):
        off = [replace(one, **change) for one in drawn]
        made = source(batched.pack(off, mixer.shelves))
        assert snr_db(wanted["mixture"], made["mixture"]).min() < 40
    late = [
        replace(one, parts=tuple(replace(p, start=max(p.start - 1, 0)) for p in one.parts))
        for one in drawn
    ]
    made = source(batched.pack(late, mixer.shelves))
    assert snr_db(wanted["mixture"], made["mixture"]).min() < 10
