"""The training loop: parts of a batch, schedules, the best weights, kills, several processes."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from little_runs import CFG, FROZEN, HARD, draw, figure, fit, fresh, until_killed

from sepaudio.training import loop
from sepaudio.training.loop import PACED
from sepaudio.training.recipe import OptimCfg
from sepaudio.training.start import held


def same(a, b):
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def untouched(one, two):
    """Names under which two states are equal to the last bit."""
    return {name for name in one if torch.equal(one[name], two[name])}


def test_parts_of_a_batch_add_up_to_it(tmp_path):
    whole = fit(tmp_path / "1", replace(CFG, ema=0.0), dropout=0.0)
    parts = fit(tmp_path / "2", replace(CFG, ema=0.0, accumulate=2), dropout=0.0)
    assert not same(whole, parts)  # another order of sums
    for x, y in zip(whole.parameters(), parts.parameters(), strict=True):
        assert (x - y).abs().max() < 1e-3 * x.abs().max() + 1e-5


def test_filters_are_clipped_before_the_whole_and_the_head_is_not(tmp_path, monkeypatch):
    clipped = []

    def spy(parameters, ratio):
        clipped.append((sum(p.numel() for p in parameters), ratio))

    monkeypatch.setattr(loop, "adaptive_clip", spy)
    model = fit(tmp_path, replace(CFG, steps=2, clip_ratio=0.02))
    trunk = sum(p.numel() for n, p in model.named_parameters() if not n.startswith("head"))
    assert clipped == [(trunk, 0.02)] * 2
    assert trunk < sum(p.numel() for p in model.parameters())


def test_workers_change_nothing(tmp_path):
    assert same(fit(tmp_path / "0"), fit(tmp_path / "2", workers=2))


def test_steps_that_are_not_on_a_card_are_not_recorded(tmp_path):
    assert same(fit(tmp_path / "0"), fit(tmp_path / "1", replace(CFG, graph=True)))


def test_validation_keeps_the_best_weights_and_gives_them_back(tmp_path):
    cfg = replace(CFG, valid_every=2, keep_best=2)
    figures = iter([5.0, 1.0, 3.0, 2.0, 4.0, 6.0])
    seen = []

    def validate(model):
        seen.append([p.clone() for p in model.parameters()])
        return next(figures)

    best = fit(tmp_path, cfg, validate=validate)
    assert len(seen) == 6
    assert sorted(p.name for p in (tmp_path / "best").iterdir()) == ["4.pt", "8.pt"]
    assert all(torch.equal(a, b) for a, b in zip(best.parameters(), seen[1], strict=True))


def test_a_plateau_halves_the_rate_and_ends_the_run(tmp_path):
    cfg = replace(CFG, schedule="plateau", valid_every=1, patience=2, stop_after=5, steps=50)
    calls = []
    fit(tmp_path, cfg, validate=lambda model: calls.append(1) or float(len(calls)))
    assert len(calls) == 6  # the first is the best, five stale ones follow
    saved = torch.load(tmp_path / "last.ckpt", weights_only=False)
    assert saved["run"][:3] == (6, 0.25, 5)
    rates = {group["lr"] for group in saved["optimizer_states"][0]["param_groups"]}
    assert rates == {cfg.lr * 0.25}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "step"}, "schedule='step': expected one of cosine, plateau"),
        ({"schedule": "plateau"}, "schedule='plateau' with valid_every=0: give steps"),
        ({"accumulate": 0}, "accumulate=0: expected at least 1"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        OptimCfg(**changes)


def test_half_precision_trains(tmp_path):
    model = fit(tmp_path, replace(CFG, precision="bf16-mixed"))
    assert all(torch.isfinite(p).all() for p in model.parameters())


KILLS = [(0, 0), (1, 1), (2, 0), (3, 1), (5, 0), (6, 1), (7, 0), (8, 1), (10, 0), (11, 1)]


@pytest.mark.parametrize("save_every", [0.0, 1000.0])
def test_a_run_killed_ten_times_gives_the_same_weights(tmp_path, save_every):
    """Optimiser, plateau, average, best weights and every draw, to the last bit."""
    whole = fit(tmp_path / "whole", HARD, validate=figure, frozen=FROZEN)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sepaudio.training.classify", "sepaudio.training.loop"])
    kills = KILLS if save_every == 0.0 else KILLS[:2]  # without a save each starts anew
    for where in kills:
        process = context.Process(target=until_killed, args=(tmp_path / "killed", where))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert same(fit(tmp_path / "killed", HARD, validate=figure, frozen=FROZEN), whole)


SCRIPT = """
import os, sys, time
sys.path.insert(0, {tests!r})
import torch
from little_runs import CFG, FROZEN, fit
from dataclasses import replace
from types import SimpleNamespace
from sepaudio.training import loop
from sepaudio.training.process import together
rank = int(os.environ["RANK"])
loop.time = SimpleNamespace(monotonic=lambda: time.monotonic() * 1e6**rank)
cfg = replace(CFG, ema=0.0, save_every=1000.0)
model = fit({folder!r}, cfg, dropout=0.0, frozen=FROZEN)
torch.save(model.state_dict(), {folder!r} + f"/final_{{rank}}.pt")
found = [together(lambda part, parts: range(part, n, parts)) for n in range(6)]
torch.save(found, {folder!r} + f"/found_{{rank}}.pt")
"""


def test_two_processes_learn_as_one(tmp_path):
    """Each takes half of every batch; what comes out is that of one process, but for rounding.

    By the clock of the second it is time to save after every step, by that of the first never: a
    save waits for all, so they have to agree.
    """
    folder = tmp_path / "two"
    script = tmp_path / "script.py"
    tests = str(Path(__file__).parent)
    script.write_text(SCRIPT.format(tests=tests, folder=str(folder)))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }
    done = subprocess.run(
        [*command, "--standalone", str(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in (0, 1):  # what each finds of its part, all know
        assert torch.load(folder / f"found_{rank}.pt") == [list(range(n)) for n in range(6)]
    states = [torch.load(folder / f"final_{rank}.pt") for rank in (0, 1)]
    one = fit(tmp_path / "one", replace(CFG, ema=0.0), dropout=0.0, frozen=FROZEN).state_dict()
    still = [*FROZEN, "standardize"]
    assert untouched(one, fresh().state_dict()) == {name for name in one if held(name, still)}
    for key, value in one.items():
        assert torch.equal(states[0][key], states[1][key])
        assert (states[0][key] - value).abs().max() < 1e-3 * value.abs().max() + 1e-5


@pytest.mark.parametrize("part", ["last.ckpt", "best"])
@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), RuntimeError("short")])
def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, monkeypatch, part, fault):
    """Half of the third checkpoint fits; the run ends, keeps the second, and goes on from it."""
    whole = fit(tmp_path / "whole", HARD, validate=figure)
    right, calls, before = torch.save, [], {}

    def full(what, where, *more, **options):
        best = isinstance(where, Path)
        calls.extend([best] if best == (part == "best") else [])
        if len(calls) < 3:
            return right(what, where, *more, **options)
        before.update((f, f.read_bytes()) for f in (tmp_path / "run").rglob("*.ckpt"))
        if best:
            where.write_bytes(b"half")
        raise fault

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"cannot be written \(.*what was saved before is kept"):
        fit(tmp_path / "run", HARD, validate=figure)
    monkeypatch.undo()
    assert len(before) == 1
    assert all(file.read_bytes() == content for file, content in before.items())
    assert not list((tmp_path / "run").rglob("*.new"))
    done = torch.load(tmp_path / "run" / "last.ckpt", weights_only=False)["run"][0]
    assert done == {"last.ckpt": 2, "best": 8}[part]
    assert same(fit(tmp_path / "run", HARD, validate=figure), whole)


def test_the_pace_is_told_once_and_leaves_out_what_is_rare(tmp_path, monkeypatch):
    """By a clock on which a step takes 2 s, the first one 50 s more, and a validation 100 s."""
    now, told = [0.0], []
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def drawn(step, part, parts):
        now[0] += 2.0 if step else 52.0
        return draw(step, part, parts)

    def validate(model):
        now[0] += 100.0
        return 0.0

    cfg = replace(CFG, steps=PACED + 3, valid_every=4)
    fit(tmp_path, cfg, drawn, validate, paced=lambda *figures: told.append(figures))
    assert told == [(2.0, 3)]


def test_a_run_that_goes_on_says_from_where(tmp_path, capfd):
    told = []
    for steps in (2, 3):  # the recipe's text is another one: nobody is held up
        (tmp_path / "recipe.yaml").unlink(missing_ok=True)
        fit(tmp_path, replace(CFG, steps=steps), paced=lambda *figures: None)
        told.append("run: goes on after step 2 of 3, saved in" in capfd.readouterr().err)
    assert told == [False, True]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_bar_counts_steps_on_standard_error(tmp_path, monkeypatch, capfd, accumulate):
    """Also those of an earlier call; figures go by their names."""
    monkeypatch.setattr(loop, "shown", lambda quiet: True)
    monkeypatch.setenv("COLUMNS", "200")
    cfg = replace(CFG, accumulate=accumulate, valid_every=5)
    names = {"loss": "loss [dB]", "valid": "valid error"}

    def deadly(step, *part):
        if step == 9:
            raise SystemError("killed")
        return draw(step, *part)

    with pytest.raises(SystemError, match="killed"):
        fit(tmp_path, cfg, deadly, validate=figure, names=names)
    assert " 9/12 " in capfd.readouterr().err
    fit(tmp_path, cfg, validate=figure, names=names)
    out, err = capfd.readouterr()
    assert re.search(r"^step \S+ 12/12 .*loss \[dB\]: [\d.]+ valid error: [\d.]+ *$", err, re.M)
    assert not out and "Epoch" not in err and "v_num" not in err
