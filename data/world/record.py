"""What the company's systems make of the truth: delay, gaps, mistakes, corrections, duplicates.

Everything is decided per row by a keyed draw, so the result does not depend on how customers are
grouped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.world.draws import Array, happens, normal, uniform
from data.world.parameters import World
from data.world.process import History

DUPLICATED = 0.002  # share of rows exported twice
UNKNOWN_CUSTOMER = 0.0004  # shares of rows with one fault each
CLOCK_WRONG = 0.0004  # recorded as known a day before it happened
BEFORE_SIGN_UP = 0.0004
WITHOUT_FAULTS = ("qa_reviews", "reviews", "social_mentions", "referrals", "feedback")
"""Tables with few rows, kept by hand: there a single broken row would be a large share."""
BROKEN_VALUE = 0.0006  # an impossible number; `data.world.tables.FAULTS` says which

GUEST = 5_000_000  # added to a customer's number while they are not known to be the same
STRANGER = 9_000_000  # added to a customer's number to make it unknown
MICROSECONDS_PER_HOUR = 3_600_000_000
MOMENT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Rows:
    """Rows of one raw table before they are recorded.

    `id` is unique per event, `customer` is the customer's number, `at` is in hours since the
    start. `columns` holds numpy arrays (NaN = missing) or Arrow arrays. `recorded` is when the
    row was entered (default: `at`); `version` counts the corrections of one event.
    """

    id: Array
    customer: Array
    at: Array
    columns: dict[str, Array | pa.Array]
    version: Array | int = 1
    recorded: Array | None = None

    def keep(self, mask: Array) -> Rows:
        """The rows for which `mask` is true."""
        return self.take(np.flatnonzero(mask))

    def take(self, rows: Array) -> Rows:
        """The rows at these positions, in this order."""

        return Rows(
            id=self.id[rows],
            customer=self.customer[rows],
            at=self.at[rows],
            columns={
                name: values.take(pa.array(rows)) if isinstance(values, pa.Array) else values[rows]
                for name, values in self.columns.items()
            },
            version=self.version if isinstance(self.version, int) else self.version[rows],
            recorded=None if self.recorded is None else self.recorded[rows],
        )


def stack(parts: list[Rows]) -> Rows:
    """Rows of several kinds of events, which must have the same columns."""
    columns: dict[str, Array | pa.Array] = {}
    for name in parts[0].columns:
        values = [part.columns[name] for part in parts]
        if isinstance(values[0], pa.DictionaryArray):
            columns[name] = pa.chunked_array(values).unify_dictionaries().combine_chunks()
        elif isinstance(values[0], pa.Array):
            columns[name] = pa.concat_arrays(values)
        else:
            columns[name] = np.concatenate(values)
    version = [np.broadcast_to(part.version, part.id.shape) for part in parts]
    recorded = [part.at if part.recorded is None else part.recorded for part in parts]
    return Rows(
        id=np.concatenate([part.id for part in parts]),
        customer=np.concatenate([part.customer for part in parts]),
        at=np.concatenate([part.at for part in parts]),
        columns=columns,
        version=np.concatenate(version),
        recorded=np.concatenate(recorded),
    )


def label(codes: Array, names: tuple[str, ...], missing: Array | None = None) -> pa.Array:
    """Strings `names[code]`; null where `missing`."""
    return pa.DictionaryArray.from_arrays(
        pa.array(codes.astype(np.int16), mask=missing), pa.array(names)
    )


def constant(name: str | None, size: int) -> pa.Array:
    """The same string (or null) in every row."""
    if name is None:
        return label(np.zeros(size, int), ("",), np.ones(size, bool))
    return label(np.zeros(size, int), (name,))


def numbered(prefix: str, numbers: Array, missing: Array | None = None, width: int = 0) -> pa.Array:
    """Identifiers such as T000012; null where `missing`."""
    digits = pc.cast(pa.array(numbers.astype(np.int64), mask=missing), pa.string())
    if width:
        digits = pc.utf8_lpad(digits, width, "0")
    return pc.binary_join_element_wise(prefix, digits, "")


def customer_name(numbers: Array) -> pa.Array:
    """Identifiers such as C0000012."""
    return numbered("C", numbers, width=7)


@dataclass(frozen=True)
class Recorder:
    """Turns rows into the Arrow table that the company exports.

    `start` and `end` are microseconds since the epoch, UTC; only rows known before `end` exist.
    `signup` gives hours since start by customer number.
    """

    world: World
    seed: int
    start: int
    end: int
    first_customer: int
    signup: Array
    faults: dict[str, Callable[[dict, Array], None]] = field(default_factory=dict)

    def table(self, name: str, prefix: str, rows: Rows) -> pa.Table:
        """One Arrow table, sorted by customer, event time and identifier."""
        version = np.broadcast_to(rows.version, rows.id.shape)
        known = self._known(name, rows, version)
        twice = happens(self.seed, f"twice {name}", DUPLICATED, rows.id, version)
        owner = rows.customer % GUEST
        rows, known = self._spoil(name, rows, version, known)

        at, known_at = self._microseconds(rows.at), self._microseconds(known)
        order = np.lexsort((version, rows.id, at, owner))
        order = order[known_at[order] < self.end]
        order = np.repeat(order, np.where(twice[order], 2, 1))
        positions = pa.array(order)
        event = customer_name(rows.id) if name == "customers" else numbered(prefix, rows.id)
        arrays: dict[str, pa.Array] = {
            "event_id": event.take(positions),
            "record_version": pa.array(version[order]),
            "customer_id": customer_name(rows.customer[order]),
            "event_at": pa.array(at[order]).cast(MOMENT),
            "known_at": pa.array(known_at[order]).cast(MOMENT),
        }
        for column, values in rows.columns.items():
            whole = values if isinstance(values, pa.Array) else pa.array(values, from_pandas=True)
            part = whole.take(positions)
            if isinstance(part, pa.DictionaryArray):
                part = part.dictionary_decode()
            arrays[column] = part
        return pa.table(arrays)

    def _known(self, name: str, rows: Rows, version: Array) -> Array:
        """When (hours) each row could first be read; a correction never before the first record."""
        known = self._readable(name, rows, version)
        later = np.flatnonzero(version > 1)
        if later.size:
            first = replace(rows.take(later), recorded=None)
            readable = self._readable(name, first, np.ones(later.size, version.dtype))
            known[later] = np.maximum(known[later], readable + 0.1)
        return known

    def _readable(self, name: str, rows: Rows, version: Array) -> Array:
        """Lognormal lag after the entry; for a few rows more than three days."""
        world, seed = self.world, self.seed
        lag = world.known_lag_median_hours * np.exp(
            world.known_lag_sigma * normal(seed, f"lag {name}", rows.id, version)
        )
        late = happens(seed, f"late {name}", world.late_share, rows.id, version)
        rare = np.flatnonzero(late)
        u = uniform(seed, f"late by {name}", rows.id[rare], version[rare])
        lag[rare] = 72.0 - 36.0 * np.log(u)
        return (rows.at if rows.recorded is None else rows.recorded) + lag

    def _spoil(self, name: str, rows: Rows, version: Array, known: Array) -> tuple[Rows, Array]:
        """Make a few rows break the contract, each in one way."""
        if name in WITHOUT_FAULTS:
            return rows, known
        luck = uniform(self.seed, f"fault {name}", rows.id, version)
        edges = np.cumsum((UNKNOWN_CUSTOMER, BEFORE_SIGN_UP, CLOCK_WRONG, BROKEN_VALUE))
        fault = np.searchsorted(edges, luck, side="right")
        if name == "customers":
            # A customer whose only version is broken would take all their events along.
            fault[(version == 1) | (fault < 2)] = len(edges)
        signup = self.signup[rows.customer % GUEST - self.first_customer]
        columns = dict(rows.columns)
        if name in self.faults:
            self.faults[name](columns, fault == 3)
        spoilt = replace(
            rows,
            customer=rows.customer + np.where(fault == 0, STRANGER, 0),
            at=np.where(fault == 1, signup - 100.0 - 1e6 * luck, rows.at),
            columns=columns,
        )
        return spoilt, np.where(fault == 2, rows.at - 24.0, known)

    def _microseconds(self, hours: Array) -> Array:
        # Systems record whole seconds.
        return self.start + np.floor(hours * 3600.0).astype(np.int64) * 1_000_000

    def moments(self, hours: Array) -> pa.Array:
        """Timestamps (UTC) for an attribute such as the end of a term; NaN becomes null."""
        empty = np.isnan(hours)
        values = self._microseconds(np.where(empty, 0.0, hours))
        return pa.array(values, mask=empty).cast(MOMENT)


@dataclass(frozen=True)
class Scene:
    """What every table needs: parameters, truth, recorder, and how long it lasts (hours).

    `joining` is how long new customers come; `period` adds the run-off, if any.
    """

    world: World
    seed: int
    history: History
    recorder: Recorder
    period: float
    joining: float

    def seen_leaving(self) -> Array:
        """When (hours) the company sees the customer go: never, without a contract."""
        return np.where(self.history.people.contract, self.history.left, np.inf)

    def opted_in(self) -> Array:
        """Which customers may be written to."""
        return happens(self.seed, "opt in", 0.85, self.history.people.id)


def row_id(customer: Array, week: Array | int, slot: Array | int) -> Array:
    """A number that is unique within a table: customer, week (0 = before the start), slot."""
    return customer * 1_000_000 + (np.asarray(week) + 1) * 1000 + slot
