"""By how much timelines favour noise, and that it is the weights that say so."""

from pathlib import Path

import numpy as np
import pytest

from sepaudio.training import recipe
from sepaudio.verbs import segment as verb
from sepaudio.verbs.segment import Heard, SegmentCfg, decide, hear


def test_a_bias_of_noise_moves_it_alone():
    chances = np.random.default_rng(0).dirichlet([1, 1, 1], 50).astype(np.float32)
    labels = ("noise", "music", "speech")
    assert verb.favoured(chances, labels, 0.0) is chances
    assert verb.favoured(chances, labels[1:], 1.0) is chances
    found = verb.favoured(chances, labels, 0.7)
    odds = (found[:, 0] / found[:, 1]) / (chances[:, 0] / chances[:, 1])
    assert odds == pytest.approx(np.exp(0.7), rel=1e-4)
    assert found[:, 1] / found[:, 2] == pytest.approx(chances[:, 1] / chances[:, 2], rel=1e-4)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-6)
    heard = Heard(
        probabilities=chances, power=np.ones(50, np.float32), labels=labels, frame=0.1, seconds=5.0
    )
    shares = []
    for bias in (-1.0, 0.0, 0.5, 1.0, 3.0):
        one = decide(heard, SegmentCfg(smoothing="none", min_duration=0.0, noise_bias=bias))
        shares.append(sum(s.end - s.start for s in one.segments if s.label == "noise"))
    assert shares == sorted(shares) and shares[0] < shares[-1]
    with pytest.raises(ValueError, match="noise_bias=nan"):
        SegmentCfg(noise_bias=float("nan"))


def test_what_ships_favours_noise_as_its_recipe_says():
    path = Path(__file__).parent.parent / "recipes" / "speech_music_noise" / "swishnet_fine.yaml"
    asked = recipe.read(path).model["noise_bias"]
    net = verb.resolve("speech_music_noise", "cpu")
    heard = hear(net, [np.zeros(1600, np.float32)])
    assert heard.noise_bias == net.cfg.noise_bias == asked > 0
    other = verb.resolve("speech_music_noise_slim", "cpu")
    assert hear(other, [np.zeros(1600, np.float32)]).noise_bias == 0
