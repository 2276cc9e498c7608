"""The model with scikit-learn's interface, for its tools and for tables that are not ours.

The pipeline itself uses `models.estimator.RetentionModel`, which is told which rows train and which
calibrate. Here rows come in time order: the last of them calibrate, the earlier ones train.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from models.estimator import RetentionModel


class RetentionClassifier(ClassifierMixin, BaseEstimator):
    """LightGBM on float32 with Platt calibration on the last rows, for numeric features.

    `settings` overrides `models.estimator.DEFAULT_PARAMS`; the last `calibration_share` of the
    rows, which must hold both classes for more than a shift of level, calibrate. Missing values are
    welcome. There are no sample or class weights: they would distort the probabilities.
    """

    classes_: np.ndarray
    model_: RetentionModel

    def __init__(
        self,
        *,
        settings: dict[str, float] | None = None,
        calibration_share: float = 0.2,
        seed: int = 0,
        threads: int = 1,
    ) -> None:
        self.settings = settings
        self.calibration_share = calibration_share
        self.seed = seed
        self.threads = threads

    def fit(self, X: Any, y: Any) -> Self:
        """Train and calibrate on rows in time order.

        Raises ValueError unless y has two classes and the earlier rows hold both.
        """
        X, y = validate_data(self, X, y, dtype=np.float32, ensure_all_finite="allow-nan")
        check_classification_targets(y)
        self.classes_, outcome = np.unique(y, return_inverse=True)
        if len(self.classes_) != 2:
            raise ValueError(
                "Only binary classification is supported: y must have two classes, it has "
                f"{len(self.classes_)} class(es)."
            )
        if not 0 < self.calibration_share < 1:
            raise ValueError(f"calibration_share must be in (0, 1), got {self.calibration_share}.")
        late = max(1, round(self.calibration_share * len(y)))
        rows = np.arange(len(y))
        self.model_ = RetentionModel.fit(
            self._frame(X),
            outcome.astype(np.float64),
            fit_rows=rows[:-late],
            calibration_rows=rows[-late:],
            features=self._names(),
            params=self.settings,
            seed=self.seed,
            threads=self.threads,
        )
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Calibrated probabilities, float64 (rows, 2), in the order of `classes_`."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, ensure_all_finite="allow-nan", reset=False)
        p = self.model_.predict(self._frame(X))
        return np.column_stack([1 - p, p])

    def predict(self, X: Any) -> np.ndarray:
        """The likelier class of every row."""
        likelier = (self.predict_proba(X)[:, 1] > 0.5).astype(int)
        return self.classes_[likelier]

    def _names(self) -> list[str]:
        # LightGBM renames columns with characters it does not like; positions are safe.
        return [f"x{position}" for position in range(self.n_features_in_)]

    def _frame(self, X: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(X, columns=self._names(), copy=False)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        return tags
