"""What a ranked list costs, beside a straightforward script that gives the same numbers.

    python -m benchmarks.scoring [--customers 100000 1000000] [--sample 6000] [--write]

For each size an embedded company is made, checked and bucketed (not measured), and `retention
score` ranks its customers on the last day with the models in artifacts/models: facts, features,
probability, SHAP values, reasons and the lists of both tasks, in both languages. Its memory is the
most that all its processes held at once.

The script does the same for the customers of the first buckets of the largest company, in one
process: it takes the facts with the same SELECTs, then one pandas groupby per feature, LightGBM's
predict, shap.TreeExplainer and a loop over the customers for their reasons, and writes one CSV
file per task and no sentences. Its time for all customers is extrapolated from these. Every
probability, and the contribution of every reason, is compared with the lists'. It needs the
artifacts of `make repro`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from data import source
from features.aggregates import HALF_LIFE_DAYS, SHRINKAGE, Aggregate
from features.declare import Declared
from features.facts import connect, facts
from features.kernel import DAY_US
from features.labels import ELIGIBLE, TASKS, label
from features.streams import STREAM
from features.table import with_features
from features.tone import read_scores
from models.estimator import RetentionModel
from pipelines import featurize, load, params, paths, stage
from pipelines.store import Store

RESULTS = paths.ROOT / "benchmarks" / "results" / "scoring.md"
CUSTOMERS_PER_BUCKET = 3_000
PACKAGES = ("duckdb", "lightgbm", "numba", "numpy", "pandas", "pyarrow", "shap")
CODE = ("data", "features", "models", "pipelines", "reports", "benchmarks")
TOLERANCE = 1e-9


def project(root: Path, customers: int) -> Path:
    """A copy of the code whose embedded company has so many customers."""
    for name in CODE:
        # With what has been compiled: nobody is charged for that.
        shutil.copytree(paths.ROOT / name, root / name)
    values = yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8"))
    values["source"] |= {"name": "world", "buckets": -(-customers // CUSTOMERS_PER_BUCKET)}
    values["world"]["customers"] = customers
    (root / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return root


def run(root: Path, *arguments: str) -> dict[str, float]:
    """A command in a project: wall and CPU seconds, and the most memory of all its processes."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen([sys.executable, *arguments], cwd=root)
    peak = [0]
    watch = threading.Thread(target=_watch, args=[process, peak])
    watch.start()
    if process.wait():
        raise SystemExit(f"{' '.join(arguments)} failed in {root}")
    watch.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": time.monotonic() - began, "cpu": cpu, "gb": peak[0] / 1e6}


def _watch(process: subprocess.Popen[bytes], peak: list[int]) -> None:
    while process.poll() is None:
        peak[0] = max(peak[0], sum(map(_memory, _tree(process.pid))))
        time.sleep(0.2)


def _tree(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in _tree(int(child)))]


def _memory(pid: int) -> int:
    """Resident kilobytes; pages that several processes share count once in each."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def ours(scratch: Path, customers: int) -> tuple[Path, dict[str, float]]:
    """Make a company of this size and rank its customers; its folder, and what ranking cost."""
    root = project(scratch / f"company-{customers}", customers)
    for name in ("source", "ingest", "tone"):
        run(root, "-m", "pipelines.cli", name)
    # The models, and the feature table they learned from, are those of this project.
    for name in ("models", "features"):
        (root / "artifacts" / name).symlink_to(paths.ARTIFACTS / name)
    command = ("-m", "pipelines.cli", "score", "--store", str(root / "artifacts"))
    spent = run(root, *command, "--out", str(root / "lists"))
    counts = json.loads((root / "lists" / "run.json").read_text())["lists"]
    return root, spent | {"listed": sum(task["customers"] for task in counts.values())}


def script(root: Path, buckets: int, out: Path) -> None:
    """The straightforward script, on the first buckets of a company."""
    import shap

    settings = params.load(root / "params.yaml")
    store = Store(str(root / "artifacts"))
    chosen = source.load(settings.source.name)
    plan = featurize.make_plan(settings, chosen, store)
    at = plan["observed_until"]
    files = {
        Path(folder).name: [
            str(root / "artifacts" / folder / f"bucket={bucket:03d}.parquet")
            for bucket in range(buckets)
        ]
        for folder in plan["folders"]
    }
    began = time.process_time()
    tables = {name: f"read_parquet({parts})" for name, parts in files.items()}
    connection = connect(tables, plan["time_zone"], plan["calendar"], plan["products"])
    parts = [
        pd.read_parquet(root / "artifacts" / "tone" / f"bucket={bucket:03d}.parquet")
        for bucket in range(buckets)
    ]
    pd.concat(parts).to_parquet(out / "tone.parquet")
    read_scores(connection, out / "tone.parquet")
    rows = label(connection, [at], plan["outcomes"], at)
    statuses = [f"{task}_status" for task in TASKS]
    rows = rows[rows[statuses].isin(ELIGIBLE).any(axis=1)].reset_index(drop=True)
    columns, spent_on_facts = pandas_features(connection, rows, plan["wanted"], plan)
    others = [f for f in plan["wanted"] if not isinstance(f.source, Declared)]
    rest = with_features(connection, rows, others, plan["live_from"])
    table = pd.concat([rest, pd.DataFrame(columns, index=rows.index)], axis=1)
    featured = time.process_time()
    numbers = {}
    for task in TASKS:
        model = RetentionModel.load(paths.MODELS / task / paths.PRODUCTION)
        mine = table[table[f"{task}_status"].isin(ELIGIBLE)].reset_index(drop=True)
        X = model.encoder.transform(mine)
        explained = shap.TreeExplainer(model.booster).shap_values(X)
        values = model.calibrator.slope * np.asarray(explained).reshape(X.shape)
        margin = np.asarray(model.booster.predict(X, raw_score=True))
        probability = model.calibrator.predict(margin)
        meanings = load.catalog(settings)
        lines = []
        for number, customer in enumerate(mine["customer_id"]):
            families: dict[tuple[str, bool], float] = {}
            for name, value in zip(model.features, values[number], strict=True):
                key = (meanings[name].family, meanings[name].lever)
                families[key] = families.get(key, 0.0) + value
            lines.append(
                {"customer_id": customer, "probability": probability[number]}
                | {f"{family}|{lever}": value for (family, lever), value in families.items()}
            )
        risk = 1 if task == "churn" else -1
        ranked = pd.DataFrame(lines).sort_values(
            ["probability", "customer_id"], ascending=[risk == -1, True]
        )
        ranked.to_csv(out / f"{task}.csv", index=False)
        numbers[task] = len(ranked)
    done = time.process_time()
    spent = {
        "facts": spent_on_facts,
        "features": featured - began - spent_on_facts,
        "models": done - featured,
        "all": done - began,
        "listed": sum(numbers.values()),
    }
    (out / "spent.json").write_text(json.dumps(spent))


def pandas_features(
    connection: Any, rows: pd.DataFrame, wanted: Sequence[Any], plan: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], float]:
    """Every feature of a stream by one groupby; also the CPU seconds until the facts were there."""
    began = time.process_time()
    customers = rows["customer_id"].to_numpy(dtype=object)
    now = int(rows["as_of"].iloc[0].value // 1000)
    columns: dict[str, np.ndarray] = {}
    streams: dict[str, pd.DataFrame] = {}
    for name in sorted({f.stream for f in wanted if f.stream}):
        given = facts(connection, STREAM[name], customers)
        frame = pd.DataFrame(given.values, columns=list(given.columns))
        frame["customer"] = np.repeat(np.arange(len(customers)), np.diff(given.start))
        frame["moment"] = given.at
        seen = (given.known_from < now) & (now <= given.known_until) & (given.at < now)
        streams[name] = frame[seen]
    spent = time.process_time() - began
    for feature in wanted:
        if feature.stream is None:
            continue
        stream = STREAM[feature.stream]
        question, window = feature.question
        found = _answer(streams[feature.stream], question, window, now)
        answer = found.reindex(range(len(customers))).to_numpy(dtype=float, copy=True)
        if question.measure in ("count", "sum", "decayed") or question == Aggregate("trend"):
            answer = np.nan_to_num(answer)
        if stream.consent is not None:
            last = streams[feature.stream].dropna(subset=[stream.consent]).groupby("customer")
            refused = last[stream.consent].last().reindex(range(len(customers))) == 0
            answer[refused.to_numpy()] = np.nan
        begins = [plan["live_from"][t] for t in stream.needs if t in plan["live_from"]]
        if begins and now <= pd.Timestamp(max(begins)).value // 1000:
            answer[:] = np.nan
        columns[feature.name] = answer.astype(np.float32)
    return columns, spent


def _answer(frame: pd.DataFrame, question: Aggregate, window: int | None, now: int) -> pd.Series:
    """One aggregate per customer, NaN or absent where there is nothing to say."""
    column = question.column or "moment"
    known = frame.dropna(subset=[column])
    inside = known if window is None else known[known["moment"] >= now - window * DAY_US]
    groups = inside.groupby("customer")[column]
    match question.measure:
        case "count":
            return groups.count()
        case "sum" | "mean" | "min" | "max" | "std" | "last":
            return getattr(groups, question.measure)()
        case "geomean":
            logs = inside[column].clip(lower=0).map(np.log1p)
            return logs.groupby(inside["customer"]).mean().map(np.expm1)
        case "share":
            return (groups.sum() + SHRINKAGE * question.parameter) / (groups.count() + SHRINKAGE)
        case "quantile":
            return groups.quantile(question.parameter)
        case "distinct":
            return groups.nunique()
        case "days_since":
            return now / DAY_US - groups.last()
        case "days_until":
            return groups.last() - now / DAY_US
        case "days_since_last":
            return (now - groups.max()) / DAY_US
        case "days_since_first":
            return (now - groups.min()) / DAY_US
        case "mean_gap_days":
            gaps = groups.count() - 1
            return ((groups.max() - groups.min()) / DAY_US / gaps).where(gaps > 0)
        case "gap_days_std":
            gaps = groups.diff() / DAY_US
            return gaps.groupby(inside["customer"]).std()
        case "decayed":
            halved = 2.0 ** (-(now - inside["moment"]) / (HALF_LIFE_DAYS * DAY_US))
            weight = halved if question.column is None else halved * inside[column]
            return weight.groupby(inside["customer"]).sum()
        case "trend":
            assert window is not None
            edge = now - window * DAY_US
            before = known[(known["moment"] >= edge - window * DAY_US) & (known["moment"] < edge)]
            earlier = before.groupby("customer")[column]
            if question.column is None:
                return groups.count().sub(earlier.count(), fill_value=0)
            return groups.mean() - earlier.mean()
    raise AssertionError(question.measure)


def differences(lists: Path, out: Path) -> dict[str, float]:
    """How many listed rows were compared, how many differ, and by how much at most.

    A row differs where a sum that was rounded in another order lies on the other side of a split.
    Customers of whom too little is known have their segment's rate in the lists; they are left out.
    """
    rows, apart, probability, reason = 0, 0, 0.0, 0.0
    for task in TASKS:
        theirs = pd.read_csv(out / f"{task}.csv", dtype={"customer_id": str})
        theirs = theirs.set_index("customer_id")
        listed = pd.read_parquet(lists / task / "list.parquet").set_index("customer_id")
        listed = listed.loc[theirs.index]
        listed = listed[~listed["is_silent"].to_numpy(dtype=bool)]
        rows += len(listed)
        theirs = theirs.loc[listed.index]
        contributions: dict[Any, dict[Any, float]] = theirs.to_dict(orient="index")
        gaps = (listed["probability"] - theirs["probability"]).abs()
        for customer, reasons, gap in zip(listed.index, listed["reasons"], gaps, strict=True):
            worst = max(
                (
                    abs(one["contribution"] - contributions[customer][_family(one)])
                    for one in reasons
                ),
                default=0.0,
            )
            apart += worst > TOLERANCE or gap > TOLERANCE
            reason = max(reason, worst)
        probability = max(probability, float(gaps.max()))
    return {"rows": rows, "apart": apart, "probability": probability, "reason": reason}


def _family(reason: Mapping[str, Any]) -> str:
    return f"{reason['family']}|{reason['lever']}"


def report(arguments: argparse.Namespace, scratch: Path) -> str:
    """Run everything; the page."""
    lines = ["| customers | listed | wall s | CPU s | CPU ms per customer | peak GB |"]
    lines += ["|--:|--:|--:|--:|--:|--:|"]
    spent: dict[int, dict[str, float]] = {}
    root = scratch
    for customers in sorted(arguments.customers):
        root, cost = ours(scratch, customers)
        spent[customers] = cost
        lines.append(
            f"| {customers:,} | {cost['listed']:,.0f} | {cost['wall']:,.0f} | {cost['cpu']:,.0f} |"
            f" {1e3 * cost['cpu'] / customers:.2f} | {cost['gb']:.2f} |"
        )
    largest = max(spent)
    buckets = max(1, min(arguments.sample, largest) // CUSTOMERS_PER_BUCKET)
    out = scratch / "script"
    out.mkdir()
    command = ["-m", "benchmarks.scoring", "--script", str(root), str(buckets), str(out)]
    cost = run(paths.ROOT, *command)
    theirs = json.loads((out / "spent.json").read_text())
    found = differences(root / "lists", out)
    share = theirs["listed"] / spent[largest]["listed"]
    alone = theirs["all"] / share
    lines += [
        "",
        f"The script, on {theirs['listed']:,} of {spent[largest]['listed']:,.0f} listed rows:"
        f" {theirs['all']:.1f} CPU s ({theirs['facts']:.1f} for the facts, which it takes with the"
        f" same SELECTs, {theirs['features']:.1f} for the features, {theirs['models']:.1f} for"
        f" predictions, SHAP values and lists), {cost['gb']:.2f} GB.",
        f"Extrapolated to {largest:,} customers: {alone:,.0f} CPU s in one process,"
        f" {alone / spent[largest]['cpu']:.1f} times ours in CPU and"
        f" {alone / spent[largest]['wall']:.1f} times in wall time on {os.cpu_count()} cores.",
        f"{found['apart']} of {found['rows']:,} compared rows differ by more than {TOLERANCE:.0e}"
        f" (rounding at a split); at most {found['probability']:.0e} in a probability and"
        f" {found['reason']:.0e} log-odds in a reason.",
    ]
    if found["apart"] > found["rows"] / 1000:
        raise SystemExit("the script's numbers are not those of the lists:\n" + "\n".join(lines))
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    asked = " ".join(map(str, arguments.customers))
    head = [
        "# Scoring",
        "",
        f"`python -m benchmarks.scoring --customers {asked} --sample {arguments.sample}`",
        "",
        "Both models, reasons, ranking and the lists in both languages; both tasks' rows are"
        f" listed. {CUSTOMERS_PER_BUCKET:,} customers per bucket, {stage.workers()} workers.",
        "",
    ]
    foot = ["", f"Python {platform.python_version()}, {packages}; {os.cpu_count()} CPUs."]
    return "\n".join([*head, *lines, *foot]) + "\n"


def main() -> None:
    """Run the comparison, or the script alone."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring")
    parser.add_argument("--customers", type=int, nargs="+", default=[100_000])
    parser.add_argument("--sample", type=int, default=2 * CUSTOMERS_PER_BUCKET)
    parser.add_argument("--scratch", type=Path, help="where to work; needs 6 GB per million")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--script", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.script:
        root, buckets, out = asked.script
        script(Path(root), int(buckets), Path(out))
        return
    with tempfile.TemporaryDirectory(dir=asked.scratch, prefix="scoring-") as scratch:
        page = report(asked, Path(scratch))
    sys.stdout.write(page)
    if asked.write:
        RESULTS.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
