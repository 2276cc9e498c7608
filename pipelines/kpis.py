"""Stage `kpis`: the support KPIs by month, channel, segment and language, and the claims check."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from operator import itemgetter
from typing import Any

import pandas as pd

from data import source
from features import kpis
from features.kpis import ACCOUNTING, KPIS, MIN_GROUP, MISSING, Counted, Kpi
from models import claims, intervals
from models.intervals import Sums
from pipelines import engine, load, params, paths, stage

COLUMNS = ["panel", "kpi", "dimension", "value_of", "n", "value", "low", "high"]


def main() -> None:
    """Write artifacts/kpis: kpis.csv, claims.json and summary.json."""
    settings = params.load()
    contract = stage.read_json(paths.CONTRACT)
    chosen = source.load(settings.source.name)
    days = load.summary()["as_of"]
    as_of = load.as_of_times(days, chosen.timezone)[-1].to_pydatetime()
    # In a snapshot nothing has a time.
    tables = [] if chosen.snapshot else [*contract["tables"], "labels"]
    wanted = kpis.supported(tables)
    stage.say(f"kpis: {len(wanted)} of {len(KPIS)} KPIs as of {days[-1]}")
    work = partial(
        kpis.visit_bucket,
        folder=paths.TABLES,
        labels=paths.FEATURES,
        tables=tables,
        time_zone=chosen.timezone,
        calendar=chosen.calendar,
        as_of=as_of,
    )
    visited = sorted(engine.each_bucket(work, settings.source.buckets), key=itemgetter(0))
    counted = kpis.together(counts for _, counts, _ in visited)
    table = pd.concat([figures(counted, wanted), accounting(contract)])
    table = ordered(table)
    with stage.fresh_folder(paths.KPIS) as out:
        stage.write_text(out / "kpis.csv", table.to_csv(index=False, float_format="%.6g"))
        stage.write_json(out / "claims.json", claims.check(claim_rows(visited)))
        stage.write_json(out / "summary.json", summary(table, tables, days[-1]))


def claim_rows(
    visited: Iterable[tuple[int, Counted, dict[str, pd.DataFrame]]],
) -> dict[str, pd.DataFrame]:
    """The rows of all buckets by table, and the factor families of the churn model."""
    parts: dict[str, list[pd.DataFrame]] = {}
    for _, _, found in visited:
        for name, rows in found.items():
            parts.setdefault(name, []).append(rows)
    tables = {name: pd.concat(rows, ignore_index=True) for name, rows in parts.items()}
    folder = paths.EXPLANATION / "churn"
    if (folder / "families.csv").exists():
        families = pd.read_csv(folder / "families.csv")
        families.attrs["n"] = stage.read_json(folder / "summary.json")["rows"]
        tables["families"] = families
    return tables


def figures(counted: Counted, wanted: tuple[Kpi, ...]) -> pd.DataFrame:
    """One row per KPI and place, COLUMNS. Groups below MIN_GROUP have a number and no value.

    What never happened anywhere was most likely not recorded: it is left out.
    """
    total = counted.sums.groupby("kpi")["s"].sum()
    happened = set(total.index[total != 0])
    durations = dict(iter(counted.durations.groupby(kpis.PLACE, sort=False)))
    by_key = {kpi.key: kpi for kpi in wanted}
    out = []
    for row in counted.sums.to_dict("records"):
        kpi = by_key[row["kpi"]]
        if not (kpi.key in happened or kpis.is_duration(kpi)):
            continue
        sums = Sums(*(float(row[name]) for name in kpis.SUMS))
        place = (kpi.key, row["dimension"], row["value_of"])
        curve = (kpis.curve(kpi), *place[1:]) if kpis.is_duration(kpi) else place
        value, low, high = _figure(kpi, sums, durations.get(curve))
        if sums.n < MIN_GROUP and kpi.stat != "count":
            value = low = high = float("nan")
        out.append((kpi.panel, *place, int(sums.n), value, low, high))
    return pd.DataFrame(out, columns=COLUMNS)


def _figure(kpi: Kpi, sums: Sums, durations: pd.DataFrame | None) -> intervals.Interval:
    if kpi.stat == "count":
        return sums.s, float("nan"), float("nan")
    if kpi.stat == "share":
        return intervals.share(sums)
    if kpi.stat == "ratio":
        return intervals.ratio(sums)
    assert durations is not None
    curve = intervals.survival(
        durations["hours"],
        durations["seen"],
        durations["number"],
        design_effect=sums.design_effect,
    )
    return curve.median() if kpi.stat == "median" else curve.ended_within(kpi.hours)


def accounting(contract: dict[str, Any]) -> pd.DataFrame:
    """The KPIs of data quality, by table and over all: they are counts, without intervals."""
    nan = float("nan")
    tables = contract["tables"]
    read = sum(table["read"] for table in tables.values())
    out = []
    for kpi in (kpi for kpi in KPIS if kpi.relation == ACCOUNTING):
        for name, table in tables.items():
            value = table[kpi.value]
            if value is not None and table["read"]:
                value = value / table["read"] if kpi.stat == "share" else value
                out.append((kpi.panel, kpi.key, "table", name, table["read"], value, nan, nan))
        found = [table[kpi.value] for table in tables.values() if table[kpi.value] is not None]
        if found and read:
            value = sum(found) / read if kpi.stat == "share" else max(found)
            out.append((kpi.panel, kpi.key, "all", "", read, value, nan, nan))
    return pd.DataFrame(out, columns=COLUMNS)


def ordered(table: pd.DataFrame) -> pd.DataFrame:
    """By KPI as declared, then dimension and what it is the value of."""
    rank = {kpi.key: i for i, kpi in enumerate(KPIS)}
    return (
        table.assign(rank=table["kpi"].map(rank))
        .sort_values(["rank", "dimension", "value_of"], kind="stable")
        .drop(columns="rank")
        .reset_index(drop=True)
    )


def summary(table: pd.DataFrame, tables: list[str], day: str) -> dict[str, Any]:
    """What there is by panel, and what there is not and why."""
    present = set(table["kpi"])
    panels: dict[str, list[str]] = {}
    absent = [{"kpi": kpi.key, "panel": kpi.panel, "en": kpi.en, "ja": kpi.ja} for kpi in MISSING]
    for kpi in KPIS:
        if kpi.key in present:
            panels.setdefault(kpi.panel, []).append(kpi.key)
        else:
            en, ja = kpis.why_absent(kpi, tables)
            absent.append({"kpi": kpi.key, "panel": kpi.panel, "en": en, "ja": ja})
    return {
        "as_of": day,
        "days": kpis.YEAR_DAYS,
        "recent_days": kpis.RECENT_DAYS,
        "min_n": MIN_GROUP,
        "panels": panels,
        "absent": absent,
    }
