"""The data source ``huggingface``: what ``datasets`` loads from folders of the hub's layout, and what the hub answers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from guide.data.fetching import Work, encoded
from huggingface_hub.errors import GatedRepoError

from loraspec.errors import EnvironmentMissing, SpecError
from loraspec.testing import DataSourceSuite

datasets = pytest.importorskip("datasets")
NotThere = datasets.exceptions.DatasetNotFoundError
RESPONSE: Any = SimpleNamespace(headers={}, request=None)  # what the client says of an answer


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's cache is never the user's own, and it shows no bars."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
    datasets.disable_progress_bars()


def parquet(folder: Path, rows: dict[str, list[Any]], name: str = "train-00000-of-00001") -> None:
    """Write a data set of Parquet files, as the hub has them."""
    import pyarrow
    from pyarrow import parquet

    (folder / "data").mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(rows), folder / "data" / f"{name}.parquet")


def pictures(folder: Path) -> None:
    """Write a data set of images and a metadata file."""
    folder.mkdir(parents=True)
    rows = []
    for number in range(3):
        (folder / f"{number}.png").write_bytes(encoded(number, kind="PNG"))
        rows.append({"file_name": f"{number}.png", "text": f"picture {number}"})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


class TestHuggingFace(DataSourceSuite):
    """``huggingface`` keeps the contract, once fetched."""

    use = "guide:huggingface"

    def prepare(self, folder: Path) -> dict[str, Any]:
        """Fetch a folder of images."""
        pictures(folder / "set")
        options = {"repo": "./set", "rights": "licensed", "credits": "Nobody"}
        assert [one.state for one in Work("huggingface", folder, **options).fetch()] == ["fetched"] * 3
        return {"path": "images", **options}


def test_folders_of_images(tmp_path: Path) -> None:
    """The bytes are the files' own, captions stand beside them."""
    pictures(tmp_path / "set")
    work = Work("huggingface", tmp_path, repo="./set", rights="own")
    work.fetch()
    found = work.scan().samples
    assert [(one.key, one.caption) for one in found] == [(f"set-{number}.png", f"picture {number}") for number in range(3)]
    assert [one.read() for one in found] == [encoded(number, kind="PNG") for number in range(3)]


def test_parquet_with_columns_of_other_names(tmp_path: Path) -> None:
    """A split, columns, a limit; captions of several lines become one."""
    rows = {"picture": [{"bytes": encoded(number), "path": None} for number in range(3)], "caption": ["a\nb", None, "c"]}
    parquet(tmp_path / "set", rows)
    parquet(tmp_path / "set", {"picture": rows["picture"][:1], "caption": ["other"]}, "test-00000-of-00001")
    features = datasets.Features({"picture": datasets.Image(), "caption": datasets.Value("string")})
    loaded = datasets.load_dataset(str(tmp_path / "set"), split="train").cast(features)
    loaded.to_parquet(str(tmp_path / "set" / "data" / "train-00000-of-00001.parquet"))
    options: dict[str, Any] = {"repo": "./set", "image_column": "picture", "text_column": "caption", "rights": "own"}
    work = Work("huggingface", tmp_path, limit=2, **options)
    assert [one.state for one in work.fetch()] == ["fetched"] * 2
    assert [(one.key, one.caption) for one in work.scan().samples] == [("set-0.jpg", "a b"), ("set-1.jpg", None)]
    other = Work("huggingface", tmp_path, **{**options, "path": "others", "split": "test"})
    other.fetch()
    assert [one.caption for one in other.scan().samples] == ["other"]


@pytest.mark.parametrize(("options", "where", "said"), [
    ({"image_column": "picture"}, "image_column", "no column 'picture'"), ({"text_column": "txt"}, "text_column", "no column 'txt'"),
    ({"image_column": "text"}, "image_column", "holds no images"), ({"split": "validation"}, "split", "validation"),
])  # fmt: skip
def test_what_is_not_there_is_told(tmp_path: Path, options: dict[str, str], where: str, said: str) -> None:
    """At the option, with what there is."""
    pictures(tmp_path / "set")
    with pytest.raises(SpecError, match=said) as caught:
        Work("huggingface", tmp_path, repo="./set", **options).wanted()
    assert caught.value.problems[0].path == where


@pytest.mark.parametrize(("error", "code", "hint"), [
    (GatedRepoError("403 Client Error. Access to dataset a/b is restricted", response=RESPONSE), "E-FETCH-GATED", "accept its conditions"),
    (NotThere("Dataset 'a/b' is a gated dataset on the Hub."), "E-FETCH-GATED", "huggingface.co/datasets/a/b"),
    (NotThere("Dataset 'a/b' doesn't exist on the Hub"), "E-FETCH-HTTP", "hf auth login"),
    (ConnectionError("Couldn't reach 'a/b' on the Hub (OfflineModeIsEnabled)"), "E-FETCH-HTTP", "connection"),
])  # fmt: skip
def test_what_the_hub_answers_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Any, code: str, hint: str) -> None:
    """A gated data set says what its owner wants; what cannot be reached says so."""
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(EnvironmentMissing) as caught:
        Work("huggingface", tmp_path, repo="a/b").wanted()
    assert caught.value.code == code
    assert hint in str(caught.value.hint)


def test_rights_are_asked_for(tmp_path: Path) -> None:
    """A data set of the hub has none of its own that a program could know."""
    pictures(tmp_path / "set")
    work = Work("huggingface", tmp_path, repo="./set")
    work.fetch()
    assert {one.rights for one in work.scan().samples} == {""}
