"""Conv-TasNet, MiTAS and TseNet: the published counts, sharing, and whom an extractor obeys."""

from dataclasses import replace

import laws
import pytest
import torch

from sepaudio import hub, registry
from sepaudio.convert.sharing import reshare
from sepaudio.frontends import Embedding
from sepaudio.models.convtasnet import V1, V3
from sepaudio.streaming import Streamer


def count(cfg):
    with torch.device("meta"):
        return sum(p.numel() for p in registry.build(cfg).parameters())


def tcn(cfg, **changes):
    return replace(cfg, tcn=replace(cfg.tcn, **changes))


L40 = replace(V3, kernel_size=40, stride=20)
X6R4 = tcn(L40, n_blocks=6, n_repeats=4)
X4R6 = tcn(L40, n_blocks=4, n_repeats=6)
ACT = ("norm", "act")

# scheme, private groups, counts of v3, of v3 with X6 R4 L40, of v1
TABLE = [
    ("none", (), 5050545, 5075121, 8752705),
    ("stack", (), 1826961, 1448589, 2344465),
    ("stack", ACT, 1859761, 1485489, 2393665),
    ("stack", (*ACT, "skip"), 2910385, 2667441, 2393665),
    ("dilation", (), 819591, 1045641, 1276425),
    ("dilation", ACT, 862641, 1086641, 1333825),
    ("dilation", ("depthwise", *ACT), 905649, 1127601, 1391169),
    ("both", (), 416643, 441219, 475395),
    ("both", ACT, 463793, 488369, 538945),
    ("both", ("depthwise", *ACT), 510897, 535473, 602433),
]


@pytest.mark.parametrize(("sharing", "private", "v3", "x6r4", "v1"), TABLE)
def test_every_row_of_the_sharing_table(sharing, private, v3, x6r4, v1):
    for cfg, expected in ((V3, v3), (X6R4, x6r4), (V1, v1)):
        assert count(tcn(cfg, sharing=sharing, private=private)) == expected


@pytest.mark.parametrize(
    ("cfg", "expected"),
    [
        (replace(V3, n_src=1), 4984497),
        (tcn(replace(V3, n_src=1), sharing="stack"), 1760913),
        (tcn(replace(V3, n_src=1), sharing="dilation"), 753543),
        (tcn(replace(V3, n_src=1), sharing="both"), 350595),
        (tcn(X4R6, sharing="stack"), 1045641),
        (tcn(X4R6, sharing="dilation"), 1448589),
        (tcn(V1, sharing="mitas", everywhere=("depthwise",)), 2379329),
        (tcn(V3, sharing="mitas", everywhere=("depthwise",)), 1845425),
    ],
)
def test_other_published_counts(cfg, expected):
    assert count(cfg) == expected


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("convtasnet", {}, 5050545),
        ("convtasnet_v1", {}, 8752705),
        ("convtasnet_causal", {}, 5050545),
        ("mitas", {}, 2385473),
        ("mitas_v3", {}, 1849521),
        ("mitas_causal", {}, 2385473),
        ("tsenet", {}, 9666513),
        ("tsenet_causal", {}, 9666513),
        ("tsenet", {"fuse_stacks": "first"}, 9052113),
        ("tsenet", {"speaker_dense": "each"}, 10147713),
        ("tsenet", {"speaker_dense": "none"}, 9506113),
        ("tsenet", {"speaker_dense": "none", "fuse_stacks": "first"}, 8891713),
        ("tsenet", {"speaker_dense": "none", "embedding": 256}, 9211201),
        ("tsenet", {"tcn": {"sharing": "stack"}}, 2643873),
        ("tsenet", {"tcn": {"sharing": "mitas"}}, 2684881),
        ("tsenet_mitas", {}, 2380981),
    ],
)
def test_registered_counts(name, changes, expected):
    assert count(registry.config(name, **changes)) == expected


@pytest.mark.parametrize(
    ("name", "floats"), [("convtasnet_causal", 783360), ("mitas_causal", 1044480)]
)
def test_state_of_a_stream_is_one_past_a_place_however_weights_are_shared(name, floats):
    model = registry.create(name)
    stream = Streamer(model)
    stream.feed(torch.zeros(1, 8 * 2100))
    kept = {place: x.numel() for place, x in stream.state().items() if "depthwise" in place}
    assert sum(kept.values()) == floats


@pytest.mark.parametrize("name", ["mitas_test", "mitas_causal_test", "tsenet_causal_test"])
def test_untied_a_model_says_the_same_bit_for_bit(name):
    model = registry.create(name).eval()
    apart = reshare(model, "none")
    assert apart.cfg.tcn.sharing == "none"
    assert sum(p.numel() for p in apart.parameters()) > sum(p.numel() for p in model.parameters())
    x = laws.noise(2, 300, dtype=torch.float32)
    more = (laws.noise(2, 4, dtype=torch.float32),) if model.task == "extraction" else ()
    assert torch.equal(apart(x, *more), model(x, *more))


def test_a_classifier_has_no_plan_to_reshare():
    with pytest.raises(ValueError, match="SwishNet has no TCN: expected a separator or an extr"):
        reshare(registry.create("swishnet_test"), "none")


def test_masks_of_a_softmax_share_the_mixture_out():
    """With the decoder undoing the encoder, softmax estimates add up to the mixture."""
    model = registry.create("convtasnet_test", mask="softmax", pad="half").double().eval()
    x = laws.noise(1, 200)
    spec = model.encoder(x[:, None])
    laws.close(model(x).sum(1), model.decoder(spec, 200)[:, 0])


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("convtasnet", {"n_src": 0}, "n_src=0: expected 1 or more"),
        ("convtasnet", {"channels": 0}, "channels=0: expected None or 1 or more"),
        ("convtasnet", {"mask": "soft"}, "mask='soft': expected one of sigmoid, relu, softmax"),
        ("convtasnet", {"tcn": {"causal": True}}, "norm='global' with causal=True: global norm se"),
        ("convtasnet", {"tcn": {"hidden": 0}}, "hidden=0: expected 1 or more"),
        ("tsenet", {"fuse_stacks": "some"}, "fuse_stacks='some': expected one of all, first"),
        ("tsenet", {"speaker_dense": "one"}, "speaker_dense='one': expected one of shared, each"),
        ("tsenet", {"mask": "softmax"}, "mask='softmax': one mask has nothing to share"),
        ("tsenet_test", {"embedding": 5}, "embedding=5: expected speaker.size=4"),
        ("tsenet_test", {"sample_rate": 8000}, "sample_rate=8000: expected that of the speaker's"),
    ],
)
def test_bad_cfgs_are_refused(name, changes, message):
    with pytest.raises(ValueError, match=message):
        registry.create(name, **changes)


@pytest.fixture
def extractor():
    return registry.create("tsenet_test").eval()


def test_an_extractor_obeys_its_own_front_ends_embeddings(extractor):
    x, enrollment = torch.randn(2, 500), torch.randn(2, 800)
    embedding = extractor.enroll(enrollment)
    assert torch.equal(extractor(x, embedding), extractor(x, embedding.vectors))
    one = Embedding(embedding.vectors[:1], embedding.speaker)
    assert extractor(x, one).shape == (2, 500)  # one speaker out of two mixtures


def test_an_extractor_refuses_anothers_embeddings(extractor):
    torch.manual_seed(1)
    other = registry.create("tsenet_test").eval()
    x, embedding = torch.randn(1, 500), other.enroll(torch.randn(1, 800))
    with pytest.raises(ValueError, match=r"embedding was made by [0-9a-f]{16}: this extractor"):
        extractor(x, embedding)
    with pytest.raises(
        ValueError, match=r"made by something else: this extractor expects [0-9a-f]"
    ):
        extractor(x, Embedding(embedding.vectors))
    without = registry.create("tsenet_test", speaker=None)
    with pytest.raises(ValueError, match="expects no front-end of ours; enroll"):
        without(x, embedding)
    assert without(x, Embedding(embedding.vectors)).shape == (1, 500)
    with pytest.raises(ValueError, match="this extractor has no speaker front-end"):
        without.enroll(x)


@pytest.mark.parametrize("shape", [(4,), (1, 5), (3, 4), (1, 4, 1)])
def test_an_embedding_of_another_shape_is_refused(extractor, shape):
    with pytest.raises(ValueError, match=r"embedding has shape .*: expected \[2, 4\]"):
        extractor(torch.randn(2, 500), torch.randn(shape))


def test_a_saved_extractor_carries_its_speaker_front_end(extractor, tmp_path):
    x, enrollment = torch.randn(1, 500), torch.randn(1, 800)
    embedding = extractor.enroll(enrollment)
    hub.save(extractor, tmp_path / "model", card="# test\n")
    again = hub.load(tmp_path / "model")
    assert torch.equal(again(x, embedding), extractor(x, embedding))
    assert torch.equal(again.enroll(enrollment).vectors, embedding.vectors)
    assert again.double().enroll(enrollment.double()).speaker == embedding.speaker


def test_enrollments_of_unequal_length_do_not_mix(extractor):
    model = extractor.double()
    x, lengths = laws.noise(3, 900), torch.tensor([900, 500, 80])
    together = model.enroll(x, lengths).vectors
    for row, length in enumerate(lengths):
        laws.close(together[row], model.enroll(x[row : row + 1, :length]).vectors[0])


def test_an_extractor_streams_with_an_embedding(extractor):
    model = registry.create("tsenet_causal_test").eval()
    embedding = model.enroll(torch.randn(1, 800))
    laws.streams_like_whole(model, torch.randn(1, 500), [7, 100], given=(embedding,))
