"""Manifests name what is wrong with them."""

import pytest

from sepaudio.data import manifest

HEAD = "path,kind,license,source,split\n"


def write(folder, text):
    path = folder / "manifest.csv"
    path.write_text(text)
    return path


def test_rows_are_read_relative_to_the_manifest(tmp_path):
    path = write(tmp_path, HEAD + "a.wav,speech,CC0-1.0,x/y@1:z,train\n")
    (row,) = manifest.read(path)
    assert row.path == tmp_path / "a.wav"
    assert (row.kind, row.license, row.split, row.origin) == ("speech", "CC0-1.0", "train", "x/y")


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        ("x/y@1:z", "x/y"),
        ("debian:name@1.2:inner/file.ogg", "debian:name"),
        ("synthetic:sung:f0=3", "synthetic:sung"),
    ],
)
def test_origin_is_the_collection(tmp_path, source, origin):
    path = write(tmp_path, HEAD + f"a.wav,speech,CC0-1.0,{source},train\n")
    assert manifest.read(path)[0].origin == origin


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("path,kind\n", "lacks the columns license, source, split"),
        (HEAD + "a.wav,,CC0,x,train\n", "line 2: no kind"),
        (HEAD + "a.wav,speech,CC0,x,dev\n", "line 2: split='dev', expected train, valid, test"),
    ],
)
def test_bad_rows_are_named(tmp_path, text, match):
    with pytest.raises(ValueError, match=match):
        manifest.read(write(tmp_path, text))


def test_a_missing_manifest_and_a_missing_kind_are_named(tmp_path):
    with pytest.raises(ValueError, match="does not exist: expected a manifest"):
        manifest.read(tmp_path / "no.csv")
    path = write(tmp_path, HEAD + "a.wav,speech,CC0,x,train\n")
    with pytest.raises(ValueError, match="no recording of kind 'music'"):
        manifest.read_all([path], ["speech", "music"])


@pytest.mark.parametrize(
    ("license", "stays"),
    [
        ("CC-BY-SA-4.0", True),
        ("CC-BY-NC-SA-4.0", False),
        ("CC-BY-NC-3.0 + CC-BY-3.0", False),
        ("CC-Sampling+", False),
        ("GPL-2+", False),
        ("CC0-1.0", True),
        ("Public-Domain", True),
    ],
)
def test_licences_are_refused_by_their_parts(tmp_path, license, stays):
    rows = manifest.read(write(tmp_path, HEAD + f"a.wav,speech,{license},x,train\n"))
    assert bool(manifest.allowed(rows, ("NC", "ND", "GPL", "Sampling"))) == stays


def test_fingerprint_changes_with_a_file(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"1234")
    rows = manifest.read(write(tmp_path, HEAD + "a.wav,speech,CC0,x,train\n"))
    before = manifest.fingerprint(rows)
    (tmp_path / "a.wav").write_bytes(b"12345")
    assert manifest.fingerprint(rows) != before
