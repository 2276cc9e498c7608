"""A first draft of a source from the headers of a company's files, for a person to edit.

Headers are matched against a table of synonyms in English and Japanese. Every guess is marked
`REVIEW`; what no synonym names is listed as a comment and not read.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

from data.contracts import FLAG, INTEGER, KEY, NUMBER, TABLE, TEXT, TIMESTAMP, Column
from data.source import SOURCES, SourceError, load

FILES: dict[str, str] = {
    "customers": "customer user member client account contact 顧客 会員 お客様 ユーザー",
    "subscriptions": "subscription contract plan churn 契約 定期 解約",
    "orders": "order purchase invoice sale transaction 注文 受注 購入 購買 売上",
    "returns": "return refund 返品 返金",
    "tickets": "ticket case inquiry incident 問い合わせ 問合せ チケット 相談",
    "ticket_events": "ticket_event ticket_history case_history チケット履歴 対応履歴",
    "messages": "message comment reply メッセージ 返信 やりとり",
    "calls": "call phone 通話 電話",
    "surveys": "survey csat nps feedback_score アンケート 調査 満足度",
    "loyalty": "loyalty point ポイント",
    "web_sessions": "session visit web アクセス 訪問",
}
"""Per canonical table: words in the names of files that hold it; the longest match wins."""

SYNONYMS: dict[str, str] = {
    "customer_id": "customer customer_no customer_number customer_code cust_id custid user_id"
    " userid member_id member_no client_id account_id contact_id 顧客id 顧客番号 顧客コード 会員id"
    " 会員番号 お客様id お客様番号 ユーザーid",
    "event_at": "created created_at created_on date datetime time timestamp occurred_at 日時 日付"
    " 作成日 作成日時 発生日 発生日時",
    "known_at": "loaded_at synced synced_at exported_at updated_at 更新日時 連携日時",
    "record_version": "version revision 版",
    "language": "lang locale 言語",
    "country": "country_code 国",
    "region": "prefecture state province 都道府県 地域",
    "segment": "customer_segment rank セグメント 区分 顧客区分",
    "acquisition": "acquisition_channel referral_source 獲得経路 流入経路",
    "birth_year": "year_of_birth 生年",
    "contact_opt_in": "opt_in newsletter メール許諾 連絡可",
    "order_id": "order order_no order_number invoice invoice_no invoiceno transaction_id 注文id"
    " 注文番号 受注番号 伝票番号",
    "status": "order_status state 状態 ステータス 注文状態",
    "amount": "total total_amount price revenue sales net_amount 金額 合計 合計金額 売上 注文金額",
    "discount": "discount_amount 割引 値引 値引額 割引額",
    "item_count": "items quantity qty 点数 数量 個数",
    "category": "product_category カテゴリ カテゴリー 商品分類",
    "product_id": "product product_no sku stockcode item_id 商品id 商品番号 商品コード",
    "ticket_id": "ticket ticket_no ticket_number case_id case_no case_number inquiry_id"
    " 問い合わせ番号 問合せ番号 問い合わせid チケット番号 チケットid 受付番号",
    "topic": "subject reason category 件名 用件 問い合わせ種別 分類",
    "severity": "priority 重要度 優先度",
    "channel": "source medium contact_channel チャネル チャンネル 受付方法 経路",
    "text": "body message content 本文 内容",
    "author": "author_type sender from 送信者 発信者",
    "agent_id": "agent operator assignee 担当者 担当者id オペレーター",
    "subscription_id": "subscription subscription_no contract_id contract_no 契約id 契約番号",
    "kind": "event event_type type action 種別 区分 イベント",
    "plan": "plan_name product_plan プラン 契約プラン",
    "return_id": "return return_no rma 返品番号 返品id",
    "survey_id": "survey response_id 回答番号 アンケートid",
    "value": "score rating answer 点数 評価 回答",
    "points": "point ポイント ポイント数",
    "wait_seconds": "wait_time queue_seconds 待ち時間秒 待ち秒数",
    "talk_seconds": "talk_time duration_seconds 通話時間秒 通話秒数",
}
"""Per canonical column: what else headers call it, after `plain`."""

TIMES: dict[str, str] = {
    "customers": "signup signup_at signup_date signed_up joined joined_at join_date registered"
    " registered_at registration_date 登録日 登録日時 入会日 会員登録日",
    "orders": "ordered ordered_at order_date placed_at purchased_at purchase_date invoicedate"
    " invoice_date 注文日 注文日時 購入日 購入日時 受注日",
    "tickets": "opened opened_at open_date submitted_at received_at reported_at 受付日 受付日時"
    " 問い合わせ日 問い合わせ日時 起票日時",
    "returns": "returned_at requested_at return_date 返品日 返品日時",
    "messages": "sent_at posted_at 送信日時",
    "subscriptions": "start_date started_at changed_at effective_at 契約日 開始日 変更日",
}
"""Per table: further headers of the time it happened, preferred to those of `event_at`."""

VALUES: dict[str, str] = {
    "mail": "email e-mail メール",
    "phone": "telephone tel call 電話",
    "chat": "live_chat チャット",
    "social": "twitter facebook line sns",
    "web": "form portal website webform フォーム ウェブ",
    "in_person": "store shop 店頭 来店",
    "placed": "complete completed paid shipped delivered closed new 完了 発送済 入金済 受注",
    "cancelled": "canceled cancel void キャンセル 取消",
    "start": "new signup subscribe 新規 開始",
    "renew": "renewal renewed 更新",
    "cancel_request": "cancellation_request 解約申請",
    "cancel_effective": "cancel cancelled canceled churn 解約",
    "customer": "user client 顧客 お客様",
    "agent": "operator support staff 担当者 オペレーター",
    "requested": "request 申請 受付",
    "refunded": "refund 返金",
}
"""Per allowed value of the contract: what else files write for it, after `plain`."""

ASSUMED = {
    ("orders", "status"): "'placed'",
    ("tickets", "channel"): "'web'",
    ("returns", "kind"): "'requested'",
    ("subscriptions", "kind"): "'start'",
}
"""What a required column is where no header names it."""

READERS = {
    ".csv": "read_csv", ".tsv": "read_csv", ".txt": "read_csv",
    ".parquet": "read_parquet", ".json": "read_json", ".jsonl": "read_json",
}  # fmt: skip
MOST_VALUES = 20
HISTORY_DAYS = 90


def plain(header: str) -> str:
    """A header in the form of the synonyms: half-width, lower case, words joined by `_`."""
    text = unicodedata.normalize("NFKC", header).strip()
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text).lower()
    return re.sub(r"[\W_]+", "_", text).strip("_")


@dataclass(frozen=True)
class _File:
    """A file of the company: its name below the root, its reader, its columns and their types."""

    name: str
    reader: str
    relation: str
    types: Mapping[str, str]
    encoding: str | None


@dataclass(frozen=True)
class _Draft:
    """One SELECT, and the first and last moment it holds if that is known."""

    table: str
    sql: str
    span: tuple[date, date] | None


def draft(
    name: str,
    files: Sequence[Path],
    *,
    timezone: str = "UTC",
    currency: str = "USD",
    folder: Path = SOURCES,
) -> list[Path]:
    """Write `folder/name/` with source.yaml and a SELECT per table; return what was written.

    Raises SourceError when the folder is there already, a file cannot be read, or no file looks
    like one with customers in it. Nothing that exists is changed.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise SourceError(f"{name!r}: name a source in lower case, e.g. acme or acme_eu")
    home = folder / name
    if home.exists():
        raise SourceError(f"{home} is there already and stays as it is; give another name")
    for path in files:
        if not path.is_file() or path.suffix.lower() not in READERS:
            raise SourceError(
                f"{path} is no file that can be drafted from; give {', '.join(READERS)} files"
                " (databases and spreadsheets are `inputs`, see docs/sources.md)"
            )
    paths = sorted(path.resolve() for path in files)
    root = Path(os.path.commonpath([path.parent for path in paths]))
    with tempfile.TemporaryDirectory() as spare, duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        looked = [_look(con, path, root, Path(spare)) for path in paths]
        tables: dict[str, _File] = {}
        for file in looked:
            table = _table_of(file)
            if table is None or table in tables:
                raise SourceError(
                    f"{file.name}: "
                    + (
                        f"looks like {table}, as {tables[table].name} does"
                        if table
                        else "no canonical table is recognised in its name and columns"
                    )
                    + "; leave it out here and write its SELECT by hand"
                )
            tables[table] = file
        drafts = [_select(con, table, file, timezone) for table, file in tables.items()]
        if "customers" not in tables:
            drafts.append(_customers_of(tables, timezone))
        settings = _settings(name, root, drafts, looked, timezone, currency)
    return _write(home, {f"{d.table}.sql": d.sql for d in drafts} | {"source.yaml": settings})


def _write(home: Path, texts: Mapping[str, str]) -> list[Path]:
    partial = home.with_name(f".{home.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        for name, text in texts.items():
            (partial / name).write_text(text, encoding="utf-8", newline="\n")
        partial.rename(home)
    except OSError as error:
        raise SourceError(f"{home} cannot be written ({error.strerror})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    load(home.name, home.parent)
    return [home / name for name in sorted(texts)]


def _look(con: duckdb.DuckDBPyConnection, path: Path, root: Path, spare: Path) -> _File:
    reader, encoding, seen = READERS[path.suffix.lower()], None, path
    name = path.relative_to(root).as_posix()
    if reader == "read_csv":
        encoding = _encoding(path, name)
        if encoding is not None:
            seen = spare / f"{len(list(spare.iterdir()))}{path.suffix}"
            seen.write_text(path.read_text(encoding=encoding), encoding="utf-8")
    relation = f"{reader}({_quoted(seen.as_posix())})"
    try:
        types = {row[0]: row[1] for row in con.execute(f"DESCRIBE FROM {relation}").fetchall()}
    except duckdb.Error as error:
        raise SourceError(f"{name} cannot be read: {str(error).splitlines()[0]}") from error
    return _File(name, reader, relation, types, encoding)


def _encoding(path: Path, name: str) -> str | None:
    """None for UTF-8, else the encoding that fits."""
    raw = path.read_bytes()
    for encoding in ("utf-8", "cp932", "utf-16"):
        try:
            raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        return None if encoding == "utf-8" else encoding
    raise SourceError(f"{name}: not UTF-8, CP932 or UTF-16 text; convert it to UTF-8")


def _table_of(file: _File) -> str | None:
    """The table that a file's name says, or the one whose own columns it has most of."""
    stem = plain(Path(file.name).stem)
    named = [
        (len(word), table)
        for table, words in FILES.items()
        for word in words.split()
        if word in stem
    ]
    if named:
        return max(named)[1]
    own = {
        table: sum(c.name in _matches(table, file) for c in TABLE[table].columns) for table in FILES
    }
    best = max(own, key=lambda table: own[table])
    return best if own[best] >= 2 and "customer_id" in _matches(best, file) else None


def _matches(table: str, file: _File) -> dict[str, str]:
    """Canonical column -> the file's column; each of these at most once, the best names first."""
    headers = {plain(header): header for header in reversed(list(file.types))}
    found: dict[str, str] = {}
    for column in TABLE[table].all_columns:
        names = [column.name]
        names += TIMES.get(table, "").split() if column.name == "event_at" else []
        names += SYNONYMS.get(column.name, "").split()
        for name in names:
            header = headers.get(name)
            if header is None or not _fits(column, file.types[header]):
                continue
            if header not in found.values():
                found[column.name] = header
                break
    own_id = f"{table.removesuffix('s')}_id"
    if table == "customers" and "customer_id" not in found and "id" in headers:
        found["customer_id"] = headers["id"]
    elif (
        own_id not in found
        and "id" in headers
        and any(column.name == own_id for column in TABLE[table].columns)
    ):
        found[own_id] = headers["id"]
    return found


def _fits(column: Column, given: str) -> bool:
    is_number = (
        given.startswith(("DECIMAL", "DOUBLE", "FLOAT"))
        or given.endswith("INT")
        or (given in ("INTEGER", "UINTEGER"))
    )
    if column.type == TIMESTAMP:
        return given.startswith(("TIMESTAMP", "DATE", "VARCHAR"))
    if column.type in (NUMBER, INTEGER):
        return is_number and not (column.type == INTEGER and not given.endswith(("INT", "INTEGER")))
    return given == "BOOLEAN" if column.type == FLAG else True


def _select(con: duckdb.DuckDBPyConnection, table: str, file: _File, timezone: str) -> _Draft:
    found = _matches(table, file)
    missing = [name for name in ("customer_id", "event_at") if name not in found]
    if missing:
        raise SourceError(
            f"{file.name}: no column is recognised as {' or '.join(missing)} of {table} (it has"
            f" {', '.join(file.types)}); rename it in the file, or write {table}.sql by hand"
        )
    lines = [*_lines(con, table, file, found, timezone)]
    unused = [f'"{name}" ({type_})' for name, type_ in file.types.items()
              if name not in found.values()]  # fmt: skip
    comment = [
        f"-- Drafted from the header of {file.name}. Check every line marked REVIEW, then delete"
        " the mark.",
        "-- What holds the state at export must not be read as if it had been known before.",
    ]
    if unused:
        comment.append(
            f"-- Not read, as nothing here is known to be called so: {', '.join(unused)}"
        )
    body = "".join(
        f"    {sql} AS {name}{',' if i + 1 < len(lines) else ''}{f'  -- {why}' if why else ''}\n"
        for i, (name, sql, why) in enumerate(lines)
    )
    sql = "\n".join(comment) + f"\nSELECT\n{body}FROM {file.reader}('{{root}}/{file.name}')\n"
    return _Draft(table, sql, _span(con, file, found["event_at"]))


def _lines(
    con: duckdb.DuckDBPyConnection,
    table: str,
    file: _File,
    found: Mapping[str, str],
    timezone: str,
) -> Iterator[tuple[str, str, str]]:
    """Column, SQL and comment, in the contract's order."""
    own_id = f"{table.removesuffix('s')}_id"
    event_at = _sql(con, TABLE[table].column("event_at"), file, found["event_at"], timezone)
    event_id = f"{_name(found[own_id])}::VARCHAR" if own_id in found else "row_number() OVER ()"
    for column in TABLE[table].all_columns:
        name, given = column.name, found.get(column.name)
        if given is not None:
            sql = _sql(con, column, file, given, timezone)
            yield name, sql, f'REVIEW: "{given}"'
        elif name == "event_id":
            why = "one row per id?" if own_id in found else "the file has no id of its own"
            yield name, event_id, f"REVIEW: {why}"
        elif name == "known_at":
            # A day is known when it is over.
            is_day = file.types[found["event_at"]] == "DATE"
            later = " + INTERVAL 1 DAY - INTERVAL 1 SECOND" if is_day else ""
            yield name, f"{event_at}{later}", "REVIEW: when did your systems know the row?"
        elif column.required and name not in KEY:
            if name.endswith("_at"):
                yield name, event_at, "REVIEW: no column of that meaning was found"
            elif name.endswith("_id"):
                yield name, event_id, "REVIEW: no column of that meaning was found"
            else:
                value = ASSUMED.get((table, name), "NULL")
                yield name, value, "REVIEW: not in the file, so the same for all"


def _sql(
    con: duckdb.DuckDBPyConnection, column: Column, file: _File, given: str, timezone: str
) -> str:
    quoted, type_ = _name(given), file.types[given]
    if column.type == TIMESTAMP:
        if type_ == "TIMESTAMP WITH TIME ZONE":
            return quoted
        return f"{quoted}::TIMESTAMP AT TIME ZONE '{timezone}'"
    if column.allowed is not None:
        rows = con.execute(
            f"SELECT DISTINCT {quoted}::VARCHAR FROM {file.relation} WHERE {quoted} IS NOT NULL"
            f" ORDER BY 1 LIMIT {MOST_VALUES}"
        ).fetchall()
        cases = [f"WHEN {_quoted(value)} THEN {_meant(column, value)}" for (value,) in rows]
        return f"CASE {quoted}::VARCHAR {' '.join(cases)} END" if cases else "NULL"
    return quoted if column.type != TEXT else f"{quoted}::VARCHAR"


def _meant(column: Column, value: str) -> str:
    """The allowed value that a file's value stands for, or NULL, for SQL."""
    for allowed in column.allowed or ():
        if plain(value) in (allowed, *map(plain, VALUES.get(allowed, "").split())):
            return _quoted(allowed)
    return "NULL"


def _span(con: duckdb.DuckDBPyConnection, file: _File, column: str) -> tuple[date, date] | None:
    """First day, and the day before which all are whole; None if the times are text."""
    if file.types[column] == "VARCHAR":
        return None
    over = " + 1" if file.types[column] == "DATE" else ""
    ((first, last),) = con.execute(
        f"SELECT min({_name(column)})::DATE, max({_name(column)})::DATE{over} FROM {file.relation}"
    ).fetchall()
    return None if first is None else (first, last)


def _customers_of(tables: Mapping[str, _File], timezone: str) -> _Draft:
    """Customers as the other files name them: each begins with the first row about it."""
    table, file = next(iter(tables.items()))
    found = _matches(table, file)
    customer = f"{_name(found['customer_id'])}::VARCHAR"
    zoned = file.types[found["event_at"]] == "TIMESTAMP WITH TIME ZONE"
    zone = "" if zoned else f"::TIMESTAMP AT TIME ZONE '{timezone}'"
    begins = f"min({_name(found['event_at'])}){zone}"
    sql = (
        f"-- REVIEW: no file of customers was given, so each begins with its first row in"
        f" {file.name}.\nSELECT\n"
        f"    {customer} AS customer_id,\n    {customer} AS event_id,\n"
        f"    {begins} AS event_at,\n    {begins} AS known_at,\n    {begins} AS signup_at\n"
        f"FROM {file.reader}('{{root}}/{file.name}')\n"
        f"WHERE {_name(found['customer_id'])} IS NOT NULL\nGROUP BY ALL\n"
    )
    return _Draft("customers", sql, None)


def _settings(
    name: str,
    root: Path,
    drafts: Sequence[_Draft],
    files: Sequence[_File],
    timezone: str,
    currency: str,
) -> str:
    spans = [d.span for d in drafts if d.span and d.table != "customers"]
    spans = spans or [d.span for d in drafts if d.span] or [(date(2024, 1, 1), date(2025, 1, 1))]
    first, until = min(s[0] for s in spans), max(s[1] for s in spans)
    last_as_of = until.replace(day=1)
    early = first + timedelta(days=HISTORY_DAYS + 30)
    first_as_of = min(early.replace(day=1), last_as_of)
    encodings = "".join(f'  "{f.name}": {f.encoding}\n' for f in files if f.encoding)
    return (
        f"name: {name}\n"
        f"description: {{en: {name}, ja: {name}}}  # REVIEW: one sentence in each language\n"
        f"timezone: {timezone}  # REVIEW: where the company's days begin\n"
        f"currency: {currency}  # REVIEW\n"
        f"root: {_yaml(root.as_posix())}  # ${{RETENTION_DATASETS}}/... makes it portable\n"
        + (f"encodings:\n{encodings}" if encodings else "")
        + f'first_as_of: "{first_as_of}"  # REVIEW: the first month with enough history\n'
        f'last_as_of: "{last_as_of}"  # REVIEW\n'
        f'observed_until: "{until}"  # REVIEW: all days before it are complete in every file\n'
    )


def _name(header: str) -> str:
    return '"' + header.replace('"', '""') + '"'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _yaml(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
