"""Stage `evaluate`: every test origin's model on its own later customers, against baselines."""

from __future__ import annotations

import re
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from scipy.special import logit

from features.catalog import STREAM, Feature
from features.labels import LABELLED
from models import evaluation, slices, value
from models.baselines import available_baselines
from models.btyd import BGNBD
from models.calibration import Platt
from models.estimator import RetentionModel
from models.splits import Origin
from models.value import Costs
from pipelines import load, params, paths, stage, tracking, train
from pipelines.params import Params


def main(task: str) -> None:
    """Write artifacts/evaluation/<task>: metrics.json and the curves as CSV."""
    settings = params.load()
    folder = paths.EVALUATION / task
    reason = load.skipped(paths.MODELS / task)
    with stage.fresh_folder(folder) as out:
        if reason is not None:
            stage.write_json(out / "metrics.json", {"skipped": reason}, ascii_only=True)
            # DVC draws these files, so they exist even when there is nothing to draw.
            for name, columns in _CURVES.items():
                stage.write_text(out / f"{name}.csv", ",".join(columns) + "\n")
            return
        stage.say(f"evaluate {task}: predicting the test dates")
        pooled = predictions(task, settings)
        stage.say(f"evaluate {task}: {len(pooled):,} rows, {settings.evaluate.resamples} resamples")
        metrics = _metrics(pooled, task, settings)
        metrics |= _compared(pooled, rivals(task, settings), settings)
        stage.write_json(out / "metrics.json", metrics, ascii_only=True)
        y, p, customers = (pooled[c].to_numpy() for c in ("y", "model", "customer_id"))
        # Gains, value and slices count customers at risk: for repeat purchase, not buying.
        at_risk = (y, p) if task == "churn" else (1 - y, 1 - p)
        resampled = {"resamples": settings.evaluate.resamples, "seed": settings.evaluate.seed}
        curves = {
            "reliability": evaluation.reliability(y, p, customers),
            "gains": evaluation.gains(*at_risk),
            "by_as_of": evaluation.by_as_of(y, p, customers, pooled["as_of"], **resampled),
            "profit": value.profit_curve(*at_risk, customers, costs(task, settings), **resampled),
            "slices": slices.slices(
                *at_risk,
                customers,
                pooled["as_of"],
                {
                    name.removeprefix(SLICE_PREFIX): pooled[name]
                    for name in ("as_of", *_dimensions(pooled))
                },
                capacity=settings.score.capacity_share,
            ),
        }
        for name, curve in curves.items():
            stage.write_text(out / f"{name}.csv", curve.to_csv(index=False))
    tracking.log_results(
        task,
        paths.MODELS / task / paths.PRODUCTION,
        settings,
        folder,
        "evaluation",
        metrics=_numbers(metrics),
        curves={"gains_by_percent_contacted": curves["gains"]["share_found"].tolist()},
    )


_CURVES = {
    "reliability": ("bin", "n", "predicted", "observed", "low", "high"),
    "gains": ("share_contacted", "share_found", "lift"),
    "by_as_of": (
        "as_of",
        "n",
        "positives",
        "base_rate",
        "auc",
        "auc_low",
        "auc_high",
        "log_loss",
    ),
    "profit": ("share_contacted", "profit", "low", "high", "random"),
    "slices": slices.COLUMNS,
}
SLICE_PREFIX = "slice_"
MEMORY_AUC = 0.02
"""A model that loses more AUC on customers it never saw recognises customers (METHODS D)."""
_TENURE_YEARS = (0.25, 1, 2)
_TENURE_NAMES = ("under 3 months", "3-12 months", "1-2 years", "2 years or more")


def costs(task: str, settings: Params) -> Costs:
    """What a contact costs and a kept customer is worth, as params.yaml says."""
    return Costs(**getattr(settings.value, task).model_dump())


def dimensions(rows: pd.DataFrame) -> pd.DataFrame:
    """What slices are made of, for rows of the feature table: columns "slice_<dimension>".

    Only what the source has. Attributes are those known on the as-of date.
    """
    found = {
        name: rows[column].astype(object)
        for name, column in (
            ("plan", "plan"),
            ("language", "language"),
            ("channel", "channel_pref"),
            ("region", "region"),
            ("segment", "segment"),
        )
        if column in rows
    }
    if "tenure_days" in rows:
        years = rows["tenure_days"] / 365.25
        band = np.searchsorted(_TENURE_YEARS, years.to_numpy(dtype=float), side="right")
        names = pd.Series(np.array(_TENURE_NAMES, dtype=object)[band], index=rows.index)
        found["tenure"] = names.where(years.notna())
    tickets = [name for name in map(str, rows) if re.fullmatch(r"ticket_count_\d+d", name)]
    if tickets:
        longest = max(tickets, key=lambda name: int(re.sub(r"\D", "", name)))
        counts = rows[longest]
        found["ticketed"] = (counts > 0).map({True: "yes", False: "no"}).where(counts.notna())
    return pd.DataFrame({f"{SLICE_PREFIX}{name}": part for name, part in found.items()})


def _dimensions(pooled: pd.DataFrame) -> list[str]:
    return [str(name) for name in pooled if str(name).startswith(SLICE_PREFIX)]


def predictions(task: str, settings: Params) -> pd.DataFrame:
    """Out-of-time predictions pooled over the test origins.

    Columns: customer_id, as_of (ISO date), y, "model" and one per baseline: P(y=1). Baselines are
    fitted on the model's training and calibration rows.
    """
    zone = load.summary()["time_zone"]
    rows = load.feature_rows(task)
    rows = rows[rows[f"{task}_status"] == LABELLED].reset_index(drop=True)
    parts = []
    for origin in train.origins(task, settings)[0]:
        fit, calibration, test = origin.rows(rows)
        day = load.day(origin.test, zone)
        held_out = rows.iloc[test]
        part = pd.DataFrame(
            {
                "customer_id": held_out["customer_id"],
                "as_of": day,
                "y": held_out[task].astype("float64"),
                "model": RetentionModel.load(paths.MODELS / task / f"origin-{day}").predict(
                    held_out
                ),
            }
        )
        if task == "repeat_purchase" and (paths.TABLES / "orders").exists():
            part["bg_nbd"] = _bg_nbd(task, rows, origin)
        baselines, _ = available_baselines(_rfm(settings), rows.columns)
        for name, baseline in baselines.items():
            known = np.concatenate([fit, calibration])
            fitted = baseline.fit(rows, rows[task].to_numpy(dtype=float), known)
            part[name] = fitted.predict(held_out)
        parts.append(pd.concat([part, dimensions(held_out)], axis=1))
    return pd.concat(parts, ignore_index=True)


def _bg_nbd(task: str, rows: pd.DataFrame, origin: Origin) -> np.ndarray:
    """P(y=1) of the test rows by BG/NBD, fitted on everybody who had ordered by the test date.

    It needs no label, so it learns until the test date itself; its level and slope are then
    calibrated like the model's, on the calibration dates. Rows without an order get the rate.
    """
    horizon = float(load.summary()["tasks"][task]["horizon_days"])
    cohort = order_histories(origin.test)
    model = BGNBD.fit(cohort["x"], cohort["t_x"], cohort["T"])

    def log_odds(positions: np.ndarray) -> np.ndarray:
        part = rows.iloc[positions][["customer_id", "as_of"]]
        found = np.full(len(part), np.nan)
        for as_of in part["as_of"].unique():
            inside = (part["as_of"] == as_of).to_numpy()
            known = order_histories(as_of).reindex(part.loc[inside, "customer_id"])
            has = known["x"].notna().to_numpy()
            x, t_x, age = (known[name].to_numpy()[has] for name in ("x", "t_x", "T"))
            p = model.probability_of_purchase(x, t_x, age, horizon)
            found[np.flatnonzero(inside)[has]] = logit(np.clip(p, 1e-9, 1 - 1e-9))
        return found

    _, calibration, test = origin.rows(rows)
    y = rows[task].to_numpy(dtype=np.float64)[calibration]
    earlier, now = log_odds(calibration), log_odds(test)
    usable = np.isfinite(earlier)
    calibrated = Platt.fit(earlier[usable], y[usable]).predict(now)
    return np.where(np.isfinite(now), calibrated, y.mean())


def order_histories(as_of: pd.Timestamp) -> pd.DataFrame:
    """Who had ordered, as known at `as_of`: x, t_x and T in days, indexed by customer_id.

    Days with an order that was not cancelled count, several orders on a day once.
    """
    files = sorted(str(path) for path in (paths.TABLES / "orders").glob("bucket=*.parquet"))
    with duckdb.connect() as connection:
        days = connection.execute(
            """
            WITH latest AS (
                SELECT *, row_number() OVER (
                    PARTITION BY event_id ORDER BY record_version DESC
                ) AS age
                FROM read_parquet($files) WHERE known_at < $as_of
            )
            SELECT customer_id, epoch(event_at)::BIGINT // 86400 AS day
            FROM latest
            WHERE age = 1 AND op <> 'delete' AND status <> 'cancelled' AND event_at < $as_of
            GROUP BY ALL
            """,
            {"files": files, "as_of": as_of.to_pydatetime()},
        ).df()
    found = days.groupby("customer_id")["day"].agg(["min", "max", "size"]).sort_index()
    today = int(as_of.timestamp()) // 86400
    return pd.DataFrame(
        {
            "x": found["size"] - 1,
            "t_x": found["max"] - found["min"],
            "T": np.maximum(today, found["max"]) - found["min"],
        }
    ).astype(np.float64)


def rivals(task: str, settings: Params) -> pd.DataFrame:
    """What two other models of the same kind say about the rows of `predictions`, in its order.

    "without_support": the same procedure without any feature that is read from a table of support,
    so what the model gains on it is the value of the support history; "without_levers": on context
    alone, which knows how much and how severe the contact was but not how it was handled. "unseen":
    trained without a fifth of the customers,
    on those alone (NaN on the others): a model that recognises customers does worse there.
    """
    rows = load.feature_rows(task)
    rows = rows[rows[f"{task}_status"] == LABELLED].reset_index(drop=True)
    wanted = load.catalog(settings)
    fewer = {
        "without_support": {k: f for k, f in wanted.items() if not is_support_history(f)},
        "without_levers": {k: f for k, f in wanted.items() if not f.lever},
    }
    held_out = _held_out(rows["customer_id"])

    def answers(origin: Origin) -> pd.DataFrame:
        fit, calibration, test = origin.rows(rows)
        tested = rows.iloc[test]
        part = pd.DataFrame(np.nan, columns=[*fewer, "unseen"], index=tested.index)
        for name, chosen in fewer.items():
            if 0 < len(chosen) < len(wanted):
                model = train.fit(task, settings, rows, chosen, origin, fit, calibration)
                part[name] = model.predict(tested)
        others, unseen = fit[~held_out[fit]], held_out[test]
        model = train.fit(
            task, settings, rows, wanted, origin, others, calibration[~held_out[calibration]]
        )
        part.loc[unseen, "unseen"] = model.predict(tested[unseen])
        return part

    with ThreadPoolExecutor(stage.workers()) as pool:
        parts = list(pool.map(answers, train.origins(task, settings)[0]))
    return pd.concat(parts, ignore_index=True)


SUPPORT_TABLES = frozenset(
    {
        "tickets",
        "ticket_events",
        "messages",
        "calls",
        "qa_reviews",
        "surveys",
        "feedback",
        "reviews",
        "social_mentions",
        "referrals",
        "selfservice",
        "outreach",
    }
)
"""The tables that hold contact between the company and a customer, and what the customer said."""


def is_support_history(feature: Feature) -> bool:
    """Whether a feature is read from a table of support, lever or not (severity, for one, is not).

    Without these tables a company would know the customer's profile, contract, purchases, returns,
    visits and points.
    """
    stream = STREAM.get(feature.stream) if feature.stream else None
    return stream is not None and not SUPPORT_TABLES.isdisjoint(stream.needs)


def _held_out(customers: pd.Series) -> np.ndarray:
    """A fifth of the customers, always the same, whatever their other rows."""
    ids, position = np.unique(customers.to_numpy(dtype=object), return_inverse=True)
    chosen = np.array([zlib.crc32(str(customer).encode()) % 5 == 0 for customer in ids])
    return chosen[position]


def _rfm(settings: Params) -> dict[str, list[str]]:
    """The columns of the recency rule and of RFM; a source has those of its tables."""
    longest, short = max(settings.features.windows), min(settings.features.windows)
    return {
        "recency": ["days_since_last_order", "days_since_points_earned", "days_since_last_visit"],
        "frequency": [
            f"{name}_{days}d"
            for name in ("order_count", "visit_count", "points_earned")
            for days in (short, longest)
        ],
        "monetary": [f"order_amount_{longest}d"],
    }


def _metrics(pooled: pd.DataFrame, task: str, settings: Params) -> dict[str, Any]:
    resamples, seed = settings.evaluate.resamples, settings.evaluate.seed
    y, p, customers = (pooled[name].to_numpy() for name in ("y", "model", "customer_id"))
    other = {"customer_id", "as_of", "y", "model", *_dimensions(pooled)}
    names = [str(name) for name in pooled if name not in other]

    def measured(column: str) -> dict[str, dict[str, float | None]]:
        found = evaluation.bootstrap_metrics(
            y, pooled[column].to_numpy(), customers, resamples=resamples, seed=seed
        )
        return {name: _finite(interval) for name, interval in found.items()}

    baselines = {name: measured(name) for name in names}
    best = min(names, key=lambda name: baselines[name]["log_loss"]["value"] or np.inf)
    gain = evaluation.paired_gain(
        y,
        pooled["model"].to_numpy(),
        pooled[best].to_numpy(),
        customers,
        resamples=resamples,
        seed=seed,
    )
    return {
        "skipped": None,
        "n": len(pooled),
        "customers": int(pooled["customer_id"].nunique()),
        "positives": int(y.sum()),
        "base_rate": float(y.mean()),
        "test_as_of": sorted(pooled["as_of"].unique()),
        "model": measured("model"),
        "baselines": baselines,
        "best_baseline": best,
        "gain_over_best_baseline": {name: _finite(interval) for name, interval in gain.items()},
        "beats_best_baseline": bool(gain["log_loss"]["low"] > 0),
        "calibration": {
            "ece_chance_95": _finite_number(evaluation.chance_ece(y, p, seed=seed)),
            "spiegelhalter_z": _finite_number(evaluation.spiegelhalter_z(y, p)),
        },
        "value": _value(pooled, task, settings),
    }


def _compared(pooled: pd.DataFrame, others: pd.DataFrame, settings: Params) -> dict[str, Any]:
    """What support features add, and what knowing the customer adds (METHODS D)."""
    resamples, seed = settings.evaluate.resamples, settings.evaluate.seed

    def gain(rows: np.ndarray, other: str) -> dict[str, dict[str, float | None]]:
        found = evaluation.paired_gain(
            pooled["y"].to_numpy()[rows],
            pooled["model"].to_numpy()[rows],
            others[other].to_numpy()[rows],
            pooled["customer_id"].to_numpy()[rows],
            resamples=resamples,
            seed=seed,
        )
        return {name: _finite(interval) for name, interval in found.items()}

    known = {name: others[name].notna().to_numpy() for name in others}
    recognised = gain(known["unseen"], "unseen")
    return {
        "gain_of_support_features": gain(known["without_support"], "without_support")
        if known["without_support"].any()
        else None,
        "gain_of_levers": gain(known["without_levers"], "without_levers")
        if known["without_levers"].any()
        else None,
        "customer_disjoint": {
            "customers": int(pooled["customer_id"][known["unseen"]].nunique()),
            "gain_of_having_seen_them": recognised,
            "memorises_identity": bool((recognised["auc"]["value"] or 0) > MEMORY_AUC),
        },
    }


def _value(pooled: pd.DataFrame, task: str, settings: Params) -> dict[str, Any]:
    """Expected maximum profit per customer, of the model and of contacting everybody alike."""
    resamples, seed = settings.evaluate.resamples, settings.evaluate.seed
    customers = pooled["customer_id"].to_numpy()

    def at_risk(name: str) -> np.ndarray:
        column = pooled[name].to_numpy(dtype=np.float64)
        return column if task == "churn" else 1 - column

    y, p = at_risk("y"), at_risk("model")
    money = costs(task, settings)
    return {
        "costs": asdict(money),
        "empc": value.bootstrap_empc(y, p, customers, money, resamples=resamples, seed=seed),
        "empc_all_alike": value.empc(y, np.full(len(y), 0.5), money),
    }


def _finite_number(figure: float) -> float | None:
    return float(figure) if np.isfinite(figure) else None


def _finite(interval: dict[str, float]) -> dict[str, float | None]:
    return {key: float(value) if np.isfinite(value) else None for key, value in interval.items()}


def _numbers(metrics: dict[str, Any]) -> dict[str, float]:
    flat = {"base_rate": metrics["base_rate"], "test_rows": float(metrics["n"])}
    groups = {
        "": {**metrics["model"], "empc": metrics["value"]["empc"]},
        "gain_": metrics["gain_over_best_baseline"],
        "support_gain_": metrics["gain_of_support_features"] or {},
        "lever_gain_": metrics["gain_of_levers"] or {},
    }
    for prefix, group in groups.items():
        for name, interval in group.items():
            for key, figure in interval.items():
                if figure is not None:
                    flat[f"{prefix}{name}" if key == "value" else f"{prefix}{name}_{key}"] = figure
    return flat
