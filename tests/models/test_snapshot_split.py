"""The split of a source without times: by customer, never by row order or outcome."""

from __future__ import annotations

import numpy as np
import pandas as pd

from models.splits import customer_origins

AT = pd.Timestamp("2024-06-01", tz="UTC")


def rows(n: int) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": [f"C{i}" for i in range(n)], "as_of": AT})


def test_every_customer_is_in_exactly_one_part_of_about_60_20_and_20_percent() -> None:
    (origin,), _ = customer_origins(AT)
    train, calibration, test = origin.rows(rows(5_000))
    together = np.concatenate([train, calibration, test])
    assert sorted(together) == list(range(5_000))
    shares = [len(part) / 5_000 for part in (train, calibration, test)]
    np.testing.assert_allclose(shares, [0.6, 0.2, 0.2], atol=0.02)


def test_the_part_depends_on_the_id_alone() -> None:
    (origin,), _ = customer_origins(AT)
    every = rows(500)
    shuffled = every.sample(frac=0.5, random_state=1).reset_index(drop=True)
    for whole, half in zip(origin.rows(every), origin.rows(shuffled), strict=True):
        ids = set(every["customer_id"].iloc[whole])
        assert set(shuffled["customer_id"].iloc[half]) == ids & set(shuffled["customer_id"])


def test_the_model_in_use_learns_from_the_tested_customers_too_but_not_from_calibration() -> None:
    (origin,), production = customer_origins(AT)
    train, calibration, test = origin.rows(rows(500))
    final, same, _ = production.rows(rows(500))
    assert set(final) == set(train) | set(test)
    assert list(same) == list(calibration)
