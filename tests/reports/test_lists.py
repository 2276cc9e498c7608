"""The ranked list opens safely in a spreadsheet and says why, in both languages."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from reports import lists
from reports.lists import reason_sentence, write_list
from reports.wording import Catalog

ABOUT = {"data": "3f9c1a", "model": "a81b0c"}
FORMULA = '=HYPERLINK("x","y")'


def reason(feature: str, family: str, value: Any, typical: Any) -> dict[str, Any]:
    return {"feature": feature, "family": family, "lever": True, "value": value,
            "typical": typical, "contribution": 0.3}  # fmt: skip


@pytest.fixture
def frame() -> pd.DataFrame:
    slow = reason("first_response_hours_typical_90d", "responsiveness", 38.2, 1.4)
    renewal = reason("days_to_renewal", "subscription", 12.0, 180.0)
    language = reason("language", "profile", None, None) | {
        "value_text": "en",
        "typical_text": "ja",
    }
    silent = reason("csat_last", "satisfaction", None, 80.0)
    return pd.DataFrame(
        {
            "rank": [1, 2, 3, 4],
            "customer_id": [FORMULA, "山田-002", "-3", "C4"],
            "as_of": pd.to_datetime(["2025-06-01"] * 4, utc=True),
            "probability": [0.413, 0.2, 0.051, 0.01],
            "risk": [0.413, 0.2, 0.051, 0.01],
            "tier": ["high", "medium", "low", "low"],
            "segment": ["+cmd|' /C calc'!A0", "@SUM(1)", None, "premium"],
            "language": ["ja", "en", None, "ko"],
            "reasons": [[slow, renewal, silent], [renewal, language], [], None],
            "play": ["responsiveness", None, None, None],
        }
    )


@pytest.fixture
def folder(tmp_path: Path, frame: pd.DataFrame, catalog: Catalog) -> Path:
    write_list(frame, tmp_path, task="churn", catalog=catalog, about=ABOUT)
    return tmp_path


def read_csv(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_the_csv_opens_in_excel_without_questions(folder: Path) -> None:
    raw = (folder / "list.ja.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf") and raw.count(b"\r\n") == 5
    header, first, second, *_ = read_csv(folder / "list.ja.csv")
    assert header[:5] == ["順位", "お客様ID", "優先度", "解約リスク", "セグメント"]
    assert second[1] == "山田-002"
    assert first[3] == "0.4130"
    assert "初回応答時間（代表値、直近90日）は38時間です" in first[6]


def test_no_csv_cell_begins_a_formula(folder: Path) -> None:
    for language in ("en", "ja"):
        cells = [cell for row in read_csv(folder / f"list.{language}.csv") for cell in row]
        assert not [cell for cell in cells if re.match("[=+\\-@\t\r\n＝＋－＠]", cell)]
    assert read_csv(folder / "list.en.csv")[1][1] == "'" + FORMULA


def test_the_workbook_is_typed_text_and_numbers(folder: Path) -> None:
    book = openpyxl.load_workbook(folder / "list.en.xlsx")
    sheet = book["List"]
    assert sheet.freeze_panes == "C2" and sheet.auto_filter.ref == "A1:K5"
    first = sheet[2]
    assert [cell.data_type for cell in first[:5]] == ["n", "s", "s", "n", "s"]
    assert first[1].value == FORMULA
    assert (first[3].value, first[3].number_format) == (0.413, "0.0%")
    assert first[-1].value.date().isoformat() == "2025-06-01"
    assert not [cell for sheet in book for row in sheet for cell in row if cell.data_type == "f"]


def test_libreoffice_opens_the_workbook_with_its_japanese(folder: Path, tmp_path: Path) -> None:
    office = shutil.which("soffice")
    assert office, "LibreOffice Calc is missing; see `make system`"
    done = subprocess.run(
        [office, f"-env:UserInstallation={(tmp_path / 'home').as_uri()}", "--headless",
         "--convert-to", "csv:Text - txt - csv (StarCalc):44,34,76,1", "--outdir",
         str(tmp_path / "converted"), str(folder / "list.ja.xlsx")],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with (tmp_path / "converted" / "list.ja.csv").open(encoding="utf-8", newline="") as file:
        header, first, second, *_ = list(csv.reader(file))
    assert header[:4] == ["順位", "お客様ID", "優先度", "解約リスク"]
    assert first[1] == FORMULA and second[1] == "山田-002"
    assert first[3] == "41.3%" and "初回応答時間（代表値、直近90日）は38時間です" in first[6]


def test_tiers_differ_in_grey_too(folder: Path) -> None:
    sheet = openpyxl.load_workbook(folder / "list.ja.xlsx")["リスト"]
    assert [sheet.cell(row, 3).value for row in (2, 3, 4)] == ["高", "中", "低"]

    def lightness(row: int) -> float:
        fill = sheet.cell(row, 3).fill
        if fill.fill_type is None:
            return 255.0
        red, green, blue = (int(fill.fgColor.rgb[i : i + 2], 16) for i in (2, 4, 6))
        return 0.299 * red + 0.587 * green + 0.114 * blue

    assert lightness(2) + 80 < lightness(3) < lightness(4) - 30


def test_the_legend_says_that_a_reason_is_an_association(folder: Path) -> None:
    for language, sheet, words in (
        ("en", "How to read", "an association found in past data, not a cause"),
        ("ja", "読み方", "原因ではありません"),
    ):
        rows = openpyxl.load_workbook(folder / f"list.{language}.xlsx")[sheet]
        said = " ".join(str(cell.value) for row in rows for cell in row if cell.value)
        assert words in said and "3f9c1a" in said


def test_the_as_of_day_is_the_day_where_the_company_is(
    tmp_path: Path, frame: pd.DataFrame, catalog: Catalog
) -> None:
    frame["as_of"] = pd.Timestamp("2025-06-01", tz="Asia/Tokyo").tz_convert("UTC")
    write_list(frame, tmp_path, task="churn", catalog=catalog, about=ABOUT, languages=["en"],
               time_zone="Asia/Tokyo")  # fmt: skip
    assert read_csv(tmp_path / "list.en.csv")[1][-1] == "2025-06-01"


def test_a_category_reason_shows_its_text(folder: Path) -> None:
    reasons = read_csv(folder / "list.en.csv")[2][6:9]
    assert reasons[1:] == ["(context) Language: English (typical retained customer: Japanese).", ""]


def test_a_reason_whose_two_values_read_alike_is_left_out(
    tmp_path: Path, frame: pd.DataFrame, catalog: Catalog
) -> None:
    slow, *others = frame["reasons"][0]
    alike = [slow | {"value": 0.5, "typical": 0.5004}, *others]
    changed: list[object] = [alike, *frame["reasons"].tolist()[1:]]
    frame = frame.assign(reasons=pd.Series(changed, dtype=object))
    write_list(frame, tmp_path, task="churn", catalog=catalog, about=ABOUT, languages=["en"])
    first, second, third = read_csv(tmp_path / "list.en.csv")[1][6:9]
    write_list(frame.assign(reasons=[others, *frame["reasons"][1:]]), tmp_path, task="churn",
               catalog=catalog, about=ABOUT, languages=["en"])  # fmt: skip
    assert [first, second, third] == read_csv(tmp_path / "list.en.csv")[1][6:9]
    assert second and not third


def test_parquet_keeps_what_was_given(folder: Path) -> None:
    kept = pd.read_parquet(folder / "list.parquet")
    assert kept["customer_id"][0] == FORMULA
    assert kept["reasons"][0][0]["value"] == 38.2
    assert kept["as_of"].dt.tz is not None


def test_a_customer_without_a_support_reason_gets_no_support_step(folder: Path) -> None:
    rows = read_csv(folder / "list.en.csv")
    assert rows[1][-2] == "Have the owner call back within one hour."
    assert rows[2][-2] == "No support step: background only"


def test_the_same_list_gives_the_same_bytes(
    folder: Path, tmp_path: Path, frame: pd.DataFrame, catalog: Catalog
) -> None:
    again = tmp_path / "again"
    write_list(frame, again, task="churn", catalog=catalog, about=ABOUT)
    names = sorted(path.name for path in again.iterdir())
    assert names == ["list.en.csv", "list.en.xlsx", "list.ja.csv", "list.ja.xlsx", "list.parquet"]
    assert all((folder / name).read_bytes() == (again / name).read_bytes() for name in names)


def test_a_long_list_is_cut_in_excel_only_and_says_so(
    tmp_path: Path, frame: pd.DataFrame, catalog: Catalog
) -> None:
    write_list(frame, tmp_path, task="repeat_purchase", catalog=catalog, about=ABOUT,
               languages=["en"], xlsx_rows=2)  # fmt: skip
    book = openpyxl.load_workbook(tmp_path / "list.en.xlsx")
    assert book["List"].max_row == 3
    assert [cell.value for cell in book["List"][1]][3:5] == [
        "Risk of not buying again",
        "Probability of buying again",
    ]
    assert "first 2 of 4 customers" in str(book["How to read"]["A2"].value)
    assert len(read_csv(tmp_path / "list.en.csv")) == 5


def test_a_failed_write_leaves_the_old_list(
    folder: Path, frame: pd.DataFrame, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (folder / "list.en.csv").read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(lists, "spreadsheet_safe", fail)
    with pytest.raises(OSError, match="disk full"):
        write_list(frame.head(1), folder, task="churn", catalog=catalog, about=ABOUT)
    assert (folder / "list.en.csv").read_bytes() == before
    assert not list(folder.glob(".*.part"))


def test_an_empty_list_is_a_list(tmp_path: Path, frame: pd.DataFrame, catalog: Catalog) -> None:
    write_list(frame.head(0), tmp_path, task="churn", catalog=catalog, about=ABOUT)
    assert len(read_csv(tmp_path / "list.ja.csv")) == 1
    assert zipfile.is_zipfile(tmp_path / "list.ja.xlsx")


def test_reasons_are_sentences_with_units(catalog: Catalog) -> None:
    slow = catalog.features["first_response_hours_typical_90d"]
    renewal = catalog.features["days_to_renewal"]
    csat = catalog.features["csat_last"]
    assert reason_sentence(slow, 0.25, 1.0, "en") == (
        "Typical first response time (last 90 days): 15 minutes"
        " (typical retained customer: 1 hour)."
    )
    assert reason_sentence(renewal, 12.0, 180.0, "ja").startswith("【背景要因】契約更新までの日数")
    assert reason_sentence(renewal, 12.0, 180.0, "en").startswith("(context) ")
    assert reason_sentence(csat, float("nan"), 80.0, "ja") == (
        "直近の顧客満足度（CSAT、0〜100）：記録なし（継続されるお客様の目安：80点）"
    )
    assert reason_sentence(slow, 3.0, None, "en") == (
        "Typical first response time (last 90 days): 3 hours"
    )
