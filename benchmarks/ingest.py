"""What ingest costs next to DuckDB's own COPY of the same files to Parquet.

    python -m benchmarks.ingest [--rows 5000000] [--buckets 8]

Writes CSV files of customers, tickets and orders (a tenth as many customers; one ticket in a
thousand twice, one order in two thousand of an unknown customer), then runs, each in a process of
its own and in turns: COPY of every file to Parquet with the same compression, and a whole ingest
with its contract, accounting, duplicates, references, sorting and buckets. The result goes to
benchmarks/results/ingest.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from data.ingest import ingest
from data.source import load

RESULTS = Path(__file__).parent / "results" / "ingest.md"
ROUNDS = 2

YAML = """\
name: shop
description: {en: A large shop, ja: 大きな店}
timezone: Asia/Tokyo
currency: JPY
root: ${RETENTION_DATASETS}
first_as_of: "2021-03-01"
last_as_of: "2022-06-01"
observed_until: "2023-01-01"
"""
SELECTS = {
    "customers": """
SELECT customer_id AS event_id, customer_id, signed_up AT TIME ZONE 'Asia/Tokyo' AS event_at,
       event_at AS known_at, event_at AS signup_at, language
FROM read_csv('{root}/customers.csv')
""",
    "tickets": """
SELECT ticket_no AS event_id, ticket_no AS ticket_id, customer_id,
       opened AT TIME ZONE 'Asia/Tokyo' AS event_at,
       synced AT TIME ZONE 'Asia/Tokyo' AS known_at,
       channel, topic, severity, language, product AS product_id
FROM read_csv('{root}/tickets.csv')
""",
    "orders": """
SELECT order_no AS event_id, order_no AS order_id, customer_id,
       ordered AT TIME ZONE 'Asia/Tokyo' AS event_at,
       synced AT TIME ZONE 'Asia/Tokyo' AS known_at,
       'placed' AS status, amount, items AS item_count, category, product AS product_id
FROM read_csv('{root}/orders.csv')
""",
}


def generate(folder: Path, rows: int) -> None:
    """Write the three CSV files and the source that reads them."""
    import duckdb

    customers = rows // 10

    def moment(salt: int) -> str:
        return f"TIMESTAMP '2020-01-02' + to_seconds((hash(i + {salt}) % 94608000)::BIGINT)"

    ticket = (
        f"SELECT 't' || i AS ticket_no, 'c' || (hash(i) % {customers}) AS customer_id,"
        f" {moment(7)} AS opened, opened + INTERVAL 1 HOUR AS synced,"
        " ['mail', 'phone', 'chat', 'web'][1 + i % 4] AS channel,"
        " ['billing', 'delivery', 'returns', 'product', 'account'][1 + i % 5] AS topic,"
        " 1 + i % 3 AS severity, ['ja', 'en'][1 + i % 2] AS language, 'p' || (i % 997) AS product"
    )
    files = {
        "customers": f"SELECT 'c' || i AS customer_id, TIMESTAMP '2018-01-01' +"
        " to_seconds((hash(i) % 63072000)::BIGINT) AS signed_up,"
        f" ['ja', 'en', 'de'][1 + i % 3] AS language FROM range({customers}) AS r(i)",
        "tickets": f"{ticket} FROM range({rows}) AS r(i) UNION ALL"
        f" {ticket} FROM range({rows // 1000}) AS r(i)",
        "orders": f"SELECT 'o' || i AS order_no, 'c' || if(i % 2000 = 0, {customers} + i,"
        f" hash(i + 3) % {customers}) AS customer_id, {moment(9)} AS ordered,"
        " ordered + INTERVAL 1 HOUR AS synced, round((hash(i + 1) % 20000) / 7, 2) AS amount,"
        " i % 9 AS items, ['home', 'toys', 'food', 'books', 'garden'][1 + i % 5] AS category,"
        f" 'p' || (hash(i) % 997) AS product FROM range({rows}) AS r(i)",
    }
    home = folder / "sources" / "shop"
    home.mkdir(parents=True)
    (home / "source.yaml").write_text(YAML, encoding="utf-8")
    with duckdb.connect(config={"memory_limit": "1GB", "temp_directory": str(folder)}) as con:
        for name, sql in files.items():
            con.execute(f"COPY ({sql}) TO '{folder}/{name}.csv' (HEADER)")
            (home / f"{name}.sql").write_text(SELECTS[name], encoding="utf-8")


def copy(folder: Path) -> dict[str, int]:
    """DuckDB's COPY of every file as it is; returns rows per file."""
    import duckdb

    counts = {}
    with duckdb.connect() as con:
        for name in SELECTS:
            row = con.execute(
                f"COPY (FROM read_csv('{folder}/{name}.csv')) TO '{folder}/{name}.parquet'"
                " (FORMAT parquet, COMPRESSION zstd)"
            ).fetchone()
            counts[name] = row[0] if row else 0
    return counts


def whole(folder: Path, buckets: int) -> dict[str, int]:
    """Our ingest; returns rows kept per table."""
    source = load("shop", folder / "sources")
    contract = ingest(
        source, folder, folder / "out/tables", folder / "out/quarantine", buckets=buckets
    )
    return {name: facts["kept"] for name, facts in contract["tables"].items()}


def measure(folder: Path, what: str, buckets: int) -> dict[str, float]:
    """Run one contender in its own process: wall and CPU seconds, peak memory in GB."""
    command = [sys.executable, "-m", "benchmarks.ingest", "--run", what, "--folder", str(folder)]
    done = subprocess.run(
        [*command, "--buckets", str(buckets)], check=True, capture_output=True, text=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run(what: str, folder: Path, buckets: int) -> None:
    """One contender, in this process; prints what it cost as JSON."""
    began = time.monotonic()
    counts = copy(folder) if what == "COPY" else whole(folder, buckets)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cost = {
        "wall": time.monotonic() - began,
        "cpu": used.ru_utime + used.ru_stime,
        "gigabytes": used.ru_maxrss / 1e6,
        "rows": sum(counts.values()),
    }
    sys.stdout.write(json.dumps(cost) + "\n")


def main() -> None:
    """Generate, measure in turns, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--buckets", type=int, default=8)
    parser.add_argument("--run", choices=("COPY", "ingest"))
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.run:
        run(given.run, given.folder, given.buckets)
        return
    with tempfile.TemporaryDirectory(prefix="retention-bench-") as name:
        folder = Path(name)
        generate(folder, given.rows)
        size = sum(path.stat().st_size for path in folder.glob("*.csv")) / 1e9
        costs: dict[str, list[dict[str, float]]] = {"COPY": [], "ingest": []}
        for _ in range(ROUNDS):
            for what, found in costs.items():
                found.append(measure(folder, what, given.buckets))
    RESULTS.write_text(report(costs, given.rows, given.buckets, size), encoding="utf-8")
    sys.stdout.write(RESULTS.read_text(encoding="utf-8"))


def report(
    costs: dict[str, list[dict[str, float]]], rows: int, buckets: int, gigabytes: float
) -> str:
    """The result as Markdown: per contender the round with the fewest CPU seconds."""
    best = {what: min(found, key=lambda cost: cost["cpu"]) for what, found in costs.items()}
    lines = [
        "# Ingest next to COPY",
        "",
        f"`python -m benchmarks.ingest --rows {rows} --buckets {buckets}`:"
        f" {rows:,} tickets, {rows:,} orders, {rows // 10:,} customers, {gigabytes:.2f} GB of CSV;"
        f" DuckDB {version('duckdb')}, Python {platform.python_version()}, {os.cpu_count()} cores.",
        f"Best of {ROUNDS} rounds in turns. Wall time includes whatever else ran on the machine.",
        "",
        "| | CPU seconds | wall seconds | peak GB | rows |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {what} | {cost['cpu']:.1f} | {cost['wall']:.1f} | {cost['gigabytes']:.2f}"
        f" | {cost['rows']:,.0f} |"
        for what, cost in best.items()
    ]
    cpu, wall = (best["COPY"][kind] / best["ingest"][kind] for kind in ("cpu", "wall"))
    lines += ["", f"Ingest runs at {cpu:.2f} of COPY's speed by CPU, {wall:.2f} by wall time.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
