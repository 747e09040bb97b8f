"""Training of extractors on mixtures that lack the enrolled speaker."""

import math
from dataclasses import replace

import pytest
import torch
from hums import recipe_of

from sepaudio import hub, registry
from sepaudio.data import manifest
from sepaudio.data.mixing import load, recordings
from sepaudio.data.shelf import holds
from sepaudio.training import recipe as recipes
from sepaudio.training.draws import batches
from sepaudio.training.mixtures import batch_at, extraction, helper_of, missed, mixers
from sepaudio.training.presence import Presence, fit_presence, listen, presence_of
from sepaudio.verbs.train import train


def test_all_parts_of_the_batches_are_the_whole(speakers, tmp_path):
    cfg = recipes.read(recipe_of(speakers, tmp_path, "tsenet_test"))
    model = registry.create("tsenet_test")
    mixer, _ = mixers(cfg, model)
    whole = [made["mixture"] for made in batches(mixer, 1, 5, 2, model)]
    assert [len(x) for x in whole] == [2, 2, 1]
    for part in (0, 1):
        own = [made["mixture"] for made in batches(mixer, 1, 5, 2, model, part, 2)]
        for here, there in zip(own, whole[part::2], strict=True):
            assert torch.equal(here, there)


def test_an_absent_speaker_is_pushed_to_silence(speakers, tmp_path):
    path = recipe_of(speakers, tmp_path, "tsenet_test")
    cfg = recipes.read(path, ["data.mixing.absent=1.0"])
    model = registry.create("tsenet_test")
    mixer, _ = mixers(cfg, model)
    batch = batch_at(mixer, 4, 0)(0, 0, 1)
    assert (batch["target"] == -1).all()
    loss = extraction("si_snr", 1.0)
    full = loss(model, batch)
    with torch.no_grad():
        model.decoder.filters.mul_(0.1)
        model.decoder.bias.zero_()
    assert full.item() - loss(model, batch).item() == pytest.approx(20, abs=3)


def test_both_kinds_of_mixtures_weigh_alike_in_presence():
    """However many lack the speaker; who says nothing loses what chance does."""
    for n_here in range(6):
        here = torch.arange(5) < n_here
        one_kind = 0.5 / 0.9 if n_here in (0, 5) else 1.0
        assert missed(torch.zeros(5), here).item() == pytest.approx(math.log(2) * one_kind)
    one, four = (missed(torch.tensor([0.0, 0, 0, 0, x]), torch.arange(5) < 4) for x in (-9.0, 9.0))
    here = torch.arange(5) < 4
    assert one < missed(torch.zeros(5), here) < four
    assert missed(20.0 * (2 * here - 1), here) < 1e-6


def test_blocks_and_voices_learn_to_tell_who_is_there(speakers, tmp_path):
    """The gradient of what a layer says of their output reaches them; the layer is not kept."""
    path = recipe_of(speakers, tmp_path, "tsenet_test")
    more = ["presence=1.0", "data.mixing.absent=0.5", "optim.steps=2"]
    cfg = recipes.read(path, more)
    model = registry.create("tsenet_test")
    batch = batch_at(mixers(cfg, model)[0], 8, 0)(0, 0, 1)
    judge = helper_of(model, cfg)["judge"]
    torch.nn.init.normal_(judge.weight)

    def gradient(weight):
        model.zero_grad()
        loss = extraction("si_snr", 1.0, presence=weight, judge=judge)(model, batch)
        loss.backward()
        parts = model.tcn, model.speaker
        return loss.item(), *(torch.cat([p.grad.flatten() for p in x.parameters()]) for x in parts)

    (without, *a), (with_it, *b) = gradient(0.0), gradient(1.0)
    for here, there in zip(a, b, strict=True):
        assert (here - there).abs().max() > 1e-4
    embedding = model.speaker(batch["enrollment"], batch["enrollment_lengths"])
    estimate, found = model.heard(batch["mixture"], embedding)
    alike = 10 * model.likeness(estimate, embedding)
    hints = model.hints(batch["mixture"], embedding)[0]
    torch.testing.assert_close(10 * hints[:, :1], alike, rtol=0, atol=1e-4)
    told = missed(judge(torch.cat([alike, found], dim=1))[:, 0], batch["target"] >= 0)
    assert with_it - without == pytest.approx(told.item(), rel=1e-4)
    plain = extraction("si_snr", 1.0)(model, batch).item()
    assert without == pytest.approx(plain, rel=1e-5)
    kept = hub.load(train(path, more, output=tmp_path / "run", quiet=True)).state_dict()
    assert set(kept) == set(model.state_dict())
    assert helper_of(registry.create("mitas_test"), cfg) is None
    assert helper_of(model, replace(cfg, presence=0.0)) is None


def test_half_precision_learns_presence_as_well(speakers, tmp_path):
    path = recipe_of(speakers, tmp_path, "tsenet_fourier_test")
    cfg = recipes.read(path, ["presence=1.0", "data.mixing.absent=0.5"])
    torch.manual_seed(0)
    model = registry.create("tsenet_fourier_test")
    batch = batch_at(mixers(cfg, model)[0], 8, 0)(0, 0, 1)
    judge = helper_of(model, cfg)["judge"]
    losses = []
    for half in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = extraction("si_snr", 1.0, presence=1.0, judge=judge)(model, batch)
        loss.backward()
        losses.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], abs=0.5)
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_presence_that_cannot_be_fitted_is_told_before_the_first_step(speakers, tmp_path):
    rows = manifest.read(speakers / "manifest.csv")
    names = sorted({row.speaker for row in rows if row.split == "valid" and row.speaker})[:2]
    few = [row for row in rows if row.split != "valid" or row.speaker in names]
    manifest.write(speakers / "few.csv", few)
    path = recipe_of(speakers, tmp_path, "tsenet_fourier_test")
    more = [f"data.manifests=[{speakers / 'few.csv'}]", "data.mixing.n_src=[2,2]"]
    with pytest.raises(ValueError, match=r"presence cannot be fitted: .*3 speakers.*presence=0"):
        train(path, more, output=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "last.ckpt").exists()


def test_what_presence_is_calibrated_on_takes_the_place_of_nothing(speakers, tmp_path):
    rows = manifest.read(speakers / "manifest.csv")
    manifest.write(speakers / "more.csv", [replace(row, speaker=f"{row.speaker}b") for row in rows])
    manifests = [str(speakers / name) for name in ("manifest.csv", "more.csv")]
    more = [f"data.manifests=[{','.join(manifests)}]", "data.presence_manifests=1"]
    cfg = recipes.read(recipe_of(speakers, tmp_path, "tsenet_fourier_test"), more)
    _, valid = mixers(cfg, registry.create("tsenet_fourier_test"))
    fitted = presence_of(registry.create("tsenet_fourier_test"), cfg)
    whole = recordings(cfg.data.mixing, manifests, "valid")["speech"]
    assert holds(tmp_path / "shelf" / "valid" / "speech", whole, 1000)
    assert len(valid.speech) == len(whole) == 2 * len(fitted.valid[0].speech)


def test_presence_is_learned_through_what_enrollments_come_through(speakers, tmp_path):
    """What it is calibrated on, and silence tried on, is heard as it is."""
    path = recipe_of(speakers, tmp_path, "tsenet_fourier_test")
    torch.manual_seed(0)
    model = registry.create("tsenet_fourier_test").eval()
    assert presence_of(model, recipes.read(path)).colours is None
    fitted = presence_of(model, recipes.read(path, ["colours=1.0"]))
    heard = []
    speaker = model.speaker.forward
    model.speaker.forward = lambda x, lengths=None: heard.append(x) or speaker(x, lengths)
    listen(model, fitted.train[0], 4, 4)
    plain = heard[0]  # what comes after are estimates
    heard.clear()
    listen(model, fitted.train[0], 4, 4, fitted.colours)
    torch.testing.assert_close(heard[0], fitted.colours(plain))
    assert (heard[0] - plain).abs().max() > 0.1 * plain.abs().max()
    heard.clear()
    fit_presence(model, fitted, 4, 4)
    for source, items, colours in (
        (fitted.train[0], 16, fitted.colours),
        (fitted.valid[0], 4, None),
        (fitted.longer[0], 4, None),
    ):
        (first, *_) = batches(source, 1, items, 4, model)
        wanted = first["enrollment"] if colours is None else colours(first["enrollment"])
        assert any(x.shape == wanted.shape and torch.equal(x, wanted) for x in heard)


def test_presence_is_calibrated_by_mixtures_that_lack_the_speaker(speakers, tmp_path):
    """Where a hint tells it all, the probabilities say so; where none does, they say half."""
    cfg = recipes.read(recipe_of(speakers, tmp_path, "tsenet_fourier_test"))
    torch.manual_seed(0)
    model = registry.create("tsenet_fourier_test").eval()
    half = load(replace(cfg.data.mixing, absent=0.5), cfg.data.manifests, "valid")
    batch = batch_at(half, 48, 1)(0, 0, 1)
    here = batch["target"] >= 0
    assert 12 < here.sum() < 36
    longer = load(replace(cfg.data.mixing, seconds=1.0), cfg.data.manifests, "valid")
    fit_presence(model, Presence([half], [half], [longer]), 48, 16)
    embedding = model.speaker(batch["enrollment"], batch["enrollment_lengths"])
    found = model.presence(batch["mixture"], embedding)
    assert abs(found.mean() - here.float().mean()) < 0.05  # as the mean of a fit must be
    size = model.evidence.in_features
    model.hints = lambda mixture, _: (2.0 * here[:, None].repeat(1, size), mixture)
    one = half.item
    half.item = lambda seed, epoch, index: one(1, 0, index % 48)
    fit_presence(model, Presence([half], [half, half], [longer]), 48, 48)
    told = torch.sigmoid(model.evidence(model.hints(batch["mixture"], embedding)[0])[:, 0])
    assert told[here].min() > 0.9
    assert told[~here].max() < 0.1
