"""The model and its files: what goes in, what comes out, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from models.calibration import Platt
from models.estimator import Encoder, ModelError, RetentionModel, fitted_settings

ROWS = 3000
FIT, CALIBRATION, TEST = np.arange(1500), np.arange(1500, 2200), np.arange(2200, ROWS)
FEATURES = ["wait_hours", "tickets", "escalated", "language", "noise"]
CATEGORIES = ["language"]
PARAMS = {"num_iterations": 60, "learning_rate": 0.1, "lambda_l2": 1.0}


def table(rows: int = ROWS, seed: int = 7) -> tuple[pd.DataFrame, np.ndarray]:
    """Waiting and escalation drive churn, Japanese speakers stay, noise is noise."""
    rng = np.random.default_rng(seed)
    wait = rng.exponential(8, rows)
    escalated = (rng.random(rows) < 0.2).astype(float)
    language = rng.choice(["en", "ja", "zh"], rows)
    y = rng.random(rows) < expit(-2 + 0.1 * wait + 1.2 * escalated - 1.0 * (language == "ja"))
    wait[rng.random(rows) < 0.3] = np.nan
    frame = pd.DataFrame(
        {
            "customer_id": [f"C{i}" for i in range(rows)],
            "wait_hours": wait.astype(np.float32),
            "tickets": rng.poisson(2, rows).astype(np.float32),
            "escalated": escalated.astype(np.float32),
            "language": language,
            "noise": rng.normal(size=rows).astype(np.float32),
        }
    )
    return frame, y.astype(float)


def fit(frame: pd.DataFrame, y: np.ndarray, **changes: Any) -> RetentionModel:
    options: dict[str, Any] = {
        "fit_rows": FIT,
        "calibration_rows": CALIBRATION,
        "features": FEATURES,
        "categories": CATEGORIES,
        "params": PARAMS,
        "seed": 3,
        "threads": 1,
    }
    return RetentionModel.fit(frame, y, **(options | changes))


@pytest.fixture(scope="module")
def world() -> tuple[pd.DataFrame, np.ndarray]:
    return table()


@pytest.fixture(scope="module")
def model(world) -> RetentionModel:
    return fit(*world, about={"task": "churn", "train": ["2024-01-01"]})


def encoder_of(values: list, rows: list[int] | None = None) -> Encoder:
    frame = pd.DataFrame({"language": pd.Series(values, dtype=object)})
    chosen = slice(None) if rows is None else np.array(rows)
    encoder, _, _ = Encoder.fit(frame, ["language"], ["language"], chosen)
    return encoder


def test_categories_are_coded_in_sorted_order_and_the_unknown_gets_its_own_code():
    encoder = encoder_of(["zh", "en", "ja", "en", None])
    coded = encoder.transform(pd.DataFrame({"language": ["en", "ja", "zh", "ko", None]}))
    np.testing.assert_array_equal(coded[:, 0], np.array([0, 1, 2, 3, np.nan], dtype=np.float32))


def test_only_training_rows_define_the_categories():
    encoder = encoder_of(["ja", "en", "ko"], rows=[0, 1])
    assert encoder.categories["language"] == ("en", "ja")


@pytest.mark.parametrize("dtype", [object, "string", "str", "category"])
def test_every_string_type_of_pandas_gives_the_same_codes(dtype):
    encoder = encoder_of(["en", "ja"])
    column = pd.Series(["ja", "ko", "en"], dtype=dtype)
    coded = encoder.transform(pd.DataFrame({"language": column}))
    np.testing.assert_array_equal(coded[:, 0], [1, 2, 0])


def test_the_matrix_is_what_lightgbm_needs(world):
    frame, _ = world
    encoder, matrix, _ = Encoder.fit(frame, FEATURES, CATEGORIES)
    assert matrix.dtype == np.float32 and matrix.flags.c_contiguous
    np.testing.assert_array_equal(matrix, encoder.transform(frame))
    assert matrix.shape == (ROWS, 5)


def test_numbers_of_any_type_become_float32_with_missing_as_nan():
    frame = pd.DataFrame(
        {
            "count": pd.array([1, None, 3], dtype="Int64"),
            "flag": [True, False, True],
            "amount": [0.5, np.nan, 1.5],
        }
    )
    _, matrix, _ = Encoder.fit(frame, ["amount", "count", "flag"], [])
    expected = np.array([[0.5, 1, 1], [np.nan, np.nan, 0], [1.5, 3, 1]], dtype=np.float32)
    np.testing.assert_array_equal(matrix, expected)


def test_a_value_missing_where_training_had_none_reads_as_typical_not_as_zero():
    frame = pd.DataFrame({"days": [10.0, 20.0, 60.0], "language": ["en", "ja", "ja"]})
    encoder, _, _ = Encoder.fit(frame, ["days", "language"], ["language"])
    blank = pd.DataFrame({"days": [np.nan], "language": [None]})
    assert encoder.transform(blank).tolist() == [[20.0, 2.0]]


def test_an_encoder_survives_json(world):
    encoder, _, _ = Encoder.fit(world[0], FEATURES, CATEGORIES)
    assert Encoder.from_dict(json.loads(json.dumps(encoder.to_dict()))) == encoder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="tickets"), "lacks 1 feature.*'tickets'.*rebuild"),
        (lambda f: f.assign(tickets="many"), "'tickets' must be a number.*cast"),
        (lambda f: f.assign(tickets=pd.Timestamp("2024-01-01")), "'tickets' must be a number"),
        (lambda f: f.assign(language=1), "'language' must hold strings.*cast"),
        (lambda f: f.assign(language=f["language"].where(f.index > 3, 7)), "must hold strings"),
        (lambda f: f.assign(tickets=np.inf), "'tickets' has infinite values"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_with_the_cure(model, world, change, message):
    with pytest.raises(ModelError, match=message):
        model.predict(change(world[0]))


def test_the_model_learns_what_drives_churn_and_is_calibrated(model, world):
    frame, y = world
    p = model.predict(frame.iloc[TEST])
    assert p.dtype == np.float64 and p.shape == (TEST.size,)
    assert roc_auc_score(y[TEST], p) > 0.65
    assert p.mean() == pytest.approx(y[TEST].mean(), abs=0.04)


def test_probability_is_the_platt_of_the_margin(model, world):
    frame = world[0].head(50)
    a, b = model.calibrator.slope, model.calibrator.intercept
    np.testing.assert_array_equal(model.log_odds(frame), a * model.margin(frame) + b)
    np.testing.assert_array_equal(model.predict(frame), expit(model.log_odds(frame)))


def test_shuffled_labels_teach_nothing(world):
    frame, y = world
    aucs = []
    for seed in range(3):
        shuffled = np.random.default_rng(seed).permutation(y)
        p = fit(frame, shuffled).predict(frame.iloc[TEST])
        aucs.append(roc_auc_score(shuffled[TEST], p))
    # Three standard errors of an AUC with about 200 positives and 600 negatives, three draws.
    assert np.mean(aucs) == pytest.approx(0.5, abs=3 * 0.024 / np.sqrt(3))


def test_two_fits_give_the_same_text(model, world):
    again = fit(*world)
    assert again.text == model.text
    assert again.calibrator == model.calibrator
    assert fit(*world, seed=4).text != model.text


def test_labels_outside_the_given_rows_are_never_read(model, world):
    frame, y = world
    hidden = y.copy()
    hidden[TEST] = np.nan
    assert fit(frame, hidden).text == model.text


def test_masks_select_the_same_rows_as_positions(model, world):
    rows = np.arange(ROWS)
    masked = fit(*world, fit_rows=rows < 1500, calibration_rows=(rows >= 1500) & (rows < 2200))
    assert masked.text == model.text and masked.calibrator == model.calibrator


def test_the_column_order_of_the_table_does_not_matter(model, world):
    frame, y = world
    reordered = frame[list(reversed(frame.columns))]
    np.testing.assert_array_equal(model.predict(reordered), model.predict(frame))
    assert fit(reordered, y).text == model.text


def test_columns_without_information_are_dropped_and_recorded(world):
    frame, y = world
    frame = frame.assign(
        empty=np.float32(np.nan),
        nobody_said=None,
        always_one=np.float32(1),
        sometimes_one=np.where(frame["tickets"] > 2, 1, np.nan).astype(np.float32),
    )
    added = ["empty", "nobody_said", "always_one", "sometimes_one"]
    model = fit(frame, y, features=[*added, *FEATURES], categories=["language", "nobody_said"])
    assert model.record["dropped"] == {
        "empty": "all missing",
        "nobody_said": "all missing",
        "always_one": "constant",
    }
    assert model.features == ("sometimes_one", *FEATURES)
    without = frame.drop(columns=added[:3])
    np.testing.assert_array_equal(model.predict(without), model.predict(frame))


def test_a_tiny_table_gets_small_leaves_and_still_a_probability():
    frame, y = table(rows=120)
    model = fit(frame, y, fit_rows=np.arange(80), calibration_rows=np.arange(80, 120), params={})
    assert model.record["params"]["min_data_in_leaf"] == 5
    p = model.predict(frame)
    assert ((p > 0) & (p < 1)).all()


def test_enough_rows_keep_the_requested_leaf_size(model):
    assert model.record["params"]["min_data_in_leaf"] == 1500 // 40
    asked = fit(*table(), params=PARAMS | {"min_data_in_leaf": 20})
    assert asked.record["params"]["min_data_in_leaf"] == 20


def test_the_record_counts_rows_and_positives(model, world):
    _, y = world
    assert model.record["rows"] == {"fit": 1500, "calibration": 700}
    assert model.record["positives"] == {
        "fit": y[FIT].sum(),
        "calibration": y[CALIBRATION].sum(),
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"params": {"num_leafs": 3}}, "num_leafs"),
        ({"features": ["tickets", "tickets"], "categories": []}, "listed twice"),
        ({"features": ["tickets"]}, "not features.*language"),
        ({"features": ["tickets", "absent"], "categories": []}, "absent"),
        ({"fit_rows": np.array([], dtype=int)}, "training rows must exist"),
        ({"calibration_rows": np.array([], dtype=int)}, "calibration rows must exist"),
    ],
)
def test_an_impossible_fit_is_refused_with_the_reason(world, changes, message):
    with pytest.raises(ModelError, match=message):
        fit(*world, **changes)


def test_unlabelled_rows_and_a_single_outcome_are_refused(world):
    frame, y = world
    unlabelled = y.copy()
    unlabelled[FIT[0]] = np.nan
    with pytest.raises(ModelError, match="labelled"):
        fit(frame, unlabelled)
    with pytest.raises(ModelError, match="same outcome"):
        fit(frame, np.zeros(ROWS))
    with pytest.raises(ModelError, match="constant or missing"):
        fit(frame.assign(tickets=1.0), y, features=["tickets"], categories=[])
    with pytest.raises(ModelError, match="one per row"):
        fit(frame, y[:-1])


def test_contributions_and_base_add_up_to_the_calibrated_log_odds(model, world):
    frame = world[0].iloc[TEST]
    values, base = model.contributions(frame)
    assert values.shape == (TEST.size, len(FEATURES)) and values.dtype == np.float64
    np.testing.assert_allclose(values.sum(axis=1) + base, model.log_odds(frame), atol=1e-9)


def test_contributions_of_no_rows_still_have_a_base(model, world):
    frame = world[0]
    values, base = model.contributions(frame.head(0))
    assert values.shape == (0, len(FEATURES))
    assert base == model.contributions(frame)[1]
    assert model.predict(frame.head(0)).shape == (0,)


def test_contributions_point_the_way_the_world_was_made(model, world):
    frame = world[0].iloc[TEST]
    values, _ = model.contributions(frame)
    escalated = (frame["escalated"] == 1).to_numpy()
    japanese = (frame["language"] == "ja").to_numpy()
    assert values[escalated, 2].mean() > 0.3 > 0 > values[~escalated, 2].mean()
    assert values[japanese, 3].mean() < -0.1
    assert np.abs(values[:, 4]).mean() < np.abs(values[:, 2]).mean() / 2


def test_contributions_that_do_not_add_up_raise(model, world, monkeypatch):
    honest = RetentionModel._raw
    monkeypatch.setattr(RetentionModel, "_raw", lambda self, matrix: honest(self, matrix) + 1e-8)
    with pytest.raises(ModelError, match="SHAP values miss"):
        model.contributions(world[0].head(5))


def test_the_folded_booster_predicts_calibrated_probabilities_by_itself(model, world):
    frame = world[0]
    matrix = model.encoder.transform(frame)
    folded = model.folded_booster()
    np.testing.assert_allclose(folded.predict(matrix), model.predict(frame), rtol=0, atol=1e-12)
    assert model.calibrator.slope != 1.0 and model.calibrator.intercept != 0.0
    assert np.abs(model.booster.predict(matrix) - model.predict(frame)).max() > 1e-3


def test_the_folded_booster_round_trips_as_text_and_explains_alike(model, world):
    frame = world[0].head(200)
    matrix = model.encoder.transform(frame)
    folded = model.folded_booster()
    text = folded.model_to_string()
    again = lgb.Booster(model_str=text)
    assert again.model_to_string() == text
    np.testing.assert_array_equal(again.predict(matrix), folded.predict(matrix))
    values, base = model.contributions(frame)
    explained = np.asarray(again.predict(matrix, pred_contrib=True))
    np.testing.assert_allclose(explained[:, :-1], values, atol=1e-10)
    np.testing.assert_allclose(explained[:, -1], base, atol=1e-10)


def test_a_model_without_a_single_split_predicts_explains_and_folds():
    frame, _ = table(rows=200)
    y = np.tile([0.0, 0.0, 0.0, 1.0], 50)
    model = fit(
        frame,
        y,
        fit_rows=np.arange(9),
        calibration_rows=np.arange(100, 200),
        features=["noise"],
        categories=[],
    )
    p = model.predict(frame)
    assert np.ptp(p) == 0 and p[0] == pytest.approx(0.25, abs=0.02)
    assert np.abs(model.contributions(frame)[0]).max() == 0
    folded = model.folded_booster().predict(model.encoder.transform(frame))
    np.testing.assert_allclose(folded, p, atol=1e-12)


@pytest.fixture
def saved(model, tmp_path) -> Path:
    folder = tmp_path / "models" / "production"
    model.save(folder)
    return folder


def test_a_saved_model_predicts_the_same_bits(model, saved, world):
    loaded = RetentionModel.load(saved)
    frame = world[0]
    np.testing.assert_array_equal(loaded.predict(frame), model.predict(frame))
    np.testing.assert_array_equal(loaded.contributions(frame)[0], model.contributions(frame)[0])
    assert loaded == model


def test_two_saves_write_the_same_bytes_and_nothing_else(model, saved, tmp_path):
    other = tmp_path / "other"
    RetentionModel.load(saved).save(other)
    names = sorted(path.name for path in other.iterdir())
    assert names == ["calibrator.json", "manifest.json", "model.txt"]
    for name in names:
        assert (other / name).read_bytes() == (saved / name).read_bytes()


def test_saving_replaces_an_older_model_as_a_whole(model, saved):
    (saved / "leftover.txt").write_text("from an older version")
    model.save(saved)
    assert sorted(path.name for path in saved.parent.iterdir()) == ["production"]
    assert not (saved / "leftover.txt").exists()


def test_the_remains_of_an_interrupted_save_are_cleared_away(model, saved):
    for remains in (".production.partial", ".production.previous"):
        (saved.parent / remains).mkdir()
        (saved.parent / remains / "model.txt").write_text("half a model")
    model.save(saved)
    assert sorted(path.name for path in saved.parent.iterdir()) == ["production"]
    assert RetentionModel.load(saved) == model


def test_the_manifest_tells_how_the_model_was_made(saved):
    manifest = json.loads((saved / "manifest.json").read_text())
    assert manifest["about"] == {"task": "churn", "train": ["2024-01-01"]}
    assert [entry["name"] for entry in manifest["features"]] == FEATURES
    assert manifest["features"][3]["values"] == ["en", "ja", "zh"]
    assert manifest["lightgbm"] == lgb.__version__
    assert manifest["params"]["num_leaves"] == 4  # 1,500 rows have no more than 5,000 events
    assert set(manifest["sha256"]) == {"model.txt", "calibrator.json", "manifest.json"}


@pytest.mark.parametrize("name", ["model.txt", "calibrator.json"])
def test_an_altered_file_is_refused(saved, name):
    content = (saved / name).read_text()
    (saved / name).write_text(content.replace("1", "2", 1))
    with pytest.raises(ModelError, match=f"{name} is not the file its manifest describes"):
        RetentionModel.load(saved)


@pytest.mark.parametrize("name", ["model.txt", "calibrator.json", "manifest.json"])
def test_a_missing_file_is_named_with_the_stage_that_writes_it(saved, name):
    (saved / name).unlink()
    with pytest.raises(ModelError, match=f"{name} does not exist; run the train stage"):
        RetentionModel.load(saved)


def rewrite_manifest(folder: Path, change) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_a_manifest_with_another_feature_order_is_refused(saved):
    rewrite_manifest(saved, lambda manifest: manifest["features"].reverse())
    with pytest.raises(ModelError, match="other features"):
        RetentionModel.load(saved)


@pytest.mark.parametrize("key", ["features", "sha256", "threads"])
def test_an_incomplete_manifest_is_refused(saved, key):
    rewrite_manifest(saved, lambda manifest: manifest.pop(key))
    with pytest.raises(ModelError, match=rf"manifest.json is incomplete.*{key}"):
        RetentionModel.load(saved)


def test_a_manifest_that_is_not_json_is_refused(saved):
    (saved / "manifest.json").write_text("{")
    with pytest.raises(ModelError, match="is not JSON"):
        RetentionModel.load(saved)


def test_a_category_never_seen_in_training_is_scored(model, world):
    korean = world[0].head(3).assign(language="ko")
    assert np.isfinite(model.predict(korean)).all()
    assert model.encoder.transform(korean)[:, 3].tolist() == [3.0, 3.0, 3.0]


def test_a_reversed_calibration_sample_never_reverses_the_ranking(world):
    frame, y = world
    flipped = y.copy()
    flipped[CALIBRATION] = 1 - y[CALIBRATION]
    model = fit(frame, flipped)
    assert isinstance(model.calibrator, Platt) and model.calibrator.slope == 1.0
    assert "not positive" in model.calibrator.note
    assert roc_auc_score(y[TEST], model.predict(frame.iloc[TEST])) > 0.65


def test_a_weighed_down_feature_gives_way_to_its_twin_and_the_manifest_says_so(world, tmp_path):
    frame, y = world
    number = next(name for name in FEATURES if name not in CATEGORIES)
    twins = frame.assign(twin=frame[number])
    names = ["twin", *FEATURES]
    plain = fit(twins, y, features=names)
    weighed = fit(twins, y, features=names, gain_weights={"twin": 0.5})

    def splits(model: RetentionModel, name: str) -> int:
        return int(model.booster.feature_importance()[model.features.index(name)])

    assert splits(plain, "twin") > 0
    assert splits(weighed, "twin") < splits(weighed, number)
    weighed.save(tmp_path / "model")
    weights = RetentionModel.load(tmp_path / "model").record["params"]["feature_contri"]
    assert weights == [0.5] + [1.0] * (len(weighed.features) - 1)
    assert "feature_contri" not in plain.record["params"]


def outcomes(positives: int, rows: int) -> np.ndarray:
    return (np.arange(rows) < positives).astype(float)


def test_few_events_get_small_trees_and_few_of_them():
    asked = {"num_iterations": 100, "learning_rate": 0.1, "num_leaves": 8, "max_depth": 4}
    enough = fitted_settings(asked, outcomes(5_000, 20_000))
    assert [enough[name] for name in asked] == [100, 0.1, 8, 4]
    few = fitted_settings(asked, outcomes(900, 20_000))
    assert [few[name] for name in asked] == [50, 0.1, 4, 3]
    assert few == fitted_settings(asked, 1 - outcomes(900, 20_000))
    assert fitted_settings(asked, outcomes(50, 20_000))["num_iterations"] == 20
    modest = asked | {"num_iterations": 10, "num_leaves": 2, "max_depth": 1}
    kept = fitted_settings(modest, outcomes(900, 20_000))
    assert [kept[name] for name in modest] == list(modest.values())


def test_trained_on_its_calibration_rows_too_a_model_keeps_its_level_and_spread_on_them(world):
    frame, y = world
    fit_rows, calibration_rows = np.arange(300), np.arange(300, 1500)
    how: dict[str, Any] = {"features": FEATURES, "categories": CATEGORIES, "seed": 3}
    held = RetentionModel.fit(
        frame, y, fit_rows=fit_rows, calibration_rows=calibration_rows, params=PARAMS, **how
    )
    every = np.concatenate([fit_rows, calibration_rows])
    model = held.retrained(frame, y, fit_rows=every, calibration_rows=calibration_rows, **how)
    known, unknown = (m.log_odds(frame.iloc[calibration_rows]) for m in (model, held))
    assert known.mean() == pytest.approx(unknown.mean())
    assert known.std() == pytest.approx(unknown.std())
    assert model.record["rows"] == {"fit": 1500, "calibration": 1200}
    assert model.record["params"] == held.record["params"] | {"min_data_in_leaf": 7}
    new = frame.iloc[1500:]
    values, base = model.contributions(new)
    assert values.sum(axis=1) + base == pytest.approx(model.log_odds(new), abs=1e-9)
    new_y = np.asarray(y)[1500:]
    assert roc_auc_score(new_y, model.predict(new)) > roc_auc_score(new_y, held.predict(new))
