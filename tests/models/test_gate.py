"""Staged challengers, each decided as it should be. The truth is known: y is drawn from `truth`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from models.gate import Decision, Rules, judge
from models.value import Costs

CUSTOMERS = 3000
DATES = ("2025-01-01", "2025-02-01", "2025-03-01")
Stage = Callable[[pd.DataFrame], pd.DataFrame]


def calibrated(truth: np.ndarray, known: float, seed: int) -> np.ndarray:
    """P(y=1) for somebody who sees the log-odds through noise; by binning, exactly calibrated."""
    noise = np.random.default_rng(seed).normal(0, 1, len(truth))
    seen = known * logit(truth) + (1 - known) * noise
    groups = pd.qcut(seen, 200, labels=False)
    return pd.Series(truth).groupby(groups).transform("mean").to_numpy()


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Three test dates; the champion sees half of what can be known."""
    generator = np.random.default_rng(1)
    customer = np.tile(np.arange(CUSTOMERS), len(DATES))
    level = generator.normal(-2.2, 1.0, CUSTOMERS)[customer]
    truth = expit(level + generator.normal(0, 0.5, len(customer)))
    y = (generator.random(len(truth)) < truth).astype(float)
    return pd.DataFrame(
        {
            "customer_id": [f"C{c:05d}" for c in customer],
            "as_of": np.repeat(DATES, CUSTOMERS),
            "plan": np.where(customer % 4 == 0, "annual", "monthly"),
            "y": y,
            "truth": truth,
            "prior": y.mean(),
            "champion": calibrated(truth, 0.5, seed=2),
        }
    )


def decide(rows: pd.DataFrame, *, has_champion: bool = True) -> Decision:
    return judge(
        rows,
        has_champion=has_champion,
        risk_is_one=True,
        costs=Costs(130, 15, 1),
        capacity=0.1,
        dimensions=("plan", "as_of"),
        resamples=100,
        seed=0,
    )


def failed(decision: Decision) -> set[str]:
    return {check.name for check in decision.checks if not check.passed}


def with_challenger(change: Callable[[pd.DataFrame], np.ndarray]) -> Stage:
    return lambda rows: rows.assign(challenger=change(rows))


def better(rows: pd.DataFrame) -> np.ndarray:
    return calibrated(rows["truth"].to_numpy(), 0.8, seed=3)


def worse(rows: pd.DataFrame) -> np.ndarray:
    return calibrated(rows["truth"].to_numpy(), 0.3, seed=4)


def shifted(rows: pd.DataFrame, where: np.ndarray | bool, by: float) -> np.ndarray:
    return expit(logit(better(rows)) + np.where(where, by, 0.0))


def flat_in_annual(rows: pd.DataFrame) -> np.ndarray:
    """Better overall, but in one plan everybody gets the plan's rate."""
    annual = (rows["plan"] == "annual").to_numpy()
    return np.where(annual, rows["y"][annual].mean(), rows["truth"])


def worse_of_late(rows: pd.DataFrame) -> np.ndarray:
    late = (rows["as_of"] == DATES[-1]).to_numpy()
    return np.where(late, worse(rows), rows["truth"])


def better_by_luck(rows: pd.DataFrame) -> np.ndarray:
    """On every date 12 leavers get higher odds and 8 lower: a gain, and no more than chance."""
    moved = np.zeros(len(rows))
    for date in DATES:
        leavers = np.flatnonzero((rows["as_of"] == date) & (rows["y"] == 1))[:20]
        moved[leavers[:12]], moved[leavers[12:]] = 1.0, -1.0
    return expit(logit(rows["champion"]) + moved)


def missing_one(rows: pd.DataFrame) -> np.ndarray:
    return np.where(np.arange(len(rows)) == 17, np.nan, better(rows))


def better_at_the_bottom(rows: pd.DataFrame) -> np.ndarray:
    """Knows who is safe, but shuffles those whom it would pay to contact."""
    top = (rows["truth"] > 0.14).to_numpy()
    p = rows["truth"].to_numpy().copy()
    p[top] = rows["y"].to_numpy()[top].mean()
    return p


def staged(name: str) -> Stage:
    return {
        "better": with_challenger(better),
        "worse": with_challenger(worse),
        "equal": with_challenger(lambda rows: rows["champion"].to_numpy()),
        "nearly equal": with_challenger(
            lambda rows: expit(
                logit(rows["champion"]) + np.random.default_rng(5).normal(0, 0.02, len(rows))
            )
        ),
        "better by luck": with_challenger(better_by_luck),
        "better but all probabilities too high": with_challenger(
            lambda rows: shifted(rows, True, 0.35)
        ),
        "better but too sure of itself": with_challenger(
            lambda rows: expit(-2.2 + 1.3 * (logit(better(rows)) + 2.2))
        ),
        "better but off in one plan": with_challenger(
            lambda rows: shifted(rows, (rows["plan"] == "annual").to_numpy(), 0.45)
        ),
        "better but blind in one plan": with_challenger(flat_in_annual),
        "better but not of late": with_challenger(worse_of_late),
        "better but not for profit": with_challenger(better_at_the_bottom),
        "one missing prediction": with_challenger(missing_one),
        "all predictions missing": with_challenger(lambda rows: np.full(len(rows), np.nan)),
        "not probabilities": with_challenger(lambda rows: 100 * better(rows)),
        "champion without predictions": lambda rows: rows.assign(
            challenger=better(rows), champion=np.nan
        ),
        "champion without a column": lambda rows: rows.assign(challenger=better(rows)).drop(
            columns="champion"
        ),
        "no test rows": lambda rows: rows.assign(challenger=better(rows)).iloc[:0],
        "a missing outcome": lambda rows: rows.assign(
            challenger=better(rows), y=rows["y"].where(rows.index != 3)
        ),
        "too few outcomes": lambda rows: rows.assign(challenger=better(rows)).iloc[:300],
        "a customer twice": lambda rows: pd.concat(
            [rows.assign(challenger=better(rows)), rows.assign(challenger=better(rows)).iloc[:1]]
        ),
        "one test date": lambda rows: rows.assign(challenger=better(rows))[
            rows["as_of"] == DATES[-1]
        ],
        "a slice column is missing": lambda rows: rows.assign(challenger=better(rows)).drop(
            columns="plan"
        ),
    }[name]


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("better", set()),
        ("worse", {"log_loss", "consecutive_dates"}),
        ("equal", {"log_loss", "consecutive_dates"}),
        ("nearly equal", {"log_loss"}),
        ("better by luck", {"log_loss"}),
        ("better but all probabilities too high", {"calibration"}),
        ("better but too sure of itself", {"calibration"}),
        ("better but off in one plan", {"slices"}),
        ("better but blind in one plan", {"slices"}),
        ("better but not of late", {"consecutive_dates"}),
        ("better but not for profit", {"value"}),
        ("one missing prediction", {"data"}),
        ("all predictions missing", {"data"}),
        ("not probabilities", {"data"}),
        ("champion without predictions", {"data"}),
        ("champion without a column", {"data"}),
        ("no test rows", {"data"}),
        ("a missing outcome", {"data"}),
        ("too few outcomes", {"data"}),
        ("a customer twice", {"data"}),
        ("one test date", {"consecutive_dates"}),
        ("a slice column is missing", {"data"}),
    ],
)
def test_every_staged_challenger_is_decided_rightly(
    rows: pd.DataFrame, name: str, reasons: set[str]
) -> None:
    decision = decide(staged(name)(rows))
    assert decision.promote is (not reasons)
    assert reasons <= failed(decision)
    assert len(decision.why_not) == len(failed(decision))


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("better", set()),
        ("better but all probabilities too high", {"calibration"}),
        ("all predictions missing", {"data"}),
    ],
)
def test_the_first_model_must_be_calibrated_and_beat_the_base_rate(
    rows: pd.DataFrame, name: str, reasons: set[str]
) -> None:
    decision = decide(staged(name)(rows.drop(columns="champion")), has_champion=False)
    assert decision.promote is (not reasons)
    assert reasons <= failed(decision)


def test_a_first_model_that_knows_nothing_is_refused(rows: pd.DataFrame) -> None:
    decision = decide(rows.assign(challenger=rows["prior"]), has_champion=False)
    assert not decision.promote and "log_loss" in failed(decision)


def test_who_is_to_be_contacted_may_be_those_without_the_event(rows: pd.DataFrame) -> None:
    turned = rows.assign(challenger=1 - better(rows), champion=1 - rows["champion"])
    turned = turned.assign(y=1 - rows["y"], prior=1 - rows["prior"])
    plain = decide(rows.assign(challenger=better(rows)))
    mirrored = judge(
        turned,
        has_champion=True,
        risk_is_one=False,
        costs=Costs(130, 15, 1),
        capacity=0.1,
        dimensions=("plan", "as_of"),
        resamples=100,
        seed=0,
    )
    for mine, other in zip(plain.checks, mirrored.checks, strict=True):
        if mine.name in ("value", "slices"):
            assert mine.figures == pytest.approx(other.figures)


def test_a_figure_that_is_nan_never_passes(
    rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    nan = dict.fromkeys(("value", "low", "high"), float("nan"))
    monkeypatch.setattr("models.evaluation.paired_gain", lambda *_, **__: {"log_loss": nan})
    monkeypatch.setattr("models.value.paired_empc_gain", lambda *_, **__: nan)
    monkeypatch.setattr("models.evaluation.chance_ece", lambda *_, **__: float("nan"))
    decision = decide(rows.assign(challenger=better(rows)))
    assert not decision.promote
    assert {"log_loss", "value"} <= failed(decision)
    record = decision.to_dict()
    assert record["checks"][1]["figures"]["low"] is None


def test_an_error_inside_reaches_the_caller(
    rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("models.slices.slices", broken)
    with pytest.raises(ZeroDivisionError):
        decide(rows.assign(challenger=better(rows)))


def test_the_bounds_can_be_set(rows: pd.DataFrame) -> None:
    strict = judge(
        rows.assign(challenger=better(rows)),
        has_champion=True,
        risk_is_one=True,
        costs=Costs(130, 15, 1),
        capacity=0.1,
        rules=Rules(level=0.0001),
        resamples=100,
    )
    assert failed(strict) == {"calibration"}


def test_the_order_of_the_rows_changes_nothing(rows: pd.DataFrame) -> None:
    staged_rows = rows.assign(challenger=better(rows))
    assert decide(staged_rows) == decide(staged_rows.sample(frac=1, random_state=0))
