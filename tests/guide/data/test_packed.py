"""The data sources ``webdataset`` and ``parquet``: what they read in place, and files that are damaged or hostile."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from guide.data.test_folder import told
from loraspec_guide.data.registry import DATA_SOURCES
from PIL import Image

from loraspec.errors import EnvironmentMissing, SpecError
from loraspec.randomness import rng_of
from loraspec.testing import DataSourceSuite
from loraspec.values import Context, Scan

pyarrow = pytest.importorskip("pyarrow")


def encoded(seed: int, kind: str = "PNG") -> bytes:
    """Return a picture of its own."""
    file = io.BytesIO()
    Image.frombytes("RGB", (30, 20), bytes((seed * 31 + place * place) % 256 for place in range(1800))).save(file, kind)
    return file.getvalue()


def shard(path: Path, members: dict[str, bytes], **more: Any) -> Path:
    """Write a tar file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=more.get("format", tarfile.PAX_FORMAT)) as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member in more.get("others", ()):
            tar.addfile(member)
    return path


def table(path: Path, columns: dict[str, list[Any]], groups: int = 2) -> Path:
    """Write a Parquet file with so many rows in a group."""
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(columns), path, row_group_size=groups)
    return path


def scan(use: str, folder: Path, **options: Any) -> Scan:
    [component] = [one for one in DATA_SOURCES if one.name == use]
    context = Context(folder=folder, rng=rng_of(0), extensions=lambda hook: [])
    found: Scan = component.build(component.options(**{"path": "shards", "rights": "own", **options})).scan(context)
    return found


def captions(found: Scan) -> dict[str, str | None]:
    return {sample.key: sample.caption for sample in found.samples}


TWO = {"a.png": encoded(1), "a.txt": b"a man, ink\n", "sub/b.jpg": encoded(2, "JPEG"), "sub/b.json": b'{"caption": "a dog"}'}


class TestWebDataset(DataSourceSuite):
    """``webdataset`` keeps the contract."""

    use = "guide:webdataset"

    def prepare(self, folder: Path) -> dict[str, Any]:
        """Two shards."""
        shard(folder / "shards" / "0001.tar", TWO)
        shard(folder / "shards" / "0000.tar", {"c.webp": encoded(3, "WEBP"), "c.txt": b"a cat"})
        return {"path": "shards", "rights": "licensed", "credits": "Nobody"}


class TestParquet(DataSourceSuite):
    """``parquet`` keeps the contract."""

    use = "guide:parquet"

    def prepare(self, folder: Path) -> dict[str, Any]:
        """A table of three rows in two groups."""
        table(folder / "shards" / "train.parquet", {"image": [encoded(1), encoded(2), encoded(3)], "text": ["a man", "a dog", None]})
        return {"path": "shards/train.parquet", "rights": "licensed", "credits": "Nobody"}


# -- WebDataset ----------------------------------------------------------------------------------------------------------


def test_members_of_one_name_are_a_sample(tmp_path: Path) -> None:
    """Keys are shard, then member; a caption is in the text file, or under a key of the JSON."""
    shard(tmp_path / "shards" / "0000.tar", TWO)
    assert captions(scan("webdataset", tmp_path)) == {"0000/a.png": "a man, ink", "0000/sub/b.jpg": None}
    assert captions(scan("webdataset", tmp_path, caption="json")) == {"0000/a.png": None, "0000/sub/b.jpg": "a dog"}
    found = scan("webdataset", tmp_path)
    assert [sample.read() for sample in found.samples] == [TWO["a.png"], TWO["sub/b.jpg"]]
    assert {(sample.rights, sample.width, sample.height) for sample in found.samples} == {("own", 30, 20)}


def test_nothing_is_unpacked_whatever_the_names_are(tmp_path: Path) -> None:
    """Members that climb, links, devices and control characters are left alone."""
    link, device = tarfile.TarInfo("link.png"), tarfile.TarInfo("device.png")
    link.type, link.linkname, device.type = tarfile.SYMTYPE, "/etc/passwd", tarfile.CHRTYPE
    odd = {"../up.png": encoded(5), "/root.png": encoded(6), "a\x1b[31m.png": encoded(7), ".hidden.png": encoded(8)}
    shard(tmp_path / "shards" / "0.tar", {**TWO, **odd}, others=[link, device])
    before = sorted(tmp_path.rglob("*"))
    assert list(captions(scan("webdataset", tmp_path))) == ["0/a.png", "0/sub/b.jpg"]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("members", "code", "said"), [
    ({"a.png": encoded(1), "a.jpg": encoded(2, "JPEG")}, "E-DATA-PACKED", "several images: jpg, png"),
    ({"a.png": encoded(1)[:-9]}, "E-IMG", ""),
    ({"a.png": encoded(1), "a.txt": b"\xff\xfe\xfd"}, "E-CAP-ENCODING", "cannot be read"),
    ({"a.png": encoded(1), "a.txt": b"x" * 70_000}, "E-CAP-SIZE", "larger than"),
])  # fmt: skip
def test_a_sample_that_is_odd_is_told(tmp_path: Path, members: dict[str, bytes], code: str, said: str) -> None:
    """By its key."""
    shard(tmp_path / "shards" / "0.tar", members)
    [problem] = [one for one in scan("webdataset", tmp_path).problems if one.severity == "error"]
    assert problem.code.startswith(code)
    assert said in problem.message
    assert "a" in problem.path


@pytest.mark.parametrize("keep", [10, 700, 1024, 1500, 2048, 2700, 3072])
@pytest.mark.parametrize("rest", [b"", b"rubbish" * 200])
def test_half_a_tar_file_is_told(tmp_path: Path, keep: int, rest: bytes) -> None:
    """What was whole in it is never trained on in silence, wherever it was cut."""
    path = shard(tmp_path / "shards" / "0.tar", TWO)
    path.write_bytes(path.read_bytes()[:keep] + rest)
    assert [problem.code for problem in scan("webdataset", tmp_path).problems if problem.severity == "error"]


def test_a_name_twice_is_told(tmp_path: Path) -> None:
    """Two shards of one name in a file and a folder cannot be; the same member in two forms of Unicode can."""
    shard(tmp_path / "shards" / "0.tar", {"\u00e9.png": encoded(1), "e\u0301.png": encoded(2)})
    assert [problem.code for problem in scan("webdataset", tmp_path).problems if problem.severity == "error"] == ["E-DATA-COLLIDE"]


def test_a_file_that_changed_is_not_read_again(tmp_path: Path) -> None:
    """The bytes are those that were looked at, or none."""
    path = shard(tmp_path / "shards" / "0.tar", TWO)
    found = scan("webdataset", tmp_path)
    shard(path, {**TWO, "a.png": encoded(9)})
    with pytest.raises(SpecError, match="is not what was looked at"):
        found.samples[0].read()


@pytest.mark.parametrize("use", ["webdataset", "parquet"])
def test_no_file_is_said(tmp_path: Path, use: str) -> None:
    """With where to get it."""
    with pytest.raises(EnvironmentMissing, match="holds no") as caught:
        scan(use, tmp_path, get="https://example.org/files")
    assert caught.value.hint == "https://example.org/files"


# -- Parquet -------------------------------------------------------------------------------------------------------------


def test_rows_are_images(tmp_path: Path) -> None:
    """Bytes, or what ``datasets`` writes: a struct of bytes and path; keys are file and row."""
    rows = [{"bytes": encoded(seed), "path": None} for seed in range(1, 4)]
    table(tmp_path / "shards" / "b.parquet", {"image": rows, "text": ["a man", "  a dog ", "a cat"], "more": [1, 2, 3]})
    table(tmp_path / "shards" / "a.parquet", {"image": [encoded(4)], "text": ["a cow"]})
    found = scan("parquet", tmp_path)
    assert captions(found) == {"a/0": "a cow", "b/0": "a man", "b/1": "a dog", "b/2": "a cat"}
    assert [sample.read() for sample in found.samples] == [encoded(4), encoded(1), encoded(2), encoded(3)]


def test_it_reads_what_datasets_writes(tmp_path: Path) -> None:
    """The library's own file, not ours."""
    datasets = pytest.importorskip("datasets")
    pictures = [Image.open(io.BytesIO(encoded(seed))) for seed in (1, 2)]
    features = datasets.Features({"image": datasets.Image(), "caption": datasets.Value("string")})
    made = datasets.Dataset.from_dict({"image": pictures, "caption": ["a man", "a dog"]}, features=features)
    (tmp_path / "shards").mkdir()
    made.to_parquet(str(tmp_path / "shards" / "train.parquet"))
    found = scan("parquet", tmp_path, text_column="caption")
    assert captions(found) == {"train/0": "a man", "train/1": "a dog"}
    assert told(found) == []


@pytest.mark.parametrize(("columns", "said"), [
    ({"picture": [encoded(1)], "text": ["a"]}, "has no column 'image'"), ({"image": [encoded(1)], "txt": ["a"]}, "has no column 'text'"),
    ({"image": ["no bytes"], "text": ["a"]}, "holds no bytes of an image"), ({"image": [b"no image"], "text": ["a"]}, ""),
    ({"image": [None], "text": ["a"]}, "holds no bytes of an image"),
])  # fmt: skip
def test_tables_that_are_odd_are_told(tmp_path: Path, columns: dict[str, list[Any]], said: str) -> None:
    """By file and column, or by row."""
    table(tmp_path / "shards" / "a.parquet", columns)
    [(_, message)] = told(scan("parquet", tmp_path))
    assert said in message


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no table at all" * 9, None])
def test_damaged_files_are_told(tmp_path: Path, data: bytes | None) -> None:
    """Empty, cut, of another kind."""
    path = table(tmp_path / "shards" / "a.parquet", {"image": [encoded(1)], "text": ["a"]})
    path.write_bytes(path.read_bytes()[:-30] if data is None else data)
    [problem] = scan("parquet", tmp_path).problems
    assert problem.code == "E-DATA-PACKED"
