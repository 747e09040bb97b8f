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
    with pytest.raises(ValueError, match="is a folder: expected a manifest"):
        manifest.read(tmp_path)
    with pytest.raises(ValueError, match="no manifest is named"):
        manifest.read_all([], ["speech"])
    path = write(tmp_path, HEAD + "a.wav,speech,CC0,x,train\n")
    with pytest.raises(ValueError, match="no recording of kind 'music'"):
        manifest.read_all([path], ["speech", "music"])
    assert len(manifest.read_all([path], ["speech", "music"], some=True)) == 1
    with pytest.raises(ValueError, match=r"no recording of kind 'noise'.* there are speech"):
        manifest.read_all([path], ["noise", "music"], some=True)


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


def recording(path, **more):
    about = {"kind": "speech", "license": "CC0-1.0", "source": "x@1:y", "split": "train"}
    return manifest.Recording(path=path, **{**about, **more})


def test_what_is_written_is_read(tmp_path):
    rows = [
        recording(tmp_path / "a, b.wav", speaker="é", sample_rate=8000, start=0.25, duration=1.5),
        recording(tmp_path / "deep/b.wav", split="test", speaker="x", gender="f"),
        recording(tmp_path.parent / "elsewhere.wav", duration=2.0),
    ]
    manifest.write(tmp_path / "m.csv", rows)
    assert manifest.read(tmp_path / "m.csv") == rows
    paths = [line.rsplit(",")[0] for line in (tmp_path / "m.csv").read_text().splitlines()]
    assert paths[2:] == ["deep/b.wav", str(tmp_path.parent / "elsewhere.wav")]


def test_genders_of_speakers_come_from_any_table(tmp_path):
    table = tmp_path / "who.csv"
    table.write_text("speaker,gender,path\na,Female,1\nb,m,2\na,f,3\nc,,4\n,f,5\n")
    assert manifest.genders(table) == {"a": "f", "b": "m"}
    table.write_text(table.read_text().replace("gender", "sex"))
    assert manifest.genders(table) == {"a": "f", "b": "m"}
    table.write_text("speaker,gender\na,f\na,m\n")
    with pytest.raises(ValueError, match="line 3: speaker 'a' has gender 'm', but 'f' above"):
        manifest.genders(table)
    table.write_text("speaker\na\n")
    with pytest.raises(ValueError, match="lacks the columns gender"):
        manifest.genders(table)


def test_a_failed_write_leaves_the_old_manifest(tmp_path):
    manifest.write(tmp_path / "m.csv", [recording(tmp_path / "a.wav")])
    before = (tmp_path / "m.csv").read_text()
    with pytest.raises(ValueError, match="no rows to write"):
        manifest.write(tmp_path / "m.csv", [])
    assert (tmp_path / "m.csv").read_text() == before


@pytest.mark.parametrize(
    ("columns", "values", "match"),
    [
        (",start_s", ",-1", "line 2: start_s='-1', expected a number of 0 or more"),
        (",duration_s", ",long", "line 2: duration_s='long', expected a number"),
        (",sample_rate", ",8000.5", r"line 2: sample_rate=8000\.5, expected a whole number"),
        ("", ",more", "line 2: more values than columns: expected 5"),
    ],
)
def test_bad_numbers_are_named(tmp_path, columns, values, match):
    text = HEAD.strip() + columns + f"\na.wav,speech,CC0,x,train{values}\n"
    with pytest.raises(ValueError, match=match):
        manifest.read(write(tmp_path, text))


def test_text_of_another_encoding_is_named(tmp_path):
    (tmp_path / "m.csv").write_bytes(HEAD.encode("utf-16"))
    with pytest.raises(ValueError, match="not UTF-8 text: expected a manifest"):
        manifest.read(tmp_path / "m.csv")


def test_splits_are_dealt_by_name_alone():
    names = [f"s{i}" for i in range(100)]
    shares = {"train": 0.65, "valid": 0.1, "test": 0.25}
    dealt = manifest.split(names, shares)
    assert dealt == manifest.split(reversed(names), shares)
    counts = {part: list(dealt.values()).count(part) for part in shares}
    assert counts == {"train": 65, "valid": 10, "test": 25}
    assert dealt != manifest.split(names, shares, seed=1)
    assert dealt != manifest.split(names, shares, salt="other")
    assert [dealt[f"s{i}"] for i in range(6)] == [
        "train",
        "train",
        "train",
        "valid",
        "train",
        "train",
    ]  # published splits never change
    assert sorted(manifest.split("abc", shares).values()) == ["test", "train", "valid"]
    assert len(manifest.split("a", shares)) == 1


@pytest.mark.parametrize("shares", [{"train": 0.5}, {"dev": 1.0}])
def test_bad_shares_are_named(shares):
    with pytest.raises(ValueError, match="expected train, valid, test, 1 in all"):
        manifest.split("abc", shares)
