"""Business hours: opening times by local clock, weekday, holiday, closed day (METHODS B, I.5)."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from data.calendar import HOUR_US, WorkingCalendar, opening_hours

JAPAN = WorkingCalendar()
ALWAYS = WorkingCalendar(
    country=None, opens="00:00", closes="24:00", weekdays=(1, 2, 3, 4, 5, 6, 7), closed=()
)


def hours(
    calendar: WorkingCalendar, since: datetime, until: datetime, zone: str = "Asia/Tokyo"
) -> float:
    """Hours of opening between two instants, read off the days' opening times."""
    first = since.astimezone(ZoneInfo(zone)).date()
    days = opening_hours(calendar, first, until.astimezone(ZoneInfo(zone)).date(), zone)
    a, b = (round(at.timestamp() * 1e6) for at in (since, until))
    opened = (
        max(min(at + length, b) - max(at, a), 0)
        for at, length in zip(days.opens, days.length, strict=True)
    )
    return sum(opened) / HOUR_US


def tokyo(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Tokyo"))


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("2024-06-14T17:30", "2024-06-17T09:30", 1.0),  # Friday to Monday
        ("2024-12-30T10:00", "2025-01-06T10:00", 1.0),  # 4 January 2025 is a Saturday
        ("2023-12-30T10:00", "2024-01-04T10:00", 1.0),  # 4 January 2024 is a Thursday
        ("2024-05-02T17:00", "2024-05-07T10:00", 2.0),  # 3 to 6 May are holidays
        ("2024-06-12T00:00", "2024-06-13T00:00", 9.0),
        ("2024-06-12T09:00", "2024-06-12T09:00", 0.0),
        ("2024-06-12T18:00", "2024-06-13T09:00", 0.0),
    ],
)
def test_hours_of_opening_in_japan(since: str, until: str, expected: float) -> None:
    assert hours(JAPAN, tokyo(since), tokyo(until)) == expected


def test_an_always_open_calendar_counts_every_hour_over_daylight_saving() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    for month, day, length in ((3, 31, 23), (10, 27, 25)):
        since = datetime(2024, month, day, tzinfo=berlin)
        until = datetime(2024, month, day, tzinfo=berlin) + timedelta(days=1)
        assert hours(ALWAYS, since, until, "Europe/Berlin") == length


def test_opening_follows_the_local_clock_over_daylight_saving() -> None:
    office = WorkingCalendar(country=None, closed=())
    days = opening_hours(office, date(2024, 3, 29), date(2024, 4, 1), "Europe/Berlin")
    utc = [datetime.fromtimestamp(at / 1e6, UTC).hour for at in days.opens]
    assert utc == [8, 8, 7, 7]
    assert [length / HOUR_US for length in days.length] == [9, 0, 0, 9]
    assert [before / HOUR_US for before in days.before] == [0, 9, 9, 9]


def test_closed_days_reach_over_the_new_year_and_may_be_single() -> None:
    calendar = WorkingCalendar(country=None, closed=("12-29..01-03", "07-04"))
    closed = [date(2024, 12, 30), date(2025, 1, 1), date(2025, 1, 3), date(2025, 7, 4)]
    assert not any(calendar.is_open_on(day, ()) for day in closed)
    assert calendar.is_open_on(date(2025, 1, 6), ()) and calendar.is_open_on(date(2024, 7, 5), ())


def test_holidays_are_those_of_the_country_and_its_part() -> None:
    for calendar, day in (
        (JAPAN, date(2024, 2, 23)),
        (WorkingCalendar(country="CA", subdivision="ON", closed=()), date(2018, 2, 19)),
        (WorkingCalendar(country="GB", subdivision="ENG", closed=()), date(2011, 4, 29)),
    ):
        (length,) = opening_hours(calendar, day, day, "UTC").length
        assert length == 0
        (length,) = opening_hours(WorkingCalendar(country=None), day, day, "UTC").length
        assert length > 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"country": "XX"}, "no public holidays for XX"),
        ({"country": None, "subdivision": "ON"}, "needs a country"),
        ({"opens": "9:00"}, "not a time of day"),
        ({"closes": "24:30"}, "not a time of day"),
        ({"opens": "18:00", "closes": "09:00"}, "not before"),
        ({"weekdays": (0,)}, "weekdays are numbers"),
        ({"closed": ("13-01",)}, "month must be in 1..12"),
        ({"closed": ("1-1",)}, "not a day"),
        ({"open": "09:00"}, "Extra inputs"),
    ],
)
def test_a_calendar_that_makes_no_sense_is_refused(values: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        WorkingCalendar(**values)


@settings(max_examples=40, deadline=None)
@given(
    since=st.datetimes(datetime(2024, 3, 1), datetime(2024, 11, 30)),
    minutes=st.integers(0, 20 * 24 * 60),
    zone=st.sampled_from(["Asia/Tokyo", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]),
    opens=st.sampled_from(["00:00", "02:30", "09:00"]),
    closes=st.sampled_from(["17:45", "24:00"]),
)
def test_opening_hours_equal_a_count_of_open_minutes(
    since: datetime, minutes: int, zone: str, opens: str, closes: str
) -> None:
    """Minute by minute, asking the wall clock whether support is open."""
    calendar = WorkingCalendar(country="DE", opens=opens, closes=closes, closed=("08-15",))
    begin = since.replace(second=0, microsecond=0, tzinfo=UTC)
    holidays = opening_hours(WorkingCalendar(country="DE", closed=("08-15",)), *_YEAR, "UTC")
    open_days = {_YEAR[0] + timedelta(days=i) for i, n in enumerate(holidays.length) if n}
    home, start = ZoneInfo(zone), time.fromisoformat(opens)
    end = time.max if closes == "24:00" else time.fromisoformat(closes)
    count = 0
    for i in range(minutes):
        local = (begin + timedelta(minutes=i)).astimezone(home)
        count += local.date() in open_days and start <= local.time() < end
    found = hours(calendar, begin, begin + timedelta(minutes=minutes), zone)
    assert found * 60 == pytest.approx(count)


_YEAR = (date(2024, 1, 1), date(2024, 12, 31))
