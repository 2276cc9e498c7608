"""The time of year on the as-of date: context that every customer shares (METHODS A)."""

from features.declare import Calendar, Declared, Family

FAMILY = Family("season", lever=False, en="Season", ja="季節")

FEATURES: tuple[Declared, ...] = ()

CALENDAR = (
    Calendar(
        "days_to_year_end",
        "Days until the end of the year",
        "年末までの日数",
        "The year ends in {value}; for customers who stay it is typically {typical}",
        "年末まで{value}です（継続されるお客様の目安：{typical}）",
    ),
)
