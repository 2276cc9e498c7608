"""Stage `effects`: what each support lever does to churn, checked and graded (METHODS F)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from data import source
from features.episodes import PRIOR, episodes
from features.facts import open_bucket
from features.labels import Outcome
from models import effects, scenario
from models.effects import LEVERS, REASONS, Estimate
from pipelines import engine, featurize, load, params, paths, stage, tracking
from pipelines.engine import Engine
from pipelines.params import Params
from pipelines.store import Store

TICKETS = "tickets.parquet"

SKIPPED = {
    "snapshot": {
        "en": "Effects were not estimated: the source is a snapshot, and nothing in it has a time.",
        "ja": "ある時点のデータのみで時間の記録がないため、効果は推定していません。",
    },
    "tickets": {
        "en": "Effects were not estimated: the source has no tickets.",
        "ja": "お問い合わせのデータがないため、効果は推定していません。",
    },
    "outcome": {
        "en": "Effects were not estimated: the source has neither subscriptions nor orders, so"
        " there is no record of who left.",
        "ja": "契約・注文のデータがなく、離脱を確認できないため、効果は推定していません。",
    },
    "few": {
        "en": "Effects were not estimated: too few tickets have an outcome that can be seen.",
        "ja": "結果を確認できるお問い合わせが少ないため、効果は推定していません。",
    },
}


def main() -> None:
    """Write artifacts/effects: effects.csv, summary.json and the ticket table."""
    settings = params.load()
    chosen = source.load(settings.source.name)
    with stage.fresh_folder(paths.EFFECTS) as out:
        frame: pd.DataFrame | str = "snapshot" if chosen.snapshot else _tickets(settings, chosen)
        if not isinstance(frame, str) and len(frame) < effects.MIN_ROWS:
            frame = "few"
        if isinstance(frame, str):
            stage.say(f"effects: skipped, {frame}")
            stage.write_json(out / "summary.json", {"skipped": SKIPPED[frame]})
            return
        stage.say(
            f"effects: {len(frame):,} tickets of {frame['customer_id'].nunique():,} customers"
        )
        frame.to_parquet(out / TICKETS, index=False)
        found, skipped = estimates(out / TICKETS, settings.effects.model_dump())
        table = effects_table(found, frame.attrs["horizon_days"])
        stage.write_text(out / "effects.csv", table.to_csv(index=False))
        stage.write_json(
            out / "summary.json",
            summary(found, skipped, frame, settings.value.churn.customer_value),
        )
    production = paths.MODELS / "churn" / paths.PRODUCTION
    if (production / "manifest.json").exists():
        figures = {f"effect_{item.key}": item.shown.theta for item in found}
        tracking.log_results(
            "churn", production, settings, paths.EFFECTS, "effects", metrics=figures
        )


def _tickets(settings: Params, chosen: source.Source) -> pd.DataFrame | str:
    """The ticket table of all buckets, or why there is none."""
    contract = stage.read_json(paths.CONTRACT)
    present = list(contract["tables"])
    if "tickets" not in present:
        return "tickets"
    observed_until = featurize._midnight(
        date.fromisoformat(contract["observed_until"]), chosen.timezone
    )
    outcome = churn_after_ticket(settings, chosen, contract, observed_until)
    if outcome is None:
        return "outcome"
    work = partial(
        bucket_episodes,
        folder=paths.TABLES,
        outcome=outcome,
        observed_until=observed_until,
        chosen=chosen,
        settings=settings,
        contract=contract,
    )
    parts = dict(engine.each_bucket(work, settings.source.buckets, Engine.local))
    frame = pd.concat([parts[bucket] for bucket in sorted(parts)], ignore_index=True)
    frame = frame.sort_values(["customer_id", "opened_at", "ticket_id"], kind="stable")
    frame = frame.reset_index(drop=True)
    frame.attrs["horizon_days"] = outcome.horizon
    return frame


def churn_after_ticket(
    settings: Params, chosen: source.Source, contract: dict[str, Any], observed_until: datetime
) -> Outcome | None:
    """Churn as the models define it, but without a gap: the clock starts with the ticket."""
    as_ofs = [
        at
        for at in featurize.as_of_dates(chosen.first_as_of, chosen.last_as_of, chosen.timezone)
        if at <= observed_until
    ]
    lateness = [table["lateness_days_p99"] or 0.0 for table in contract["tables"].values()]
    lag = max(settings.labels.lag_days, int(np.ceil(max(lateness))))
    for outcome in featurize.outcomes(
        settings, list(contract["tables"]), as_ofs, lag, Store(str(paths.ARTIFACTS))
    ):
        if outcome.task == "churn":
            return Outcome("churn", outcome.definition, gap=0, horizon=outcome.horizon, lag=lag)
    return None


def bucket_episodes(
    bucket: int,
    *,
    folder: Path,
    outcome: Outcome,
    observed_until: datetime,
    chosen: source.Source,
    settings: Params,
    contract: dict[str, Any],
) -> tuple[int, pd.DataFrame]:
    """One bucket's part of the ticket table."""
    wanted = [f for f in load.supported_features(settings, contract) if f.name in PRIOR]
    live_from = {
        name: featurize._time(table["first_known_at"])
        for name, table in contract["tables"].items()
        if table["first_known_at"]
    }
    connection = open_bucket(folder, bucket, chosen.timezone, chosen.calendar, None)
    return bucket, episodes(connection, outcome, observed_until, wanted, live_from)


def estimates(
    tickets: Path, settings: dict[str, int], workers: Engine = Engine.local
) -> tuple[list[Estimate], dict[str, str]]:
    """All levers' graded estimates in declared order, and why the others have none."""
    work = partial(one_lever, tickets=tickets, settings=settings)
    found: dict[int, Estimate | str] = {}
    for number, answer in engine.each_bucket(work, len(LEVERS), workers):
        found[number] = answer
        stage.say(f"effects: lever {len(found)} of {len(LEVERS)}")
    return sorted_out([found[number] for number in range(len(LEVERS))])


def sorted_out(answers: Sequence[Estimate | str]) -> tuple[list[Estimate], dict[str, str]]:
    """Graded estimates, and the reason code of each lever without one."""
    estimated = effects.graded([item for item in answers if isinstance(item, Estimate)])
    skipped = {
        lever.key: answer
        for lever, answer in zip(LEVERS, answers, strict=True)
        if isinstance(answer, str)
    }
    return estimated, skipped


def one_lever(
    number: int, *, tickets: Path, settings: dict[str, int]
) -> tuple[int, Estimate | str]:
    """The estimate of one lever, or why there is none. One thread: the same bytes anywhere."""
    with threadpool_limits(1):
        frame = pd.read_parquet(tickets)
        base = effects.base_design(frame)
        return number, effects.estimate(frame, base, LEVERS[number], **settings)


def effects_table(found: Sequence[Estimate], horizon_days: int) -> pd.DataFrame:
    """One row per lever: the estimate, its checks and its grade."""
    return pd.DataFrame([_row(item, horizon_days) for item in found])


def _row(item: Estimate, horizon_days: int) -> dict[str, Any]:
    low, high = item.shown.interval
    trial, difference = item.trial, item.trial_difference
    return {
        "lever": item.key,
        "outcome": "churn",
        "estimand": item.estimand,
        "population": item.lever.population,
        "horizon_days": horizon_days,
        "tickets": item.tickets,
        "customers": item.customers,
        "treated_share": item.treated_share,
        "naive": item.naive,
        "theta": item.shown.theta,
        "se": item.shown.se,
        "low": low,
        "high": high,
        "p_holm": item.p_holm,
        "mde": item.mde,
        "ess_share": item.ess_share,
        "overlap_share": item.overlap_share,
        "smd_max": item.smd_max,
        "negative_control_p": item.negative_control.p if item.negative_control else None,
        "placebo_p": item.placebo.p,
        "rv": item.rv,
        "bound_low": item.bound[0],
        "bound_high": item.bound[1],
        "grade": item.grade,
        "reasons": ";".join(item.reasons),
        "adjust_set": ";".join(item.adjusted_for),
        "dml_theta": item.effect.theta,
        "dml_se": item.effect.se,
        "bound_twice_low": item.bound_twice[0],
        "bound_twice_high": item.bound_twice[1],
        "benchmark": item.benchmark,
        "trial_theta": trial.theta if trial else None,
        "trial_low": trial.interval[0] if trial else None,
        "trial_high": trial.interval[1] if trial else None,
        "trial_tickets": trial.rows if trial else None,
        "trial_difference_p": difference.p if difference else None,
        "theta_first_half": item.halves[0],
        "theta_second_half": item.halves[1],
    }


def summary(
    found: Sequence[Estimate],
    skipped: dict[str, str],
    frame: pd.DataFrame,
    customer_value: float,
) -> dict[str, Any]:
    """artifacts/effects/summary.json: overlap, strata and what-if per lever; what was left out."""
    return {
        "skipped": None,
        "horizon_days": int(frame.attrs["horizon_days"]),
        "tickets": len(frame),
        "customers": int(frame["customer_id"].nunique()),
        "departures": int(frame["y_created"].sum()),
        "customer_value": customer_value,
        "levers": {item.key: _detail(item, customer_value) for item in found},
        "skipped_levers": {
            key: {"code": code, "en": REASONS[code][0], "ja": REASONS[code][1]}
            for key, code in skipped.items()
        },
        "reasons": {code: {"en": en, "ja": ja} for code, (en, ja) in REASONS.items()},
    }


def _detail(item: Estimate, customer_value: float) -> dict[str, Any]:
    lever = item.lever
    detail: dict[str, Any] = {
        "label": {"en": lever.en, "ja": lever.ja},
        "contrast": {"en": lever.en_contrast, "ja": lever.ja_contrast},
        "grade": item.grade,
        "reasons": list(item.reasons),
        "estimand": item.estimand,
        "theta": item.shown.theta,
        "low": item.shown.interval[0],
        "high": item.shown.interval[1],
        "share": item.treated_share,
        "tickets_last_year": item.tickets_last_year,
        "strata": item.strata,
        "hours": item.hours,
        "overlap": item.overlap,
        "smd_worst": item.smd_worst,
    }
    detail["reach"] = list(scenario.reach(item.strata))
    detail["what_if"] = _panel(detail, customer_value) if item.grade in ("A", "B") else None
    return detail


def _panel(detail: dict[str, Any], customer_value: float) -> dict[str, Any] | None:
    """The report's example: five points in the good direction, or as far as the data go."""
    low, high = detail["reach"]
    after = (
        min(detail["share"] + 0.05, high)
        if detail["theta"] < 0
        else max(detail["share"] - 0.05, low)
    )
    if scenario.refusal(detail, after) is not None:
        return None
    found = scenario.change(detail, after)
    return {
        "share_before": found.share_before,
        "share_after": found.share_after,
        "tickets_per_year": found.tickets,
        "departures": found.departures,
        "departures_low": found.low,
        "departures_high": found.high,
        "value": -found.departures * customer_value,
        "value_low": -found.high * customer_value,
        "value_high": -found.low * customer_value,
    }
