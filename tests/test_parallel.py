"""Laws of what is done at once: the same results in the same order, and an end when it is over."""

import threading
import time

import numpy as np
import odd_files
import pytest
import torch

from sepaudio import io, parallel
from sepaudio.verbs.classify import classify_files
from sepaudio.verbs.segment import segment_files

SLIM = "speech_music_noise_slim"


def test_results_keep_their_order_though_later_ones_are_done_first():
    done = threading.Event()

    def work(item, check):
        if item:
            done.set()
        else:
            assert done.wait(10)  # the first waits for a later one, so they run at once
        return -item

    assert list(parallel.in_order(range(7), work, 3)) == [0, -1, -2, -3, -4, -5, -6]


def test_items_are_taken_only_so_far_ahead():
    taken = []

    def items():
        for i in range(20):
            taken.append(i)
            yield i

    results = parallel.in_order(items(), lambda item, check: item, 2, most=3)
    assert next(results) == 0
    assert len(taken) <= 3
    assert list(results) == list(range(1, 20))


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ZeroDivisionError])
def test_what_runs_stops_soon_when_the_results_are_not_wanted(failure):
    began, left = threading.Event(), []

    def work(item, check):
        began.set()
        try:
            while True:  # a file without an end
                time.sleep(0.001)
                check()
        except parallel.Stopped:
            left.append(item)
            raise

    def items():
        yield 0
        assert began.wait(10)
        raise failure

    with pytest.raises(failure):
        list(parallel.in_order(items(), work, 2))
    assert left == [0]


def test_what_work_raises_comes_in_its_turn():
    results = parallel.in_order([1, 2, 0, 4], lambda item, check: 4 // item, 2)
    assert [next(results), next(results)] == [4, 2]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize("n", range(6))
def test_items_made_ahead_are_the_same(n):
    assert list(parallel.ahead(iter(range(n)))) == list(range(n))


def test_items_are_made_while_one_is_used_and_no_more_than_asked_for():
    made = []

    def items():
        for i in range(9):
            made.append(i)
            yield i

    coming = parallel.ahead(items(), most=2)
    assert [next(coming), next(coming)] == [0, 1]
    for _ in range(1000):
        if len(made) == 4:
            break
        time.sleep(0.01)
    assert made == [0, 1, 2, 3]
    coming.close()


def test_what_making_raises_is_raised():
    def items():
        yield from range(4)
        raise KeyError("five")

    coming = parallel.ahead(items())
    assert [next(coming) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(KeyError):
        next(coming)


@pytest.mark.parametrize("verb", [classify_files, segment_files])
def test_good_and_bad_files_give_the_same_however_many_at_once(verb, tmp_path):
    odd_files.make(tmp_path)
    x = np.random.default_rng(0).standard_normal(16000 * 45).astype(np.float32)
    io.write(tmp_path / "long.wav", 0.1 * x, 16000)  # several blocks of `segment`
    paths = sorted(path for path in tmp_path.iterdir() if path.is_file())
    threads = torch.get_num_threads()
    plain = list(verb(paths, model=SLIM, device="cpu", workers=1))
    assert plain == list(verb(paths, model=SLIM, device="cpu", workers=3))
    assert [one.file for one in plain] == [str(path) for path in paths]
    assert {bool(one.error) for one in plain} == {True, False}
    assert torch.get_num_threads() == threads


def test_windows_of_one_long_file_give_the_same_however_many_at_once(tmp_path):
    """More windows than one batch holds, so that batches are heard at once."""
    x = np.random.default_rng(0).standard_normal(8000 * 300).astype(np.float32)
    io.write(tmp_path / "long.flac", 0.1 * x, 8000, "PCM_16")
    found = [
        list(classify_files([tmp_path / "long.flac"], model=SLIM, device="cpu", workers=n))
        for n in (1, 4)
    ]
    assert found[0] == found[1]
    assert found[0][0].seconds == 300


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(ValueError, match="workers=-1: expected 1 or more"):
        list(classify_files(["a.wav"], model=SLIM, workers=-1))
