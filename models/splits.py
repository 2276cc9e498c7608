"""The replay protocol: which as-of dates train, calibrate and test a model, as production would.

Standing at a test date T, a label is known only for as-of dates whose outcome window and
reporting lag have passed (`label_days` = gap + horizon + lag). The last few of these calibrate.
Training takes the dates whose labels were complete before the first calibration date, so that
no outcome window of training reaches into calibration, nor of calibration into the test.
Origins expand: an origin trains on everything before, unless `max_train` says otherwise.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

DAY = pd.Timedelta(days=1)
DAYS_PER_MONTH = 30.4375
MIN_EVENTS = 50
"""A model needs this many customers with either outcome in training; fewer teach nothing."""


@dataclass(frozen=True)
class Origin:
    """One rehearsal of production: three disjoint sets of as-of dates, each in time order."""

    test: pd.Timestamp
    calibration: tuple[pd.Timestamp, ...]
    train: tuple[pd.Timestamp, ...]

    def rows(self, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions of the training, calibration and test rows (column as_of) in a frame."""
        parts = (self.train, self.calibration, (self.test,))
        train, calibration, test = (np.flatnonzero(rows["as_of"].isin(part)) for part in parts)
        return train, calibration, test


@dataclass(frozen=True)
class CustomerOrigin(Origin):
    """Three disjoint sets of customers on one date: all that a snapshot without times allows.

    60 % of the customers train, 20 % calibrate and 20 % test, by a hash of their id. `is_final`
    trains on the tested ones too: for the model that is used, once it has been tested.
    """

    is_final: bool = False

    def rows(self, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions of the training, calibration and test rows (column customer_id) in a frame."""
        digests = (hashlib.sha256(str(customer).encode()) for customer in rows["customer_id"])
        part = np.array([int.from_bytes(digest.digest()[:4]) % 5 for digest in digests])
        tested = part == 4
        train = (part < 3) | (tested & self.is_final)
        return np.flatnonzero(train), np.flatnonzero(part == 3), np.flatnonzero(tested)


def customer_origins(at: pd.Timestamp) -> tuple[tuple[Origin, ...], Origin]:
    """The test origin and the production origin of a snapshot taken at `at`."""
    return (CustomerOrigin(at, (at,), (at,)),), CustomerOrigin(at, (at,), (at,), is_final=True)


def label_end(as_of: pd.Timestamp, label_days: int) -> pd.Timestamp:
    """The moment from which the label of `as_of` is complete (gap + horizon + lag days later)."""
    return as_of + label_days * DAY


def replay_origin(
    as_ofs: Iterable[pd.Timestamp],
    at: pd.Timestamp,
    *,
    label_days: int,
    calibration_cutoffs: int = 2,
    min_train: int = 1,
    max_train: int | None = None,
) -> Origin | None:
    """The origin that tests at `at` using only labels known by then.

    Calibration is the last `calibration_cutoffs` dates mature at `at`; training is the dates
    mature at the first of these, at least `min_train` and the latest `max_train` of them.
    None when the dates before `at` do not suffice. Raises ValueError on impossible counts.
    """
    if calibration_cutoffs < 1 or min_train < 1 or label_days < 0:
        raise ValueError(
            "calibration_cutoffs and min_train must be at least 1 and label_days not negative, "
            f"got {calibration_cutoffs}, {min_train} and {label_days}."
        )
    if max_train is not None and max_train < min_train:
        raise ValueError(f"max_train ({max_train}) is below min_train ({min_train}).")
    dates = _in_order(as_ofs)
    calibration = _mature(dates, at, label_days)[-calibration_cutoffs:]
    if len(calibration) < calibration_cutoffs:
        return None
    train = _mature(dates, calibration[0], label_days)
    if len(train) < min_train:
        return None
    return Origin(at, calibration, train if max_train is None else train[-max_train:])


def test_origins(
    as_ofs: Iterable[pd.Timestamp],
    observed_until: pd.Timestamp,
    n: int,
    *,
    label_days: int,
    calibration_cutoffs: int = 2,
    min_train: int = 1,
    max_train: int | None = None,
) -> tuple[Origin, ...]:
    """The last `n` origins whose own test labels are complete by `observed_until`, in time order.

    Fewer than `n` when the data are short, none when they are too short (see `why_no_origin`).
    """
    dates = _in_order(as_ofs)
    origins = (
        replay_origin(
            dates,
            date,
            label_days=label_days,
            calibration_cutoffs=calibration_cutoffs,
            min_train=min_train,
            max_train=max_train,
        )
        for date in dates
        if label_end(date, label_days) <= observed_until
    )
    found = tuple(origin for origin in origins if origin is not None)
    return found[-n:] if n > 0 else ()


def tuning_folds(
    as_ofs: Iterable[pd.Timestamp], at: pd.Timestamp, n: int, *, label_days: int, min_train: int = 1
) -> tuple[Origin, ...]:
    """Forward-chaining folds within the past of `at`, for choosing settings; in time order.

    The last `n` dates whose own labels are complete at `at`, each tested by training on the dates
    mature at it, at least `min_train`; nobody calibrates. Fewer than `n` when the past is short.
    """
    dates = _in_order(as_ofs)
    folds = (
        Origin(date, (), _mature(dates, date, label_days))
        for date in _mature(dates, at, label_days)
    )
    found = tuple(fold for fold in folds if len(fold.train) >= min_train)
    return found[-n:] if n > 0 else ()


def production_origin(
    as_ofs: Iterable[pd.Timestamp],
    *,
    label_days: int,
    calibration_cutoffs: int = 2,
    min_train: int = 1,
    max_train: int | None = None,
) -> Origin | None:
    """The origin at the last as-of date: the model that scores today's customers."""
    dates = _in_order(as_ofs)
    if not dates:
        return None
    return replay_origin(
        dates,
        dates[-1],
        label_days=label_days,
        calibration_cutoffs=calibration_cutoffs,
        min_train=min_train,
        max_train=max_train,
    )


def why_no_origin(
    as_ofs: Iterable[pd.Timestamp],
    *,
    label_days: int,
    observed_until: pd.Timestamp | None = None,
    calibration_cutoffs: int = 2,
    min_train: int = 1,
    timezone: str = "UTC",
) -> dict[str, str] | None:
    """Why there is no origin and how much data is missing, as {"en": ..., "ja": ...}.

    Without `observed_until` it speaks of the production origin, with it of the test origins.
    None when an origin exists. Dates are printed in `timezone`. The estimate continues the
    as-of dates at their own spacing (monthly when there is only one).
    """
    dates = [date.tz_convert(timezone).tz_localize(None) for date in _in_order(as_ofs)]
    if not dates:
        return {
            "en": "There are no as-of dates, so nothing can be trained.",
            "ja": "基準日がないため、モデルを学習できません。",
        }
    first, last, step = dates[0], dates[-1], _spacing(dates)

    def has_origin(at: pd.Timestamp) -> bool:
        origin = replay_origin(
            dates,
            at,
            label_days=label_days,
            calibration_cutoffs=calibration_cutoffs,
            min_train=min_train,
        )
        return origin is not None

    at = next((date for date in dates if has_origin(date)), None)
    while at is None:
        dates.append(dates[-1] + step)
        at = dates[-1] if has_origin(dates[-1]) else None

    run = f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}"
    if observed_until is None:
        if at <= last:
            return None
        months = _months(at - last)
        return {
            "en": (
                f"A label is complete {label_days} days after its as-of date, so a first model "
                f"can be trained for {at:%Y-%m-%d}; the as-of dates run from {run[0]} to {run[1]}. "
                f"About {months} more {_plural(months)} of data are needed."
            ),
            "ja": (
                f"ラベルは基準日の{label_days}日後に確定するため、最初のモデルを学習できるのは"
                f"{at:%Y-%m-%d}です。現在の基準日は{run[0]}から{run[1]}までで、"
                f"あと約{months}か月分のデータが必要です。"
            ),
        }
    end = observed_until.tz_convert(timezone).tz_localize(None)
    needed = label_end(at, label_days)
    if needed <= end and at <= last:
        return None
    months = _months(needed - end)
    return {
        "en": (
            f"A label is complete {label_days} days after its as-of date, so a first model can be "
            f"tested on {at:%Y-%m-%d} with data until {needed:%Y-%m-%d}; the as-of dates run from "
            f"{run[0]} to {run[1]} and the data end on {end:%Y-%m-%d}. "
            f"About {months} more {_plural(months)} of data are needed."
        ),
        "ja": (
            f"ラベルは基準日の{label_days}日後に確定するため、最初のモデルを検証できる基準日は"
            f"{at:%Y-%m-%d}で、{needed:%Y-%m-%d}までのデータが必要です。現在の基準日は"
            f"{run[0]}から{run[1]}まで、データは{end:%Y-%m-%d}までです。"
            f"あと約{months}か月分のデータが必要です。"
        ),
    }


def _in_order(as_ofs: Iterable[pd.Timestamp]) -> tuple[pd.Timestamp, ...]:
    return tuple(sorted(set(as_ofs)))


def _mature(
    dates: Iterable[pd.Timestamp], at: pd.Timestamp, label_days: int
) -> tuple[pd.Timestamp, ...]:
    # As-of dates are local midnights: a clock change between two of them moves the difference
    # by an hour, and rounding to whole days gives the calendar days that were meant.
    return tuple(date for date in dates if round((at - date) / DAY) >= label_days)


def _spacing(dates: list[pd.Timestamp]) -> pd.DateOffset:
    """The step that continues local dates: whole months if all fall on one day of the month."""
    if len(dates) == 1:
        return pd.DateOffset(months=1)
    days = (dates[-1] - dates[0]) / DAY / (len(dates) - 1)
    if len({date.day for date in dates}) == 1 and days >= 28:
        return pd.DateOffset(months=round(days / DAYS_PER_MONTH))
    return pd.DateOffset(days=max(1, round(days)))


def _months(missing: pd.Timedelta) -> int:
    # Two 31-day months are 2.04 average ones and must still read as 2.
    return max(1, math.ceil(missing / DAY / DAYS_PER_MONTH - 0.05))


def _plural(months: int) -> str:
    return "month" if months == 1 else "months"
