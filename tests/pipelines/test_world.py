"""`retention world`: a world in a folder of one's own, all or nothing."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data.errors import InputError
from pipelines import world


@pytest.fixture(autouse=True)
def one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_WORKERS", "1")


def test_it_writes_every_table_and_says_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.main(20, 1, 3, "tiny", tmp_path / "out")
    assert pq.read_table(tmp_path / "out" / "customers").num_rows >= 20
    assert "world tiny: 20 of 20 customers" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_earlier_world_is_replaced_and_anything_else_is_not(tmp_path: Path) -> None:
    world.main(20, 1, 3, "tiny", tmp_path / "out")
    world.main(10, 1, 3, "tiny", tmp_path / "out")
    names = pq.read_table(tmp_path / "out" / "customers")["customer_id"].to_pylist()
    assert "C0000010" in names and "C0000011" not in names
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"out exists and is not a world"):
        world.main(10, 1, 3, "tiny", tmp_path / "out")
    assert (tmp_path / "out" / "thesis.txt").exists()


def test_a_world_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown world 'W9'"):
        world.main(10, 1, 3, "W9", tmp_path / "out")
    with pytest.raises(InputError, match="--months 0"):
        world.main(10, 0, 3, "W1", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
