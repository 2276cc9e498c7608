"""scikit-learn's own conformance tests, and what they do not ask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import expit
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import estimator_checks_generator

from models.classifier import RetentionClassifier

ESTIMATOR = RetentionClassifier(
    settings={"num_iterations": 40, "learning_rate": 0.3, "lambda_l2": 0.1}
)
# The check of other array libraries runs only where SciPy was started in a special mode.
CHECKS = [
    (estimator, check)
    for estimator, check in estimator_checks_generator(ESTIMATOR, mark=None)
    if "array_api" not in str(check)
]


@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=[str(i) for i in range(len(CHECKS))])
def test_it_keeps_scikit_learns_contract(
    estimator: RetentionClassifier, check: Callable[[RetentionClassifier], None]
) -> None:
    check(estimator)


def simulated(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    X = generator.normal(0, 1, (rows, 3))
    p = expit(X[:, 0] - 2)
    return X, np.where(generator.random(rows) < p, "leaves", "stays"), p


def test_probabilities_follow_the_classes_in_order_and_are_calibrated() -> None:
    X, y, p = simulated(6000)
    model = RetentionClassifier().fit(X[:4000], y[:4000])
    assert list(model.classes_) == ["leaves", "stays"]
    found = model.predict_proba(X[4000:])
    assert np.corrcoef(found[:, 0], p[4000:])[0, 1] > 0.9
    assert found[:, 0].mean() == pytest.approx(p[4000:].mean(), abs=0.03)


def test_it_works_inside_scikit_learns_tools() -> None:
    X, y, _ = simulated(3000)
    scores = cross_val_score(RetentionClassifier(), X, y == "leaves", scoring="roc_auc", cv=3)
    assert scores.min() > 0.65


def test_the_last_rows_calibrate() -> None:
    X, y, _ = simulated(4000)
    late = y.copy()
    late[-800:] = np.where(np.random.default_rng(1).random(800) < 0.5, "leaves", "stays")
    plain, moved = (RetentionClassifier().fit(X, labels) for labels in (y, late))
    assert moved.model_.text == plain.model_.text  # the trees saw the earlier rows only
    assert moved.predict_proba(X)[:, 0].mean() > plain.predict_proba(X)[:, 0].mean() + 0.1


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_an_impossible_share_is_refused(share: float) -> None:
    X, y, _ = simulated(100)
    with pytest.raises(ValueError, match="calibration_share"):
        RetentionClassifier(calibration_share=share).fit(X, y)
