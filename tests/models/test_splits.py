"""The replay protocol against timelines drawn by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import splits
from models.splits import Origin, label_end, production_origin, replay_origin, why_no_origin

LABEL_DAYS = 107  # gap 7 + horizon 90 + lag 10


def day(text: str, timezone: str = "UTC") -> pd.Timestamp:
    """Local midnight, stored in UTC."""
    return pd.Timestamp(text, tz=timezone).tz_convert("UTC")


def months(first: str, count: int, timezone: str = "UTC") -> list[pd.Timestamp]:
    starts = pd.date_range(first, periods=count, freq="MS", tz=timezone)
    return [date.tz_convert("UTC") for date in starts]


def test_a_label_is_complete_gap_horizon_and_lag_after_its_date():
    assert label_end(day("2024-01-01"), LABEL_DAYS) == day("2024-04-17")


def test_monthly_dates_calibrate_on_t5_and_t4_and_train_until_t9():
    m = months("2023-01-01", 24)
    t = 15
    origin = replay_origin(m, m[t], label_days=LABEL_DAYS)
    assert origin == Origin(
        test=m[t], calibration=(m[t - 5], m[t - 4]), train=tuple(m[: t - 9 + 1])
    )


@pytest.mark.parametrize("t", range(9, 24))
def test_the_monthly_rule_holds_at_every_origin(t):
    m = months("2023-01-01", 24)
    origin = replay_origin(m, m[t], label_days=LABEL_DAYS)
    assert origin is not None
    assert origin.calibration == (m[t - 5], m[t - 4])
    assert origin.train[-1] == m[t - 9]


def test_the_ninth_month_has_nothing_to_train_on_and_the_tenth_has_one_date():
    m = months("2023-01-01", 24)
    assert replay_origin(m, m[8], label_days=LABEL_DAYS) is None
    origin = replay_origin(m, m[9], label_days=LABEL_DAYS)
    assert origin is not None and origin.train == (m[0],)


def test_dates_after_the_origin_order_and_repeats_change_nothing():
    m = months("2023-01-01", 24)
    shuffled = [m[20], *reversed(m[:16]), m[3], m[23]]
    assert replay_origin(shuffled, m[15], label_days=LABEL_DAYS) == replay_origin(
        m[:16], m[15], label_days=LABEL_DAYS
    )


def test_a_label_complete_on_the_day_of_the_origin_is_mature_and_a_day_later_is_not():
    first, second = day("2024-01-01"), day("2024-01-11")
    dates = [first, second]
    kept = replay_origin(dates, day("2024-01-21"), label_days=10, calibration_cutoffs=1)
    assert kept == Origin(day("2024-01-21"), (second,), (first,))
    assert replay_origin(dates, day("2024-01-20"), label_days=10, calibration_cutoffs=1) is None


def test_a_lost_hour_between_local_midnights_still_counts_whole_days():
    # Clocks in Paris go forward on 2024-03-31: 10 days later is 239 hours later.
    dates = [day("2024-03-20", "Europe/Paris"), day("2024-03-30", "Europe/Paris")]
    at = day("2024-04-09", "Europe/Paris")
    assert at - dates[1] == pd.Timedelta(hours=239)
    origin = replay_origin(dates, at, label_days=10, calibration_cutoffs=1)
    assert origin is not None and origin.calibration == (dates[1],)


def test_a_gained_hour_does_not_make_a_label_mature_a_day_early():
    # Clocks in Paris go back on 2024-10-27: nine days later is 217 hours later.
    dates = [day("2024-10-10", "Europe/Paris"), day("2024-10-20", "Europe/Paris")]
    at = day("2024-10-29", "Europe/Paris")
    assert replay_origin(dates, at, label_days=10, calibration_cutoffs=1) is None


def test_a_timezone_with_clock_changes_gives_the_same_months_as_utc():
    utc, paris = months("2023-01-01", 24), months("2023-01-01", 24, "Europe/Paris")
    for t in range(24):
        in_utc = replay_origin(utc, utc[t], label_days=LABEL_DAYS)
        in_paris = replay_origin(paris, paris[t], label_days=LABEL_DAYS)
        assert (in_utc is None) == (in_paris is None)
        if in_utc is not None and in_paris is not None:
            assert [utc.index(d) for d in in_utc.train + in_utc.calibration] == [
                paris.index(d) for d in in_paris.train + in_paris.calibration
            ]


def test_max_train_keeps_the_latest_dates_and_min_train_asks_for_more():
    m = months("2023-01-01", 24)
    origin = replay_origin(m, m[15], label_days=LABEL_DAYS, max_train=3)
    assert origin is not None and origin.train == (m[4], m[5], m[6])
    assert replay_origin(m, m[15], label_days=LABEL_DAYS, min_train=7) is not None
    assert replay_origin(m, m[15], label_days=LABEL_DAYS, min_train=8) is None


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="max_train"):
        replay_origin([], day("2024-01-01"), label_days=1, min_train=3, max_train=2)
    with pytest.raises(ValueError, match="calibration_cutoffs"):
        replay_origin([], day("2024-01-01"), label_days=1, calibration_cutoffs=0)


def test_test_origins_are_the_last_ones_whose_own_labels_are_complete():
    m = months("2023-01-01", 24)  # until 2024-12-01
    origins = splits.test_origins(m, day("2025-01-01"), 3, label_days=LABEL_DAYS)
    # 2024-09-01 + 107 days = 2024-12-17 is observed, 2024-10-01 + 107 days = 2025-01-16 is not.
    assert [origin.test for origin in origins] == [m[18], m[19], m[20]]


def test_one_second_of_missing_observation_keeps_a_test_origin_out():
    m = months("2023-01-01", 24)
    end = label_end(m[20], LABEL_DAYS)
    second = pd.Timedelta(seconds=1)
    assert splits.test_origins(m, end, 1, label_days=LABEL_DAYS)[0].test == m[20]
    assert splits.test_origins(m, end - second, 1, label_days=LABEL_DAYS)[0].test == m[19]


def test_fewer_origins_than_asked_are_returned_when_the_data_are_short():
    m = months("2023-01-01", 11)
    end = day("2024-06-01")
    assert [o.test for o in splits.test_origins(m, end, 6, label_days=LABEL_DAYS)] == [m[9], m[10]]
    assert splits.test_origins(m[:9], end, 6, label_days=LABEL_DAYS) == ()
    assert splits.test_origins(m, end, 0, label_days=LABEL_DAYS) == ()


def test_production_stands_at_the_last_date():
    m = months("2023-01-01", 24)
    origin = production_origin(m, label_days=LABEL_DAYS)
    assert origin == replay_origin(m, m[23], label_days=LABEL_DAYS)
    assert production_origin([], label_days=LABEL_DAYS) is None


@given(
    gaps=st.lists(st.integers(1, 45), min_size=1, max_size=30),
    label_days=st.integers(0, 150),
    calibration_cutoffs=st.integers(1, 3),
)
def test_no_label_is_used_before_it_is_complete(gaps, label_days, calibration_cutoffs):
    start = day("2023-01-01")
    dates = [start + pd.Timedelta(days=int(offset)) for offset in np.cumsum([0, *gaps])]
    origin = production_origin(
        dates, label_days=label_days, calibration_cutoffs=calibration_cutoffs
    )
    if origin is None:
        return
    assert len(origin.calibration) == calibration_cutoffs
    assert all(label_end(date, label_days) <= origin.test for date in origin.calibration)
    assert all(label_end(date, label_days) <= origin.calibration[0] for date in origin.train)


def test_rows_finds_each_part_of_an_origin_in_the_table():
    m = months("2023-01-01", 4)
    origin = Origin(test=m[3], calibration=(m[2],), train=(m[0],))
    as_of = pd.Series(
        [m[0], m[3], m[1], m[2], m[0]], dtype="datetime64[us, UTC]", index=list("abcde")
    )
    train, calibration, test = origin.rows(pd.DataFrame({"as_of": as_of}))
    assert (train.tolist(), calibration.tolist(), test.tolist()) == ([0, 4], [3], [1])


def test_a_short_history_is_explained_with_dates_and_missing_months():
    m = months("2024-01-01", 6, "Asia/Tokyo")
    reason = why_no_origin(m, label_days=LABEL_DAYS, timezone="Asia/Tokyo")
    assert reason == {
        "en": (
            "A label is complete 107 days after its as-of date, so a first model can be trained "
            "for 2024-10-01; the as-of dates run from 2024-01-01 to 2024-06-01. "
            "About 4 more months of data are needed."
        ),
        "ja": (
            "ラベルは基準日の107日後に確定するため、最初のモデルを学習できるのは2024-10-01です。"
            "現在の基準日は2024-01-01から2024-06-01までで、あと約4か月分のデータが必要です。"
        ),
    }


def test_a_history_too_short_to_test_names_the_date_until_which_data_are_needed():
    m = months("2024-01-01", 10)
    assert why_no_origin(m, label_days=LABEL_DAYS) is None
    reason = why_no_origin(m, label_days=LABEL_DAYS, observed_until=day("2024-10-15"))
    assert reason is not None
    assert "tested on 2024-10-01 with data until 2025-01-16" in reason["en"]
    assert "the data end on 2024-10-15. About 4 more months" in reason["en"]
    assert "2025-01-16まで" in reason["ja"] and "あと約4か月分" in reason["ja"]


def test_enough_history_needs_no_explanation():
    m = months("2024-01-01", 10)
    assert why_no_origin(m, label_days=LABEL_DAYS, observed_until=day("2025-01-16")) is None
    assert splits.test_origins(m, day("2025-01-16"), 1, label_days=LABEL_DAYS)


@pytest.mark.parametrize("count", range(1, 10))
def test_the_months_said_to_be_missing_are_the_ones_that_help(count):
    reason = why_no_origin(months("2024-01-01", count), label_days=LABEL_DAYS)
    assert reason is not None
    missing = 10 - count
    assert f"About {missing} more {'month' if missing == 1 else 'months'} of" in reason["en"]
    enough = months("2024-01-01", count + missing)
    assert production_origin(enough, label_days=LABEL_DAYS) is not None


def test_no_dates_at_all_are_explained_too():
    reason = why_no_origin([], label_days=LABEL_DAYS)
    assert reason is not None and "no as-of dates" in reason["en"]
