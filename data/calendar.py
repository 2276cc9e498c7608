"""When support is open: hours, weekdays and public holidays (METHODS B).

A `WorkingCalendar` belongs to a source. Opening and closing are wall-clock times in the source's
time zone, so they follow daylight saving; everything else is counted in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

_TIME = re.compile(r"([01]\d|2[0-4]):([0-5]\d)")
_DAYS = re.compile(r"(\d\d-\d\d)(?:\.\.(\d\d-\d\d))?")

SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US


class WorkingCalendar(BaseModel):
    """Opening hours; the default is METHODS B: 09:00-18:00 Monday to Friday in Japan, less public
    holidays and 29 December to 3 January.

    `country` (ISO 3166-1 alpha-2) and `subdivision` choose the public holidays; None = none.
    `weekdays` are ISO numbers, Monday 1. `closed` are days of every year, "12-25" or
    "12-29..01-03", both ends included. `closes` may be "24:00".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    country: str | None = "JP"
    subdivision: str | None = None
    opens: str = "09:00"
    closes: str = "18:00"
    weekdays: tuple[int, ...] = (1, 2, 3, 4, 5)
    closed: tuple[str, ...] = ("12-29..01-03",)

    @field_validator("opens", "closes")
    @classmethod
    def _is_time(cls, value: str) -> str:
        if not _TIME.fullmatch(value) or value > "24:00":
            raise ValueError(f"{value!r} is not a time of day such as '09:00'")
        return value

    @field_validator("weekdays")
    @classmethod
    def _are_weekdays(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or not set(value) <= set(range(1, 8)):
            raise ValueError("weekdays are numbers from 1 (Monday) to 7 (Sunday), at least one")
        return value

    @field_validator("closed")
    @classmethod
    def _are_days(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            found = _DAYS.fullmatch(item)
            if not found:
                raise ValueError(f"{item!r} is not a day '12-25' or a range '12-29..01-03'")
            for day in filter(None, found.groups()):
                date.fromisoformat(f"2024-{day}")
        return value

    @model_validator(mode="after")
    def _opens_and_has_holidays(self) -> WorkingCalendar:
        if self.opens >= self.closes:
            raise ValueError(f"opens {self.opens} is not before closes {self.closes}")
        if self.country is not None:
            public_holidays(self.country, self.subdivision, range(2024, 2025))
        elif self.subdivision is not None:
            raise ValueError("a subdivision needs a country")
        return self

    def is_open_on(self, day: date, holidays: Collection[date]) -> bool:
        """Whether support opens at all on `day`."""
        return (
            day.isoweekday() in self.weekdays
            and day not in holidays
            and not any(_within(f"{day:%m-%d}", item) for item in self.closed)
        )


@dataclass(frozen=True)
class Hours:
    """Opening times of successive local days from `first` on, in microseconds.

    `opens` is the instant (UTC, since 1970), `length` how long support is then open (0 on closed
    days), `before` the opening time of all earlier days together.
    """

    first: date
    opens: tuple[int, ...]
    length: tuple[int, ...]
    before: tuple[int, ...]


def opening_hours(calendar: WorkingCalendar, first: date, last: date, time_zone: str) -> Hours:
    """The opening times of every local day from `first` to `last`, both included."""
    zone = ZoneInfo(time_zone)
    holidays: Collection[date] = ()
    if calendar.country is not None:
        years = range(first.year, last.year + 1)
        holidays = public_holidays(calendar.country, calendar.subdivision, years)
    days = [first + timedelta(days=i) for i in range((last - first).days + 1)]
    opens = tuple(_instant(day, calendar.opens, zone) for day in days)
    length = tuple(
        _instant(day, calendar.closes, zone) - begin if calendar.is_open_on(day, holidays) else 0
        for day, begin in zip(days, opens, strict=True)
    )
    return Hours(first, opens, length, tuple(accumulate(length, initial=0))[:-1])


def public_holidays(country: str, subdivision: str | None, years: range) -> frozenset[date]:
    """The public holidays of these years. Raises ValueError for an unknown country."""
    import holidays

    try:
        return frozenset(holidays.country_holidays(country, subdiv=subdivision, years=years))
    except NotImplementedError as error:
        raise ValueError(
            f"no public holidays for {country} {subdivision or ''}: {error}"
        ) from error


def _within(day: str, item: str) -> bool:
    first, _, last = item.partition("..")
    last = last or first
    return first <= day <= last if first <= last else day >= first or day <= last


def _instant(day: date, at: str, zone: ZoneInfo) -> int:
    """Microseconds since 1970 UTC of a local time; 24:00 is the next midnight."""
    if at == "24:00":
        day, at = day + timedelta(days=1), "00:00"
    local = datetime.combine(day, time.fromisoformat(at), tzinfo=zone)
    return round((local - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * SECOND_US
