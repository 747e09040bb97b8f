"""SwishNet to the letter of its paper."""

import laws
import pytest
import torch

from sepaudio import registry


def count(name, **changes):
    return sum(p.numel() for p in registry.create(name, **changes).parameters())


def test_published_parameter_counts():
    assert count("swishnet_slim") == 5483
    assert count("swishnet_wide") == 18267


def test_finer_ears_cost_their_channels_in_the_first_block_alone():
    net = registry.create("swishnet_fine")
    more = 12 * (3 * 32 + 6 + 32)  # of the short branch; depthwise and pointwise of the long one
    assert count("swishnet_fine") == 18267 + more == 19875
    assert net.frontend.cfg.n_mels == registry.config("spectrogram_mobilenet").features.n_mels


def test_counts_of_the_network_as_drawn():
    assert count("swishnet_slim", hidden=0) == 4899
    assert count("swishnet_wide", hidden=0) == 15819


def test_counts_block_by_block():
    net = registry.create("swishnet_slim")
    blocks = [*net.stem, *net.trunk, net.head]
    counts = [sum(p.numel() for p in block.parameters()) for block in blocks]
    assert counts == [1432, 624, 320, 400, 400, 400, 400, 800, 707]


@pytest.mark.parametrize("name", ["swishnet_slim", "swishnet_wide"])
@pytest.mark.parametrize("frames", [1, 2, 50, 100, 200, 333])
def test_strided_clip_form_equals_the_last_dense_frame(name, frames):
    net = registry.create(name).double().eval()
    x = laws.noise(2, 20, frames)
    with torch.no_grad():
        laws.close(net.clip_logits(x), net.logits(x)[..., -1])


@pytest.mark.parametrize("name", ["swishnet_slim", "swishnet_wide"])
def test_receptive_field_is_202_frames(name):
    net = registry.create(name).double().eval()
    assert laws.reaches(net.logits, laws.noise(1, 20, 300), 250) == (49, 250)
    assert net.receptive_frames == 202


def test_labels_are_in_the_authors_order():
    assert registry.config("swishnet_slim").labels == ("noise", "music", "speech")


def test_teacher_has_the_published_count():
    net = registry.create("spectrogram_mobilenet")
    assert sum(p.numel() for p in net.parameters()) == 217235
    assert sum(p.numel() for p in net.head.parameters()) == 4163
    statistics = sum(b.numel() for n, b in net.named_buffers() if "running" in n)
    assert statistics == 5472


@pytest.mark.parametrize(("frames", "shape"), [(50, (2, 2)), (100, (2, 4)), (200, (2, 7))])
def test_teachers_final_map(frames, shape):
    net = registry.create("spectrogram_mobilenet").eval()
    assert net.backbone(torch.zeros(1, 3, 64, frames)).shape[2:] == shape


def test_frames_of_clips_cut_from_silence():
    """50, 100 and 200 frames are cut from whole files; alone a clip has one fewer."""
    net = registry.create("swishnet_slim")
    assert [net.frontend.frames(n) for n in (8000, 16000, 32000)] == [49, 99, 199]
