"""New files are added to what is there: the result is a full ingest's, to the byte."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from data.contracts import TABLE
from data.ingest import bucket_of, ingest
from data.source import Source, SourceError, Text

EVENT = (
    "event_id, version AS record_version, customer AS customer_id, moment AS event_at,"
    " moment AS known_at"
)
READ = (
    "read_csv('{root}/%s-*.csv', types = {'event_id': 'VARCHAR', 'customer': 'VARCHAR',"
    " 'ticket': 'VARCHAR', 'moment': 'TIMESTAMPTZ', 'amount': 'DOUBLE', 'version': 'BIGINT'})"
)
SELECTS = {
    "customers": f"SELECT {EVENT}, moment AS signup_at FROM {READ % 'customers'}",
    "orders": f"SELECT {EVENT}, event_id AS order_id, 'placed' AS status, amount,"
    f" if(amount = 3, 'test order', NULL) AS _reject FROM {READ % 'orders'}",
    "tickets": f"SELECT {EVENT}, ticket AS ticket_id, 'mail' AS channel FROM {READ % 'tickets'}",
    "messages": f"SELECT {EVENT}, ticket AS ticket_id, 'agent' AS author FROM {READ % 'messages'}",
}
COLUMNS = "event_id,version,customer,ticket,moment,amount"


def make(folder: Path, **more: Any) -> Source:
    folder.mkdir(parents=True, exist_ok=True)
    for table, sql in SELECTS.items():
        (folder / f"{table}.sql").write_text(sql, encoding="utf-8")
    return Source(
        folder=folder,
        name="shop",
        description=Text(en="A shop", ja="店"),
        timezone="UTC",
        currency="JPY",
        root=str(folder.parent / "files"),
        first_as_of=date(2024, 1, 5),
        last_as_of=date(2024, 1, 20),
        observed_until=date(2024, 2, 1),
        max_quarantined=dict.fromkeys(TABLE, 1.0),
        **{"append_only": True, **more},
    )


def write_day(root: Path, day: int, rows: dict[str, list[str]]) -> None:
    for table, lines in rows.items():
        text = "\n".join([COLUMNS, *lines]) + "\n"
        (root / f"{table}-{day}.csv").write_text(text, encoding="utf-8")


def outputs(folder: Path) -> dict[str, bytes]:
    found = [p for p in folder.rglob("*") if p.is_file()]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(found)}


def run(source: Source, root: Path, folder: Path) -> dict[str, Any]:
    return ingest(source, root, folder / "tables", folder / "aside", buckets=3)


# Few ids and times, so that rows meet: duplicates, orphans, versions, tickets of others.
customers = st.sampled_from(["a", "b", "c", "d", "e", "f"])
row = st.builds(
    "{0},{1},{2},{3},2024-01-{4:02d} 0{5}:00:00+00,{6}".format,
    st.sampled_from(["1", "2", "3", "4", "5", "6", "7"]),
    st.sampled_from([1, 1, 1, 2]),
    st.one_of(customers, st.just("")),
    st.sampled_from(["t1", "t2", "t3"]),
    st.sampled_from([2, 9, 31]),
    st.sampled_from([1, 5]),
    st.sampled_from(["1.5", "2", "3", "-4"]),
)
profile = st.builds(
    "{0},1,{0},t1,2024-01-{1:02d} 00:00:00+00,1".format, customers, st.sampled_from([1, 5, 10])
)
a_day = st.fixed_dictionaries(
    {"customers": st.lists(profile, min_size=1, max_size=2)},
    optional={
        name: st.lists(row, min_size=1, max_size=4) for name in SELECTS if name != "customers"
    },
)
first_day = st.fixed_dictionaries(
    {
        "customers": st.lists(profile, min_size=1, max_size=3),
        **{name: st.lists(row, min_size=1, max_size=4) for name in SELECTS if name != "customers"},
    }
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("increment")


@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # to shrink costs minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(days=st.tuples(first_day, a_day, a_day))
def test_day_by_day_gives_the_bytes_of_a_full_ingest(
    days: tuple[dict[str, list[str]], ...], place: Path
) -> None:
    shutil.rmtree(place)
    root = place / "files"
    root.mkdir(parents=True)
    source = make(place / "shop")
    for day, rows in enumerate(days):
        write_day(root, day, rows)
        step_by_step = run(source, root, place / "daily")
        if day == 0:
            continue
        whole = run(source, root, place / f"full-{day}")
        assert step_by_step == whole
        assert outputs(place / "daily") == outputs(place / f"full-{day}")


DAY_0 = {
    "customers": ["a,1,a,,2024-01-01 00:00:00+00,", "b,1,b,,2024-01-01 00:00:00+00,"],
    "orders": ["o1,1,a,,2024-01-03 00:00:00+00,5", "o2,1,z,,2024-01-03 00:00:00+00,6"],
    "tickets": ["t1,1,b,t1,2024-01-03 00:00:00+00,"],
    "messages": ["m1,1,b,t1,2024-01-04 00:00:00+00,"],
}


def test_only_the_buckets_of_new_rows_are_written_again(tmp_path: Path) -> None:
    root = tmp_path / "files"
    root.mkdir()
    source = make(tmp_path / "shop")
    write_day(root, 0, DAY_0)
    run(source, root, tmp_path)
    before = written_at(tmp_path / "tables")
    write_day(root, 1, {"orders": ["o3,1,a,,2024-01-05 00:00:00+00,7"]})
    contract = run(source, root, tmp_path)
    assert contract["tables"]["orders"]["read"] == 3
    after = written_at(tmp_path / "tables")
    again = {name for name in after if name.endswith(".parquet") and after[name] != before[name]}
    assert again == {f"{table}/bucket={bucket_of('a', 3):03d}.parquet" for table in SELECTS}


def written_at(folder: Path) -> dict[str, int]:
    return {p.relative_to(folder).as_posix(): p.stat().st_mtime_ns for p in folder.rglob("*.*")}


def test_an_orphan_comes_home_when_its_customer_arrives_late(tmp_path: Path) -> None:
    root = tmp_path / "files"
    root.mkdir()
    source = make(tmp_path / "shop")
    write_day(root, 0, DAY_0)
    assert run(source, root, tmp_path)["tables"]["orders"]["reasons"] == {"customer unknown": 1}
    write_day(root, 1, {"customers": ["z,1,z,,2024-01-02 00:00:00+00,"]})
    facts = run(source, root, tmp_path)["tables"]["orders"]
    assert (facts["kept"], facts["quarantined"]) == (2, 0)


@pytest.mark.parametrize("what", ["file changed", "file gone", "SELECT changed"])
def test_everything_is_read_again_when_the_promise_is_broken(what: str, tmp_path: Path) -> None:
    root = tmp_path / "files"
    root.mkdir()
    source = make(tmp_path / "shop")
    write_day(root, 0, DAY_0)
    write_day(root, 1, {"orders": ["o3,1,b,,2024-01-05 00:00:00+00,7"]})
    run(source, root, tmp_path)
    if what == "file changed":
        write_day(root, 1, {"orders": ["o3,1,b,,2024-01-05 00:00:00+00,8"]})
    elif what == "file gone":
        (root / "orders-1.csv").unlink()
    else:
        sql = SELECTS["orders"].replace("amount,", "amount * 2 AS amount,")
        (tmp_path / "shop/orders.sql").write_text(sql, encoding="utf-8")
    run(source, root, tmp_path)
    run(source, root, tmp_path / "full")
    assert outputs(tmp_path / "tables") == outputs(tmp_path / "full/tables")


def test_a_select_over_two_files_cannot_be_read_file_by_file(tmp_path: Path) -> None:
    root = tmp_path / "files"
    root.mkdir()
    source = make(tmp_path / "shop")
    write_day(root, 0, DAY_0)
    two = SELECTS["orders"] + f" WHERE customer IN (SELECT customer FROM {READ % 'customers'})"
    (tmp_path / "shop/orders.sql").write_text(two, encoding="utf-8")
    with pytest.raises(SourceError, match=r"orders\.sql: with append_only each SELECT reads one"):
        run(source, root, tmp_path)
