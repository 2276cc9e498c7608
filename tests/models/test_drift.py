"""Distances between populations, and what they are compared with."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from data.contracts import TABLES
from features.catalog import features
from models.drift import (
    Bins,
    benjamini_hochberg,
    compared,
    judged,
    ks,
    lag_pairs,
    psi,
    psi_bound,
    settled_days,
    two_sample,
    worst,
)

MONTHS = [f"{year}-{month:02d}-01" for year in (2023, 2024, 2025) for month in range(1, 13)]


def test_deciles_merge_ties_and_missing_has_a_bin() -> None:
    bins = Bins.of(pd.Series([0.0] * 80 + [1.0] * 10 + [2.0] * 10), category=False)
    assert bins.edges == (0.0, 1.0)
    assert bins.counts(pd.Series([0.0, -1.0, 0.5, 1.0, 9.0, None])).tolist() == [2, 2, 1, 1]


def test_a_constant_and_an_empty_column_have_one_bin_for_values() -> None:
    assert Bins.of(pd.Series([3.0, 3.0]), category=False).edges == ()
    assert Bins.of(pd.Series([None, None], dtype=float), category=False).edges == ()


def test_a_category_never_seen_has_a_bin() -> None:
    bins = Bins.of(pd.Series(["ja", "en", None]), category=True)
    assert bins.counts(pd.Series(["en", "ja", "ko", None, "ja"])).tolist() == [1, 2, 1, 1]


def test_psi_by_hand() -> None:
    a, b = np.array([80.0, 20.0]), np.array([50.0, 50.0])
    p, q = 80.5 / 101, 50.5 / 101
    expected = (q - p) * np.log(q / p) + (p - q) * np.log((1 - q) / (1 - p))
    assert psi(a, b) == pytest.approx(expected)
    assert psi(a, a) == 0.0
    assert np.isfinite(psi(np.array([10.0, 0.0]), np.array([0.0, 10.0])))
    assert np.isnan(psi(np.zeros(2), b))


def test_the_bound_is_that_of_the_specification() -> None:
    """About .004 at 12,000 against 12,000 customers in 11 bins (METHODS H)."""
    counts = np.full(11, 12_000 / 11)
    assert psi_bound(counts, counts) == pytest.approx(0.00387, abs=1e-5)


def test_one_population_stays_below_the_bound_99_times_of_100() -> None:
    generator = np.random.default_rng(7)
    above = 0
    for _ in range(500):
        a, b = (pd.Series(generator.normal(size=400)) for _ in range(2))
        bins = Bins.of(a, category=False)
        counts = bins.counts(a), bins.counts(b)
        above += psi(*counts) > psi_bound(*counts)
    assert above / 500 < 0.03


def test_q_values_are_those_of_scipy_and_missing_stays_missing() -> None:
    p = [0.01, 0.04, 0.03, float("nan"), 0.5]
    found = benjamini_hochberg(p)
    assert np.isnan(found[3])
    assert found[[0, 1, 2, 4]] == pytest.approx(false_discovery_control([0.01, 0.04, 0.03, 0.5]))


def test_ks_looks_at_the_values_present() -> None:
    distance, p = ks(pd.Series([1.0, 2.0, None]), pd.Series([3.0, 4.0]))
    assert distance == 1.0 and p < 1
    assert np.isnan(ks(pd.Series([None], dtype=float), pd.Series([1.0]))[0])


def people(n: int, shift: float, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "customer_id": [f"C{i}" for i in range(n)],
            "waiting": generator.normal(shift, 1, n),
            "other": generator.normal(size=n),
            "language": generator.choice(["en", "ja"], n),
        }
    )


def test_a_classifier_tells_only_what_differs_and_says_by_what() -> None:
    columns = ["waiting", "other", "language"]
    before = people(400, 0.0, 1)
    same = two_sample(before, people(400, 0.0, 2), columns, ["language"], seed=7)
    assert 0.4 < same.auc < 0.6
    moved = people(400, 1.5, 2)
    found = two_sample(before, moved, columns, ["language"], seed=7, attribute=True)
    assert found.auc > 0.8
    assert max(found.importance, key=found.importance.__getitem__) == "waiting"
    again = two_sample(before, moved, columns, ["language"], seed=7, attribute=True)
    assert again == found


def test_a_customer_on_both_sides_is_in_one_fold() -> None:
    """Were it not so, a column that names the customer would tell nothing apart, or everything."""
    before = people(300, 0.0, 1).assign(number=np.arange(300.0))
    assert two_sample(before, before, ["number"], seed=7).auc == pytest.approx(0.5, abs=0.05)


def test_pairs_are_as_far_apart_and_earlier() -> None:
    assert lag_pairs(MONTHS[:12], "2023-05-01", "2023-08-01") == [
        ("2023-01-01", "2023-04-01"),
        ("2023-02-01", "2023-05-01"),
        ("2023-03-01", "2023-06-01"),
        ("2023-04-01", "2023-07-01"),
    ]


def test_after_a_year_the_same_season_is_taken() -> None:
    newer = [b for _, b in lag_pairs(MONTHS, "2025-01-01", "2025-03-01")]
    assert newer == ["2023-03-01", "2023-04-01", "2024-02-01", "2024-03-01", "2024-04-01"]


def test_an_alarm_needs_more_than_ever_before_and_more_than_chance() -> None:
    earlier = [0.30, 0.36, 0.10]
    assert judged(0.40, earlier, margin=0.1) == ("ok", 0.36)
    assert judged(0.42, earlier, margin=0.1)[0] == "watch"
    assert judged(0.47, earlier, margin=0.1)[0] == "alarm"
    assert judged(0.47, earlier, margin=0.1, noise=0.5)[0] == "ok"


def test_without_history_nothing_is_unusual() -> None:
    assert judged(5.0, [], margin=0.1) == ("ok", None)
    assert judged(5.0, [0.1, 0.1], margin=0.1) == ("ok", 0.1)
    assert judged(float("nan"), [0.1, 0.1, 0.1], margin=0.1)[0] == "ok"


def test_what_moves_by_construction_is_not_compared() -> None:
    every = {f.name: f for f in features((30, 90), [table.name for table in TABLES])}
    moving = (
        "days_to_year_end",
        "tenure_days",
        "subscription_tenure_days",
        "net_amount_to_date",
        "days_since_last_ticket",
        "days_since_first_order",
        "csat_last",
    )
    assert not any(compared(every[name]) for name in moving)
    staying = ("language", "plan", "ticket_count_30d", "ticket_decayed", "open_ticket_count")
    assert all(compared(every[name]) for name in staying)


def test_a_trend_needs_twice_its_window_of_record() -> None:
    every = {f.name: f for f in features((30, 90), [table.name for table in TABLES])}
    assert settled_days(every["ticket_count_90d"]) == 90
    assert settled_days(every["order_count_trend_90d"]) == 180
    assert settled_days(every["language"]) == 0


def test_the_most_severe_counts() -> None:
    assert worst(["ok", "alarm", "watch"]) == "alarm"
    assert worst([]) == "ok"
