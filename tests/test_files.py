"""Files are whole or not there, and found once each."""

import json
import os
import sys
from pathlib import Path

import pytest

from sepaudio import files

posix = pytest.mark.skipif(os.name != "posix", reason="links and modes of POSIX")


def test_atomic_gives_a_sibling_with_the_same_suffix_and_leaves_only_the_file(tmp_path):
    path = tmp_path / "a.tar.wav"
    with files.atomic(path) as temporary:
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".wav")
        assert not path.exists()
        temporary.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_brings_the_content_to_the_disk_before_the_name(tmp_path, monkeypatch):
    steps = []
    replace, fsync = Path.replace, os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (steps.append("sync"), fsync(handle)))
    monkeypatch.setattr(Path, "replace", lambda a, b: (steps.append("name"), replace(a, b)))
    files.atomic_text(tmp_path / "a.txt", "new")
    assert steps[:2] == ["sync", "name"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_atomic_keeps_the_old_file_on_any_exception(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), files.atomic(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_keeps_the_old_file_when_the_rename_fails(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match=r"No space left .*a\.txt"):
        files.atomic_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_refuses_folders_and_missing_folders(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder: expected the name of a file"):
        files.atomic_text(tmp_path, "x")
    with pytest.raises(FileNotFoundError, match=r"gone is not a folder: expected .*; make it"):
        files.atomic_text(tmp_path / "gone" / "a.txt", "x")
    with pytest.raises(FileNotFoundError), files.atomic(tmp_path / "a.txt"):
        pass  # wrote nothing
    assert list(tmp_path.iterdir()) == []


@posix
def test_atomic_keeps_modes_follows_links_and_spares_devices(tmp_path):
    path, link = tmp_path / "a.txt", tmp_path / "link.txt"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to("a.txt")
    files.atomic_text(link, "new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640
    files.atomic_text(os.devnull, "x")
    assert Path(os.devnull).is_char_device()


def test_text_and_json_are_utf8_with_line_feeds(tmp_path):
    files.atomic_json(tmp_path / "a.json", {"ä": [1, None]})
    assert (tmp_path / "a.json").read_bytes().decode() == (
        '{\n  "ä": [\n    1,\n    null\n  ]\n}\n'
    )
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {"ä": [1, None]}
    with pytest.raises(ValueError, match=r"a\.json: .*expected finite numbers; write null"):
        files.atomic_json(tmp_path / "a.json", [float("nan")])
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {"ä": [1, None]}


@pytest.mark.parametrize("exchange", [True, False])
def test_atomic_folder_replaces_whole(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(files, "_exchange", lambda a, b: False)
    path = tmp_path / "model"
    for text in ("one", "two"):
        with files.atomic_folder(path, overwrite=True) as temporary:
            (temporary / "sub").mkdir()
            (temporary / "sub" / "a.txt").write_text(text)
            if text == "two":
                (temporary / "b.txt").write_text(text)
        assert (path / "sub" / "a.txt").read_text() == text
        assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(KeyboardInterrupt), files.atomic_folder(path, overwrite=True) as temporary:
        (temporary / "b.txt").write_text("three")
        raise KeyboardInterrupt
    assert (path / "b.txt").read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a system call of Linux")
def test_exchange_swaps_or_says_that_it_cannot(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "x").touch()
    if files._exchange(tmp_path / "a", tmp_path / "b"):
        assert (tmp_path / "b" / "x").exists()
        assert not (tmp_path / "a" / "x").exists()
    assert files._exchange(tmp_path / "a", tmp_path / "gone") is False


def test_atomic_folder_undoes_a_swap_that_fails_halfway(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_exchange", lambda a, b: False)
    path = tmp_path / "model"
    path.mkdir()
    (path / "a.txt").write_text("old")
    rename = Path.rename

    def failing(self, target):
        if target == path and (self / "a.txt").read_text() == "new":
            raise OSError(5, "disk gone")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with (
        pytest.raises(OSError, match="disk gone"),
        files.atomic_folder(path, overwrite=True) as temporary,
    ):
        (temporary / "a.txt").write_text("new")
    assert (path / "a.txt").read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_folder_never_deletes_what_it_does_not_write(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "notes.txt").write_text("mine")
    with (
        pytest.raises(FileExistsError, match=r"exists already; pass overwrite=True"),
        files.atomic_folder(path),
    ):
        pass
    with (
        pytest.raises(FileExistsError, match=r"holds notes\.txt, which .* would delete; move"),
        files.atomic_folder(path, overwrite=True) as temporary,
    ):
        (temporary / "a.txt").write_text("new")
    assert [p.name for p in path.iterdir()] == ["notes.txt"]
    with (
        pytest.raises(FileExistsError, match=r"notes\.txt is a file: expected the name of a fold"),
        files.atomic_folder(path / "notes.txt"),
    ):
        pass
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.wav", "a.WAV", "n.txt", ".h.wav", "s/c.flac", "s/t/d.wav", ".git/e.wav", "m/x"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return tmp_path


def found(*paths):
    return [p.as_posix() for p in files.find(paths, {".wav", ".flac"})]


@pytest.mark.usefixtures("tree")
def test_find_lists_folders_sorted_without_hidden_names():
    assert found(".") == ["a.WAV", "b.wav", "s/c.flac", "s/t/d.wav"]
    assert found("s", "b.wav", ".") == ["s/c.flac", "s/t/d.wav", "b.wav", "a.WAV"]
    assert found(".h.wav", "n.txt", "-", "-", "gone.wav") == [".h.wav", "n.txt", "-", "gone.wav"]


@pytest.mark.usefixtures("tree")
def test_find_expands_patterns():
    assert found("*.wav") == ["b.wav"]
    assert found("**/*.wav") == ["b.wav", "s/t/d.wav"]
    assert found("*") == ["a.WAV", "b.wav", "s/c.flac", "s/t/d.wav"]
    assert found("*.txt") == ["n.txt"]
    assert found("*.mp3") == ["*.mp3"]
    Path("[1].wav").touch()
    assert found("[1].wav") == ["[1].wav"]


def test_find_takes_one_path_and_absolute_ones(tree):
    assert files.find("b.wav", {".wav"}) == [Path("b.wav")]
    assert found("b.wav", str(tree / "b.wav"), "s/../b.wav") == ["b.wav"]


@posix
@pytest.mark.usefixtures("tree")
def test_find_survives_loops_and_keeps_broken_links():
    Path("s/up").symlink_to("..")
    Path("gone.wav").symlink_to("nowhere")
    Path("loop.wav").symlink_to("loop.wav")
    assert found(".") == ["a.WAV", "b.wav", "gone.wav", "loop.wav", "s/c.flac", "s/t/d.wav"]


@pytest.mark.usefixtures("tree")
def test_find_refuses_a_folder_without_such_files():
    with pytest.raises(files.FileError, match=r"^m holds no file .* \.flac \.wav, in it or below"):
        found("m")


def test_of_two_processes_that_make_a_folder_both_succeed(tmp_path, monkeypatch):
    path, rename = tmp_path / "made", Path.rename

    def later(self, target):
        monkeypatch.setattr(Path, "rename", rename)
        with files.atomic_folder(path) as other:
            (other / "a.txt").write_text("other")
        return self.rename(target)

    monkeypatch.setattr(Path, "rename", later)
    with files.atomic_folder(path, overwrite=True) as new:
        (new / "a.txt").write_text("new")
    assert (path / "a.txt").read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
