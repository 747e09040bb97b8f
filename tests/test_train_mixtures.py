"""Training of separators and extractors on mixtures drawn from a manifest of speakers."""

import math
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from sepaudio import hub, io, registry
from sepaudio.cli import main
from sepaudio.data import manifest
from sepaudio.data.batched import Batched
from sepaudio.data.mixing import Mixer, load
from sepaudio.files import sha256
from sepaudio.losses import level_error
from sepaudio.training import recipe as recipes
from sepaudio.training.draws import hearing, placed, workers
from sepaudio.training.fitted import fit_level
from sepaudio.training.mixtures import (
    batch_at,
    extraction,
    judge_of,
    missed,
    mixers,
    objective_of,
    separation,
    told_apart,
)
from sepaudio.training.presence import Presence, fit_presence
from sepaudio.training.process import compiled
from sepaudio.training.start import held
from sepaudio.verbs.train import train

RATE = 1000
RECIPE = """
architecture: {architecture}
license: CC0-1.0
seed: 3
data:
  manifests: [manifest.csv]
  shelf: {shelf}
  valid_items: 8
  mixing: {{sample_rate: 1000, seconds: 0.5, enrollment_seconds: 0.5, least_seconds: 0.3}}
optim: {{steps: 4, batch: 4, lr: 0.01, warmup: 2, valid_every: 2}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Speakers who hum, each at a pitch of his own."""
    folder = tmp_path_factory.mktemp("speakers")
    random, rows = np.random.default_rng(0), ["path,kind,license,source,split,speaker"]
    t = np.arange(2 * RATE) / RATE
    for number in range(8):
        split = "train" if number < 5 else "valid"
        for take in range(2):
            name = f"s{number}_{take}.wav"
            x = np.sin(2 * np.pi * (40 + 45 * number) * t + random.uniform(0, 6))
            x = 0.1 * x * (1 + 0.5 * np.sin(3 * t + take)) + 0.002 * random.standard_normal(len(t))
            io.write(folder / name, x.astype(np.float32), RATE)
            rows.append(f"{name},speech,CC0-1.0,hum@1:{name},{split},s{number}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


def recipe_of(folder, tmp_path, architecture):
    path = folder / f"{architecture}.yaml"
    path.write_text(RECIPE.format(architecture=architecture, shelf=tmp_path / "shelf"))
    return path


@pytest.mark.parametrize("architecture", ["mitas_test", "tsenet_test"])
def test_a_run_learns_and_writes_a_model(folder, tmp_path, architecture):
    path = recipe_of(folder, tmp_path, architecture)
    more = ["optim.steps=150", "optim.batch=8", "optim.valid_every=0"]
    config = hub.read_config(train(path, more, output=tmp_path / "run", quiet=True))
    torch.manual_seed(3)
    cfg = recipes.read(path, more)
    untrained = registry.create(architecture)
    mixer, _ = mixers(cfg, untrained)
    objective = separation("si_snr") if architecture == "mitas_test" else extraction("si_snr", 0.2)
    batch = batch_at(mixer, 16, 0)(5000, 0, 1)  # mixtures that training did not draw
    with torch.no_grad():
        before = objective(untrained.eval(), batch).item()
        after = objective(hub.load(tmp_path / "run" / "model"), batch).item()
    assert after < before - 2  # dB
    assert config["trained_on"] == ["hum"]
    assert config["license"] == "CC0-1.0"
    assert len(config["data_fingerprint"]) == 64
    assert str(folder) not in str(config)


@pytest.mark.parametrize("mix_on", ["cpu", "device"])
def test_a_killed_run_goes_on_to_the_same_weights(folder, tmp_path, monkeypatch, mix_on):
    from sepaudio.training import mixtures as module

    path, more = recipe_of(folder, tmp_path, "tsenet_test"), [f"data.mix_on={mix_on}"]
    whole = train(path, more, output=tmp_path / "whole", quiet=True)
    right = module.batch_at

    def deadly(*arguments):
        draw = right(*arguments)

        def drawn(step, part, parts):
            if step == 3:
                raise SystemError("killed")
            return draw(step, part, parts)

        return drawn

    monkeypatch.setattr(module, "batch_at", deadly)
    more = ["optim.save_every=0", *more]
    with pytest.raises(SystemError, match="killed"):
        train(path, more, output=tmp_path / "killed", quiet=True)
    monkeypatch.undo()
    again = train(path, more, output=tmp_path / "killed", quiet=True)
    pairs = zip(
        hub.load(whole).state_dict().values(), hub.load(again).state_dict().values(), strict=True
    )
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("architecture", "parts"),
    [("mitas_test", ["tcn", "encoder"]), ("tsenet_test", ["speaker", "tcn", "decoder"])],
)
def test_a_run_goes_on_from_trained_weights(folder, tmp_path, architecture, parts):
    """Frozen parts are what they were; without a step to speak of, so is the rest."""
    path = recipe_of(folder, tmp_path, architecture)
    first = train(path, ["license=CC-BY-SA-4.0"], output=tmp_path / "first", quiet=True)
    more = ["optim.steps=2", "optim.lr=1e-9", "optim.weight_decay=0"]
    made = train(path, more, init=first, freeze=parts, output=tmp_path / "second", quiet=True)
    old, new = hub.load(first).state_dict(), hub.load(made).state_dict()
    for name, value in new.items():
        if held(name, parts):
            assert torch.equal(value, old[name])
        elif not name.startswith("decoder"):  # its level is fitted anew
            assert torch.allclose(value, old[name], atol=1e-7)
    config = hub.read_config(made)
    assert config["init"] == {
        "name": "first/model",
        "sha256": sha256(first / "model.safetensors"),
        "license": "CC-BY-SA-4.0",
        "new": [],
        "trained_on": ["hum"],
    }
    assert "is share-alike" in (made / "README.md").read_text()


def test_a_start_with_other_shapes_is_refused(folder, tmp_path):
    path = recipe_of(folder, tmp_path, "mitas_test")
    first = train(path, ["optim.steps=1"], output=tmp_path / "first", quiet=True)
    with pytest.raises(ValueError, match=r"tcn.* is \[.*\] there, but \[.*leave tcn out"):
        train(path, ["model={tcn: {hidden: 5}}"], init=first, output=tmp_path / "2", quiet=True)
    with pytest.raises(ValueError, match=r"is absent there, but .* leave tcn out of the recipe's"):
        train(path, ["model={tcn: {sharing: none}}"], init=first, output=tmp_path / "2", quiet=True)


@pytest.mark.parametrize("mix_on", ["cpu", "device"])
def test_workers_and_parts_draw_the_same_mixtures(folder, tmp_path, mix_on):
    cfg = recipes.read(recipe_of(folder, tmp_path, "mitas_test"), [f"data.mix_on={mix_on}"])
    mixer, _ = mixers(cfg, registry.create("mitas_test"))
    draw, heard = batch_at(mixer, 4, 1), hearing(lambda model, batch: batch["mixture"], mixer)
    whole = heard(None, draw(2, 0, 1))
    parts = [heard(None, draw(2, part, 2)) for part in (0, 1)]
    torch.testing.assert_close(torch.stack(parts, 1).flatten(0, 1), whole, rtol=0, atol=1e-7)
    assert not torch.equal(heard(None, draw(3, 0, 1)), whole)


def test_what_is_mixed_on_the_device_trains_as_what_is_mixed_before(folder, tmp_path):
    """But for rounding, and whether or not workers draw; presence and level are fitted too."""
    path = recipe_of(folder, tmp_path, "tsenet_test")
    runs = {"cpu": [], "device": [], "drawn": ["data.workers=2"]}
    made = {}
    for name, more in runs.items():
        where = f"data.mix_on={'cpu' if name == 'cpu' else 'device'}"
        more = [where, "optim.steps=6", "data.mixing.noise=0", "model.presence=0.5", *more]
        made[name] = hub.load(train(path, more, output=tmp_path / name, quiet=True)).state_dict()
    for key, value in made["device"].items():
        assert torch.equal(value, made["drawn"][key])
        assert (value - made["cpu"][key]).abs().max() < 1e-3 * value.abs().max() + 1e-5


def test_where_mixing_happens_is_named(folder, tmp_path, monkeypatch, capfd):
    path = recipe_of(folder, tmp_path, "mitas_test")
    with pytest.raises(ValueError, match="mix_on='gpu': expected one of auto, cpu, device"):
        recipes.read(path, ["data.mix_on=gpu"])
    mixer = load(recipes.read(path).data.mixing, [folder / "manifest.csv"], "train")
    size = 2 * len(mixer.speech.samples)
    for there, free, wanted in ((False, 0, Mixer), (True, 2 * size, Batched), (True, size, Mixer)):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, free=free: (free, free))
        (source,) = placed([mixer], "auto")
        assert isinstance(source, wanted)
        assert workers(source, 0) == (wanted is Batched) and workers(source, 3) == 3
    assert "set data.mix_on=device" in capfd.readouterr().err
    assert isinstance(placed([mixer], "device")[0], Batched)
    assert placed([mixer], "cpu") == [mixer]


def test_an_absent_speaker_is_pushed_to_silence(folder, tmp_path):
    path = recipe_of(folder, tmp_path, "tsenet_test")
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


def test_blocks_learn_to_tell_who_is_there(folder, tmp_path):
    """The gradient of what a layer says of their output reaches them; the layer is not kept."""
    path = recipe_of(folder, tmp_path, "tsenet_test")
    more = ["presence=1.0", "data.mixing.absent=0.5", "optim.steps=2"]
    cfg = recipes.read(path, more)
    model = registry.create("tsenet_test")
    batch = batch_at(mixers(cfg, model)[0], 8, 0)(0, 0, 1)
    judge = judge_of(model, cfg)
    torch.nn.init.normal_(judge.weight)

    def gradient(weight):
        model.zero_grad()
        loss = extraction("si_snr", 1.0, presence=weight, judge=judge)(model, batch)
        loss.backward()
        return loss.item(), torch.cat([p.grad.flatten() for p in model.tcn.parameters()])

    (without, a), (with_it, b) = gradient(0.0), gradient(1.0)
    assert (a - b).abs().max() > 1e-4
    embedding = model.speaker(batch["enrollment"], batch["enrollment_lengths"])
    _, found = model.heard(batch["mixture"], embedding)
    told = missed(judge(found)[:, 0], batch["target"] >= 0)
    assert with_it - without == pytest.approx(told.item(), rel=1e-4)
    plain = extraction("si_snr", 1.0)(model, batch).item()
    assert without == pytest.approx(plain, rel=1e-5)
    kept = hub.load(train(path, more, output=tmp_path / "run", quiet=True)).state_dict()
    assert set(kept) == set(model.state_dict())
    assert judge_of(registry.create("mitas_test"), cfg) is None
    assert judge_of(model, replace(cfg, presence=0.0)) is None


def test_what_comes_out_may_be_half_of_the_start(folder, tmp_path):
    path = recipe_of(folder, tmp_path, "mitas_test")
    start = train(path, ["seed=5"], output=tmp_path / "start", quiet=True)
    more = [f"init={start}", "seed=6", "freeze=[decoder]"]
    ends = {}
    for share in (0.0, 0.5):
        here = tmp_path / str(share)
        run = train(path, [*more, f"start_share={share}"], output=here, quiet=True)
        ends[share] = hub.load(run).state_dict()
    before = hub.load(start).state_dict()
    assert any((ends[0.0][key] - before[key]).abs().max() > 1e-3 for key in before)
    for key, value in ends[0.5].items():
        torch.testing.assert_close(value, (before[key] + ends[0.0][key]) / 2)
    with pytest.raises(ValueError, match=r"start_share=0\.5 without init"):
        train(path, ["start_share=0.5"], output=tmp_path / "no", quiet=True)
    with pytest.raises(ValueError, match=r"start_share=1\.0: expected 0 or more, below 1"):
        recipes.read(path, ["start_share=1.0"])


def test_presence_that_cannot_be_fitted_is_told_before_the_first_step(folder, tmp_path):
    rows = manifest.read(folder / "manifest.csv")
    names = sorted({row.speaker for row in rows if row.split == "valid" and row.speaker})[:2]
    few = [row for row in rows if row.split != "valid" or row.speaker in names]
    manifest.write(folder / "few.csv", few)
    path = recipe_of(folder, tmp_path, "tsenet_fourier_test")
    more = [f"data.manifests=[{folder / 'few.csv'}]", "data.mixing.n_src=[2,2]"]
    with pytest.raises(ValueError, match=r"presence cannot be fitted: .*3 speakers.*presence=0"):
        train(path, more, output=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "last.ckpt").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own, of several kinds
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("architecture", ["mitas_test", "tsenet_test"])
def test_a_compiled_step_is_the_same_step(folder, tmp_path, architecture):
    path = recipe_of(folder, tmp_path, architecture)
    cfg, found = recipes.read(path), []
    torch.manual_seed(0)
    model = registry.create(architecture)
    batch = batch_at(mixers(cfg, model)[0], 4, 0)(0, 0, 1)
    for how in (objective_of(model, cfg), compiled(objective_of(model, cfg))):
        model.zero_grad()
        loss = how(model, batch)
        loss.backward()
        there = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        found.append((loss.item(), torch.cat(there)))
    (one, a), (other, b) = found
    assert other == pytest.approx(one, abs=1e-3)
    assert (a - b).norm() < 1e-3 * a.norm()
    run = train(path, ["optim.compile=true", "optim.steps=2"], output=tmp_path / "run", quiet=True)
    assert set(hub.load(run).state_dict()) == set(model.state_dict())


def test_compiling_wants_a_compiler(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(
        ValueError, match=r"compile=true: expected a C\+\+ compiler .*compile=false"
    ):
        train(
            recipe_of(folder, tmp_path, "mitas_test"),
            ["optim.compile=true"],
            output=tmp_path / "run",
            quiet=True,
        )


@pytest.mark.parametrize(
    ("architecture", "override", "message"),
    [
        (
            "mitas_test",
            "data.mixing.sample_rate=8000",
            "sample_rate=8000: expected the model's, 1000",
        ),
        (
            "mitas_test",
            "data.mixing.n_src=[2,3]",
            r"n_src=\[2, 3\]: expected the model's, \[2, 2\]",
        ),
        ("mitas_test", "loss=l2", "loss='l2': expected one of si_snr, si_sdr, snr"),
        (
            "mitas_test",
            "data.items=3",
            r"no key .* 'data.items'; did you mean 'data.valid_items'\?",
        ),
        ("mitas_test", "optim.step=3", r"no key .* 'optim.step'; did you mean 'optim.steps'\?"),
        ("mitas_test", "optim.qqqqqqqqqqqqq=3", r"'optim.q+' .*known: optim.steps, optim.batch"),
        ("mitas_test", "data.manifests=a.csv", r"and one \[a.csv\]"),
        ("tsenet_test", "model={speaker: null}", "tsenet_test has no speaker front-end: give one"),
    ],
)
def test_recipes_that_do_not_fit_are_refused(folder, tmp_path, architecture, override, message):
    path = recipe_of(folder, tmp_path, architecture)
    with pytest.raises(ValueError, match=message):
        train(path, [override], output=tmp_path / "run", quiet=True)


def test_presence_is_calibrated_by_mixtures_that_lack_the_speaker(folder, tmp_path):
    """Where a hint tells it all, the probabilities say so; where none does, they say half."""
    cfg = recipes.read(recipe_of(folder, tmp_path, "tsenet_fourier_test"))
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


def test_voices_are_told_apart_among_all_sources(folder, tmp_path):
    """A front-end that knows the speakers' pitch has little to lose, one that mixes them much."""
    path = recipe_of(folder, tmp_path, "tsenet_test")
    cfg = recipes.read(path, ["data.mixing.n_src=[1, 2]", "data.mixing.sir_db=[0, 0]"])
    batch = batch_at(mixers(cfg, registry.create("tsenet_test"))[0], 8, 0)(0, 0, 1)
    batch["target"][3] = -1

    def pitch(x, lengths=None):
        return torch.fft.rfft(x, 512).abs()[:, :250]

    def loud(x, lengths=None):
        return torch.ones(len(x), 4)

    knows = told_apart(pitch, pitch(batch["enrollment"]), batch)
    n_voices = int(batch["n_src"].sum())
    assert n_voices < 16  # some mixtures have a single speaker
    assert told_apart(loud, loud(batch["enrollment"]), batch).item() == pytest.approx(
        math.log(n_voices)
    )
    assert knows < 0.6 * math.log(n_voices)


def test_a_weight_on_the_level_takes_part_where_the_speaker_is_there(folder, tmp_path):
    cfg = recipes.read(recipe_of(folder, tmp_path, "tsenet_test"))
    torch.manual_seed(0)
    model = registry.create("tsenet_test")
    batch = batch_at(mixers(cfg, model)[0], 8, 0)(0, 0, 1)
    batch["target"][3] = -1
    embedding = model.speaker(batch["enrollment"], batch["enrollment_lengths"])
    off = level_error(model(batch["mixture"], embedding), batch["sources"][:, 0])
    off[3] = 0  # the estimate of a speaker who is not there has no level to reach
    plain, level = (extraction("si_snr", 0.2, level=level)(model, batch) for level in (0.0, 0.5))
    assert (level - plain).item() == pytest.approx(0.5 * off.mean().item(), rel=1e-4)


@pytest.mark.parametrize("architecture", ["mitas_test", "tsenet_test", "tsenet_fourier_test"])
def test_estimates_are_made_as_loud_as_their_sources(folder, tmp_path, architecture):
    cfg = recipes.read(recipe_of(folder, tmp_path, architecture))
    torch.manual_seed(0)
    model = registry.create(architecture).eval()
    if model.decoder.filters.requires_grad:  # an untrained one may turn signals upside down
        model.decoder.load_state_dict({**model.encoder.state_dict(), "bias": torch.zeros(1)})
    _, valid = mixers(cfg, model)
    first = fit_level(model, valid, 6, 4)
    assert first != 1
    assert fit_level(model, valid, 6, 4) == pytest.approx(1, abs=1e-4)


def damaged(folder, tmp_path):
    """The speakers once more, and three takes of the first one that cannot be used."""
    x = np.full(2 * RATE, 0.1, np.float32)
    x[RATE] = np.nan
    soundfile.write(tmp_path / "nan.wav", x, RATE, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("no audio at all")
    rows = manifest.read(folder / "manifest.csv")
    bad = [replace(rows[0], path=tmp_path / name) for name in ("nan.wav", "text.wav", "gone.wav")]
    manifest.write(tmp_path / "damaged.csv", [*rows[:2], *bad, *rows[2:]])
    return f"data.manifests=[{tmp_path / 'damaged.csv'}]"


def test_bad_recordings_stop_a_run_before_it_starts(folder, tmp_path):
    more = [damaged(folder, tmp_path)]
    path = recipe_of(folder, tmp_path, "mitas_test")
    with pytest.raises(ValueError, match="2 rows cannot be used") as error:
        train(path, more, output=tmp_path / "run", quiet=True)
    for text in ("line 5 (text.wav)", "is text", "line 6 (gone.wav)", "data.on_bad=skip"):
        assert text in str(error.value)
    assert not (tmp_path / "run").exists()
    for name in ("text.wav", "gone.wav"):
        io.write(tmp_path / name, np.full(RATE, 0.1, np.float32), RATE)
    with pytest.raises(ValueError, match=r"nan.wav the sample at 1 s is nan: .* on_bad=skip"):
        train(path, more, output=tmp_path / "run", quiet=True)
    with pytest.raises(ValueError, match="on_bad='go': expected one of stop, skip"):
        train(path, ["data.on_bad=go"], quiet=True)


def test_bad_recordings_are_left_out_and_named(folder, tmp_path, capfd):
    """Then the run is the one without them, also when it finds its shelf."""
    path = recipe_of(folder, tmp_path, "mitas_test")
    clean = train(path, [f"data.shelf={tmp_path / 'clean'}"], output=tmp_path / "0", quiet=True)
    more = [damaged(folder, tmp_path), "data.on_bad=skip"]
    for name in ("1", "2"):
        made = train(path, more, output=tmp_path / name)
        err = capfd.readouterr().err
        assert "data: 3 recordings are left out:" in err
        for text in ("nan.wav the sample at 1 s", "text.wav is text", "gone.wav does not exist"):
            assert text in err
        config = hub.read_config(made)
        assert config["left_out"] == 3
        assert config["data_fingerprint"] == hub.read_config(clean)["data_fingerprint"]
        pairs = zip(hub.load(clean).parameters(), hub.load(made).parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    with pytest.raises(ValueError, match="rows cannot be used"):  # the shelf is no longer whole
        train(path, more[:1], output=tmp_path / "3", quiet=True)


def test_a_dry_run_tells_data_disk_and_time_and_leaves_nothing(folder, tmp_path, capfd):
    path = recipe_of(folder, tmp_path, "tsenet_test")
    before = sorted(tmp_path.rglob("*"))
    call = ["train", path, "--dry-run", "-o", tmp_path / "run", "optim.steps=5000"]
    with pytest.raises(SystemExit) as stop:
        main([str(part) for part in call])
    assert stop.value.code == 0
    out = capfd.readouterr().out
    assert f"data: {folder / 'manifest.csv'}: 16 rows, 0.01 h of audio" in out
    assert f"disk: 0.000 GB for decoded recordings in {tmp_path / 'shelf'}" in out
    assert f"for checkpoints in {tmp_path / 'run'}" in out
    assert re.search(r"time: about \d+ s to prepare the data", out)
    assert re.search(r"time: about [\d.]+ (s|min|h) for 5000 steps \([\d.]+ s each", out)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_lies_ready_is_not_looked_at_again(folder, tmp_path, capfd, monkeypatch):
    path = recipe_of(folder, tmp_path, "mitas_test")
    train(path, ["optim.steps=1"], output=tmp_path / "run", quiet=True)
    monkeypatch.setattr(io, "info", None)
    train(path, ["optim.steps=2"], output=tmp_path / "2")
    err = capfd.readouterr().err
    assert "data: ready" in err
    assert "time:" not in err  # two steps are too few to measure


def test_a_run_that_the_disk_cannot_hold_does_not_start(folder, tmp_path, monkeypatch):
    path = recipe_of(folder, tmp_path, "mitas_test")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(ValueError, match=r"GB free, and this run needs about 0.000 GB there"):
        train(path, output=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_longer_run_tells_how_long(folder, tmp_path, capfd):
    path = recipe_of(folder, tmp_path, "mitas_test")
    more = ["optim.steps=15", "optim.valid_every=0"]
    train(path, more, output=tmp_path / "run")
    err = capfd.readouterr().err
    assert re.search(r"time: about \d+ s for 3 steps \(", err)
    each, rate = (float(re.search(text, err)[1]) for text in (r"\(([\d.]+) s each", r"(\d+) hours"))
    assert rate == pytest.approx(4 * 0.5 / each, rel=0.2, abs=1)  # of mixtures an hour
