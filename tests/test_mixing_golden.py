"""Parting what is drawn from how it is rendered changed no mixture."""

import json
import pickle
from pathlib import Path

import mixed_voices
import numpy as np
import pytest

from sepaudio import io
from sepaudio.data.mixdown import lasts, mixdown

# What is resampled by an odd ratio, as another manner is, differs by a ten-thousandth from machine
# to machine: soxr has other arithmetic for each. In recordings of silence mostly, that counts more.
OFF = {"manners": 0.03}
GOLDEN = json.loads((Path(__file__).parent / "golden" / "mixing.json").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("voices")


@pytest.fixture(scope="module")
def rows(folder):
    return mixed_voices.rows(folder)


def test_mixtures_are_what_they_were(folder):
    made = mixed_voices.digest(folder)
    assert made.keys() == GOLDEN.keys()
    for name, case in made.items():
        assert case["drawn"] == GOLDEN[name]["drawn"], name
        found, golden = (np.array(of["figures"]) for of in (case, GOLDEN[name]))
        for which, off in ((slice(2), 1e-4), (2, OFF.get(name, 1e-4))):  # 2: the enrollment
            np.testing.assert_allclose(
                found[:, which], golden[:, which], rtol=1e-4, atol=off, err_msg=name
            )


def test_an_item_is_what_was_drawn_for_it(rows):
    mixer = mixed_voices.mixer(rows, **mixed_voices.EVERYTHING)
    for index in range(20):
        drawn = pickle.loads(pickle.dumps(mixer.draw(0, 0, index)))
        made, item = mixdown(drawn, mixer.shelves), mixer.item(0, 0, index)
        np.testing.assert_array_equal(made.mixture, item.mixture)
        np.testing.assert_array_equal(made.sources, item.sources)
        np.testing.assert_array_equal(made.enrollment, item.enrollment)
        assert made.drawn == item.drawn


@pytest.mark.parametrize("rate", [1000, 8000, 16000])
def test_the_length_of_a_resampled_stretch_is_known_before(rate):
    for speed in (0.5, 0.8, 0.9, 0.9137, 0.95, 0.97, 1.03, 1.1, 1.25, 2.0):
        own = round(rate * speed)
        for n in [*range(1, 60), 5226, 8194, 31999, 32000]:
            y = io.resample(np.zeros(n, np.float32), own, rate)
            assert len(y) == lasts(n, own, rate), (n, speed)
