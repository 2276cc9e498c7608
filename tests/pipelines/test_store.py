from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import InputError
from pipelines.store import Store


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with two buckets of one table."""
    folder = tmp_path / "run"
    (folder / "tables" / "orders").mkdir(parents=True)
    (folder / "contract.json").write_text('{"source": "world"}', encoding="utf-8")
    for bucket in range(2):
        path = folder / "tables" / "orders" / f"bucket={bucket:03d}.parquet"
        path.write_bytes(b"bucket %d" % bucket)
    return folder


def test_a_local_store_hands_out_its_own_folder(run: Path) -> None:
    with Store(str(run)).bucket(["tables/orders"], 1) as folder:
        assert folder == run


def test_a_remote_store_hands_out_a_copy_of_one_bucket_and_removes_it(run: Path) -> None:
    with Store(run.as_uri()).bucket(["tables/orders"], 1) as folder:
        files = [path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")]
        assert files == ["tables/orders/bucket=001.parquet"]
        assert (folder / files[0]).read_bytes() == b"bucket 1"
    assert not folder.exists()


@pytest.mark.parametrize("as_uri", [False, True])
def test_results_and_json_are_where_they_were_put(run: Path, as_uri: bool) -> None:
    store = Store(run.as_uri() if as_uri else str(run))
    result = run.parent / "result"
    result.write_bytes(b"features")
    store.put(result, "features/bucket=000.parquet")
    assert (run / "features" / "bucket=000.parquet").read_bytes() == b"features"
    assert store.read_json("contract.json") == {"source": "world"}


def test_what_is_missing_is_named_with_the_cure(run: Path) -> None:
    store = Store(run.as_uri())
    with (
        pytest.raises(InputError, match=r"orders/bucket=007.parquet does not exist; copy"),
        store.bucket(["tables/orders"], 7),
    ):
        pass
    with pytest.raises(InputError, match=r"summary.json does not exist; copy"):
        store.read_json("summary.json")


def test_an_address_nobody_understands_is_refused() -> None:
    with pytest.raises(InputError, match=r"'ftp3://x/y' is not a folder or a URI such as s3://"):
        Store("ftp3://x/y").read_json("contract.json")
