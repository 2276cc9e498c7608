"""The company's support KPIs: what each is, and the sums over customers it is computed from.

A KPI is declared once, like a feature, over facts that features also use wherever there are such:
first-contact resolution means the same thing in a customer's row and in the report. It describes
what was known on the last as-of date and predicts nothing.

Three conventions keep recent months comparable with older ones (METHODS A):

- A fact that takes time to show counts in the period in which it began, `lag_days` before it
  became known; what began later than that is left out, good or bad (MAT).
- A duration that has not ended enters as lasting at least as long as it has so far; shares and
  medians come from the Kaplan-Meier curve (CENS).
- A survey that was not answered has no value (SURV).

The sums are additive over buckets of customers, so the company is never in memory at once, and
they hold what intervals robust to many facts of one customer need.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import duckdb
import pandas as pd

from data.calendar import WorkingCalendar
from features import claims
from features.declare import Benchmark, Better, Unit, flag, scaled
from features.facts import frame_of, open_bucket
from features.streams import STREAM
from features.streams.care import COMPLAINT

YEAR_DAYS = 365
RECENT_DAYS = 90
TREND_MONTHS = 24
MIN_GROUP = 30
"""A group of fewer facts is not shown (METHODS S35)."""

UNVERIFIED = {
    "en": "seed figure, source unverified",
    "ja": "元記事の数値・出典未検証",
}
"""What every benchmark line is labelled with."""

Stat = Literal["ratio", "share", "count", "median", "within"]


@dataclass(frozen=True)
class Relation:
    """Facts that KPIs are made of: a SELECT like a stream's, and when its facts began.

    `lag_days` is how long a fact takes to become one. A ticket gives its facts their channel and
    language: `ticket` is "tie" where the tie is the ticket, or the table whose event the tie is.
    `by_hour` adds the hour of the week the ticket was opened, `by_age` the customer's age,
    `by_product` the ticket's product. A `state` describes each customer now: it has no trend.
    """

    needs: tuple[str, ...]
    sql: str
    lag_days: int = 0
    ticket: str | None = None
    by_hour: bool = False
    by_age: bool = False
    by_product: bool = False
    state: bool = False


@dataclass(frozen=True)
class Kpi:
    """One figure of the report.

    `value` is an SQL expression over its relation's columns. "share" is the mean of 0 and 1,
    "ratio" the sum of `value` over the sum of `weight` (a mean where that is 1), "count" the number
    of values. For "median" and "within" `value` is a duration in hours and `seen` says whether it
    has ended; "within" is the share that has ended after `hours`, and the median's interval is
    widened by as much as the share within `hours` depends on single customers. `by_hour` shows it
    by hour of the week too.
    """

    key: str
    panel: str
    items: tuple[str, ...]
    relation: str
    stat: Stat
    value: str
    unit: Unit
    better: Better | None
    en: str
    ja: str
    weight: str = "1"
    seen: str = "true"
    hours: float = 24
    by_hour: bool = False
    lines: tuple[Benchmark, ...] = ()


@dataclass(frozen=True)
class Missing:
    """A KPI that METHODS names and no canonical table can give."""

    key: str
    panel: str
    items: tuple[str, ...]
    en: str
    ja: str


def _of_stream(name: str, lag_days: int = 0, ticket: str | None = None) -> Relation:
    stream = STREAM[name]
    return Relation(stream.needs, stream.sql, lag_days, ticket)


def _state(needs: tuple[str, ...], sql: str, by_age: bool = False) -> Relation:
    """Facts of the present: `sql` yields customer_id, tie and columns as of now."""
    now = f"""
        SELECT *, getvariable('as_of') - INTERVAL 1 MICROSECOND AS first_known,
               first_known AS known_from, NULL AS known_until
        FROM ({sql})
    """
    return Relation(needs, now, by_age=by_age, state=True)


_KNOWN_CUSTOMER = (
    "(SELECT DISTINCT customer_id FROM customers WHERE known_from < getvariable('as_of'))"
)

RELATIONS: dict[str, Relation] = {
    "response": Relation(
        ("tickets", "messages"),
        # A ticket settled without any person waits for no reply any more: censored there.
        """
        SELECT customer_id, opened_known AS first_known, since AS known_from,
               least(withdrawn, until) AS known_until, ticket_id AS tie, in_hours,
               replied_at IS NOT NULL AS seen,
               epoch(coalesce(replied_at, least(closed_at, getvariable('as_of'))) - opened_at)
                   / 3600 AS hours
        FROM response LEFT JOIN (
            SELECT ticket_id, min(step_at) AS closed_at FROM ticket_step
            WHERE kind IN ('resolved', 'merged') AND known < getvariable('as_of')
            GROUP BY ticket_id
        ) USING (ticket_id)
        """,
        ticket="tie",
        by_hour=True,
    ),
    "resolution": Relation(
        ("tickets", "ticket_events"),
        # To the latest resolution, as it stands; while open (again), at least as long as so far.
        """
        SELECT customer_id, opened_known AS first_known, coalesce(known, opened_known)
                   AS known_from, least(withdrawn, until) AS known_until, ticket_id AS tie,
               NOT coalesce(is_open, true) AS seen,
               epoch(coalesce(CASE WHEN NOT is_open THEN resolved_at END, getvariable('as_of'))
                   - opened_at) / 3600 AS hours
        FROM ticket LEFT JOIN (
            SELECT ticket_id, resolved_at, is_open, known, until FROM closure
            WHERE known < getvariable('as_of')
        ) USING (ticket_id)
        """,
        ticket="tie",
    ),
    "ticket_opened": Relation(
        ("tickets",), STREAM["ticket_opened"].sql, 0, ticket="tie", by_hour=True
    ),
    "complaint": Relation(
        ("tickets",),
        f"""
        SELECT customer_id, opened_known AS first_known, opened_known AS known_from,
               withdrawn AS known_until, ticket_id AS tie, {flag(f"coalesce({COMPLAINT}, false)")}
                   AS complains
        FROM ticket
        """,
        ticket="tie",
        by_product=True,
    ),
    "response_by_channel": _of_stream("response_by_channel", 0, "tie"),
    "ticket_by_profile": _of_stream("ticket_by_profile", 0, "tie"),
    "reply_due": _of_stream("reply_due", 1, "messages"),
    "settled_72h": _of_stream("settled_72h", 3, "tie"),
    "settled_14d": _of_stream("settled_14d", 14, "tie"),
    "first_contact": _of_stream("first_contact_resolution", 7, "tie"),
    "reopening_14d": Relation(
        ("tickets", "ticket_events"),
        f"""
        SELECT customer_id, resolved_known + INTERVAL 14 DAY AS first_known,
               first_known AS known_from, withdrawn AS known_until, ticket_id AS tie,
               {
            flag('''EXISTS (SELECT 1 FROM ticket_step AS step
                   WHERE step.ticket_id = resolution.ticket_id AND step.kind = 'reopened'
                     AND step.step_at BETWEEN resolved_at AND resolved_at + INTERVAL 14 DAY
                     AND step.known <= resolved_known + INTERVAL 14 DAY)''')
        } AS reopened
        FROM resolution
        """,
        14,
        "tie",
    ),
    "complaint_due": _of_stream("complaint_due", 14, "tie"),
    "contact_stage": _of_stream("contact_stage", 14, "tie"),
    "silence": _of_stream("silence_14d", 14, "tie"),
    "survey_answer": _of_stream("survey_answer", 0, "surveys"),
    "raw_answer": Relation(
        ("surveys",),
        f"""
        SELECT customer_id, first_known, known_from, known_until, event_id AS tie,
               CASE WHEN kind = 'csat' AND scale_min = 1 AND scale_max = 5 THEN value END AS csat_5,
               CASE WHEN kind = 'csat' AND NOT coalesce(incented, false)
                   THEN {scaled("csat")} END AS csat_unpaid
        FROM surveys WHERE action = 'answered'
        """,
        ticket="surveys",
    ),
    "survey_due": _of_stream("survey_due", 7),
    "feedback": _of_stream("feedback"),
    "review": _of_stream("review"),
    "review_due": _of_stream("review_due", 7),
    "mention": _of_stream("mention"),
    "reply": _of_stream("reply", 0, "messages"),
    "handoff": _of_stream("handoff", 0, "ticket_events"),
    "bot_ticket": Relation(
        ("tickets", "messages"),
        f"""
        SELECT customer_id, opened_known + INTERVAL 1 DAY AS first_known,
               first_known AS known_from, withdrawn AS known_until, ticket_id AS tie,
               {
            flag('''ticket_id IN (SELECT ticket_id FROM messages_first
                   WHERE author = 'bot' AND coalesce(is_public, true))''')
        } AS met_bot
        FROM ticket
        """,
        1,
        "tie",
    ),
    "bot_acknowledgement": _of_stream("bot_acknowledgement", 0, "tie"),
    "bot_settled": _of_stream("bot_settled_72h", 3, "tie"),
    "bot_due": _of_stream("bot_due_24h", 1, "tie"),
    "self_service_due": Relation(
        STREAM["self_service_due"].needs, STREAM["self_service_due"].sql, 3, by_age=True
    ),
    "self_service_user": _state(
        ("customers", "selfservice"),
        f"""
        SELECT customer_id, customer_id AS tie, {flag("coalesce(used, 0) > 0")} AS uses
        FROM {_KNOWN_CUSTOMER} LEFT JOIN (
            SELECT customer_id, count(*) AS used FROM selfservice_first
            WHERE known_from < getvariable('as_of')
              AND known_from >= getvariable('as_of') - INTERVAL {YEAR_DAYS} DAY
            GROUP BY customer_id
        ) USING (customer_id)
        """,
        by_age=True,
    ),
    "outreach": _of_stream("outreach"),
    "outreach_due": _of_stream("outreach_due", 7),
    "offer": _of_stream("offer"),
    "offer_due": _of_stream("offer_due", 14),
    "follow_up_7d": _of_stream("follow_up_7d", 10),
    "follow_up_30d": _of_stream("follow_up_30d", 33),
    "follow_up_checked": _of_stream("follow_up_checked", 7),
    "member": _state(
        ("customers", "loyalty"),
        f"""
        SELECT customer_id, customer_id AS tie, {flag("coalesce(latest, '') = 'enrol'")} AS enrolled
        FROM {_KNOWN_CUSTOMER} LEFT JOIN (
            SELECT customer_id, arg_max(kind, (known_from, event_at, event_id)) AS latest
            FROM loyalty_first WHERE kind IN ('enrol', 'leave')
              AND known_from < getvariable('as_of') AND withdrawn IS NULL
            GROUP BY customer_id
        ) USING (customer_id)
        """,
        by_age=True,
    ),
    "loyalty": _of_stream("loyalty"),
    "referral": _of_stream("referral"),
    "referral_due": _of_stream("referral_due", 30),
    "order": _of_stream("order"),
    "order_or_return": Relation(
        ("orders", "returns"),
        f"""
        SELECT customer_id, first_known, known_from, known_until, 'order ' || tie AS tie,
               1 AS bought, 0 AS sent_back FROM ({STREAM["order"].sql})
        UNION ALL
        SELECT customer_id, first_known, known_from, known_until, 'return ' || tie, 0, 1
        FROM ({STREAM["return"].sql})
        """,
    ),
    "refund": Relation(
        ("returns",),
        # A return that was refused or exchanged waits for no refund any more: censored there.
        """
        SELECT customer_id, asked_known AS first_known, asked_known AS known_from, withdrawn
                   AS known_until, return_id AS tie, refunded_at IS NOT NULL AS seen,
               epoch(coalesce(refunded_at, least(settled_at, getvariable('as_of'))) - asked_at)
                   / 3600 AS hours
        FROM (
            SELECT *, known_from AS asked_known, event_at AS asked_at,
                min(event_at) FILTER (kind = 'refunded') OVER steps AS refunded_at,
                min(event_at) FILTER (kind IN ('denied', 'exchanged')) OVER steps AS settled_at
            FROM returns_first WHERE known_from < getvariable('as_of')
            WINDOW steps AS (PARTITION BY return_id)
        )
        WHERE kind = 'requested'
        QUALIFY row_number() OVER (PARTITION BY return_id ORDER BY known_from, event_id) = 1
        """,
    ),
    "return_due": _of_stream("return_due", 14),
    "revenue": _state(
        ("orders",),
        # Of customers who bought in the year; refunds are taken off where the source has returns.
        f"""
        SELECT customer_id, customer_id AS tie, sum(net) AS net
        FROM ({STREAM["payment"].sql})
        WHERE first_known < getvariable('as_of') AND known_from < getvariable('as_of')
          AND coalesce(known_until >= getvariable('as_of'), true)
          AND first_known >= getvariable('as_of') - INTERVAL {YEAR_DAYS} DAY
        GROUP BY customer_id HAVING bool_or(net > 0)
        """,
    ),
    "contract": _state(
        ("subscriptions",),
        # Every contract from its start; it has ended where its latest change says so.
        """
        SELECT customer_id, subscription_id AS tie,
               latest[1] IN ('cancel_effective', 'expire') AS seen,
               epoch(CASE WHEN seen THEN latest[2] ELSE getvariable('as_of') END - started_at)
                   / 3600 AS hours
        FROM (
            SELECT customer_id, subscription_id,
                min(event_at) FILTER (kind = 'start') AS started_at,
                arg_max((kind, event_at), (event_at, event_id))
                    FILTER (kind NOT IN ('cancel_request', 'payment_failed')) AS latest
            FROM subscriptions_first
            WHERE known_from < getvariable('as_of') AND withdrawn IS NULL
            GROUP BY customer_id, subscription_id
        )
        WHERE started_at IS NOT NULL AND latest IS NOT NULL
        """,
    ),
    "label": Relation(("labels",), "FROM label_fact"),
    "call": _of_stream("call", 0, "calls"),
    "qa_review": _of_stream("qa_review", 0, "qa_reviews"),
    "assignment": _of_stream("assignment", 0, "ticket_events"),
    "visit": Relation(("web_sessions",), f"SELECT * FROM ({STREAM['visit'].sql}) WHERE visits > 0"),
}
"""Where facts of tickets, surveys and orders are the facts of features, they are the same SELECT.

`labels` is no canonical table: the labels of the feature table, given as `label_fact`.
"""


def _line(low: float | None, high: float | None, en: str, ja: str) -> Benchmark:
    return Benchmark(low, high, en, ja)


_RESPONSE_LINES = (
    _line(None, 5 / 60, "Within 5 minutes", "5分以内"),
    _line(None, 0.25, "Within 15 minutes", "15分以内"),
    _line(None, 4, "A few hours (another article's line)", "数時間以内（別の記事の基準）"),
)

ACCOUNTING = "accounting"
"""No facts of customers: what the ingest kept, set aside and found twice, per table."""

KPIS: tuple[Kpi, ...] = (
    # P1
    Kpi("churn_rate", "P1", ("S69",), "label", "share", "churn", "share", "lower",
        "Churn rate", "解約率"),
    Kpi("repeat_purchase_rate", "P1", ("S69",), "label", "share", "repeat_purchase", "share",
        "higher", "Repeat-purchase rate", "リピート購入率"),
    Kpi("contract_ended_1y", "P1", ("S69",), "contract", "within", "hours", "share", "lower",
        "Contracts ended within a year of their start", "開始から1年以内に終了した契約の割合",
        seen="seen", hours=24 * 365),
    Kpi("revenue_per_buyer", "P1", ("S70",), "revenue", "ratio", "net", "currency", "higher",
        "Net revenue per buying customer, last 365 days", "購入客1人あたり純売上（直近365日）"),
    # P2
    Kpi("first_response_hours", "P2", ("S1", "S4", "S15"), "response", "median", "hours", "hours",
        "lower", "First response time, median", "初回応答時間（中央値）", seen="seen", hours=1,
        lines=_RESPONSE_LINES),
    Kpi("first_response_within_15min", "P2", ("S1",), "response", "within", "hours", "share",
        "higher", "First response within 15 minutes", "15分以内の初回応答率",
        seen="seen", hours=0.25),
    Kpi("first_response_within_1h", "P2", ("S1", "S15"), "response", "within", "hours", "share",
        "higher", "First response within 1 hour", "1時間以内の初回応答率", seen="seen", hours=1),
    Kpi("first_response_within_4h", "P2", ("S1",), "response", "within", "hours", "share",
        "higher", "First response within 4 hours", "4時間以内の初回応答率", seen="seen", hours=4),
    Kpi("reply_hours", "P2", ("S2",), "reply_due", "ratio", "hours", "hours", "lower",
        "Average time until a reply (a day at most counts)", "平均返信時間（最長1日として計算）"),
    Kpi("call_wait_minutes", "P2", ("S5",), "call", "ratio", "wait_minutes", "minutes", "lower",
        "Average wait on the phone", "電話の平均待ち時間"),
    Kpi("call_abandoned_share", "P2", ("S5",), "call", "share", "abandoned", "share", "lower",
        "Calls abandoned before an answer", "応答前に切れた電話の割合（放棄呼率）"),
    # P3
    Kpi("resolution_hours", "P3", ("S6",), "resolution", "median", "hours", "hours", "lower",
        "Resolution time, median", "解決時間（中央値）", seen="seen", hours=24,
        lines=(_line(None, 4, "Resolution within minutes to 4 hours", "数分〜4時間以内の解決"),)),
    Kpi("resolved_within_4h", "P3", ("S6",), "resolution", "within", "hours", "share", "higher",
        "Resolved within 4 hours", "4時間以内の解決率", seen="seen", hours=4),
    Kpi("resolved_within_24h", "P3", ("S6", "S15"), "resolution", "within", "hours", "share",
        "higher", "Resolved within the target of 24 hours", "目標24時間以内の解決率", seen="seen",
        hours=24),
    Kpi("first_contact_resolution", "P3", ("S7",), "first_contact", "share", "solved", "share",
        "higher", "First-contact resolution (no return within 7 days)",
        "一次解決率（7日以内の再問い合わせなし）",
        lines=(_line(0.7, 0.9, "First-contact resolution of 70 to 90%", "一次解決率70〜90%"),)),
    Kpi("resolved_14d", "P3", ("S8",), "settled_14d", "share", "resolved", "share", "higher",
        "Resolved within 14 days", "解決率（14日以内）"),
    Kpi("escalation_share", "P3", ("S10",), "settled_72h", "share", "escalated", "share", "lower",
        "Escalated", "エスカレーション率"),
    Kpi("reopened_share", "P3", ("S9",), "reopening_14d", "share", "reopened", "share", "lower",
        "Reopened within 14 days of the resolution", "再オープン率（解決後14日以内）"),
    Kpi("recurring_share", "P3", ("S9",), "ticket_opened", "share", "repeats", "share", "lower",
        "Same issue again within 30 days", "30日以内の同一問題の再発率"),
    Kpi("owner_changes", "P3", ("S62",), "settled_14d", "ratio", "owner_changes", "count", "lower",
        "Changes of owner per ticket", "1件あたりの担当変更回数"),
    Kpi("complaint_share", "P3", ("S32",), "complaint", "share", "complains", "share", "lower",
        "Tickets that are complaints", "問い合わせに占める苦情の割合"),
    Kpi("complaint_recovered", "P3", ("S33",), "complaint_due", "share", "recovered", "share",
        "higher", "Complaints recovered: solved within 7 days and satisfied",
        "苦情の挽回率（7日以内に解決し満足）"),
    Kpi("complaint_csat_change", "P3", ("S33",), "complaint_due", "ratio", "csat_change", "points",
        "higher", "Change of satisfaction after a complaint", "苦情前後の満足度の変化"),
    # P4
    Kpi("csat", "P4", ("S17",), "survey_answer", "ratio", "csat", "points", "higher",
        "Customer satisfaction (CSAT, 0 to 100)", "顧客満足度（CSAT、0〜100）"),
    Kpi("csat_raw", "P4", ("S17",), "raw_answer", "ratio", "csat_5", "score", "higher",
        "Customer satisfaction, answers on 1 to 5", "顧客満足度（1〜5の回答のまま）"),
    Kpi("csat_low_share", "P4", ("S17",), "survey_answer", "share", "csat_low", "share", "lower",
        "Dissatisfied answers (CSAT 25 or less)", "不満の回答（CSAT 25以下）の割合"),
    Kpi("csat_support", "P4", ("S18",), "survey_answer", "ratio", "csat_support", "points",
        "higher", "Satisfaction with support", "サポートの満足度"),
    Kpi("csat_purchase", "P4", ("S18",), "survey_answer", "ratio", "csat_purchase", "points",
        "higher", "Satisfaction with the purchase", "購入の満足度"),
    Kpi("csat_unpaid", "P4", ("S20",), "raw_answer", "ratio", "csat_unpaid", "points", "higher",
        "Satisfaction where no incentive was promised", "特典なしで回答された満足度"),
    Kpi("nps", "P4", ("S21",), "survey_answer", "ratio", "nps_class", "points", "higher",
        "Net promoter score (NPS)", "NPS",
        lines=(_line(50, None, "An NPS of 50 or more is called very good; raters in Japan prefer"
                     " the middle of a scale, so it is a poor yardstick there",
                     "NPS 50以上で非常に良いとされる。日本では中間の回答が好まれるため、"
                     "目安としては不向き"),)),
    Kpi("ces", "P4", ("S23",), "survey_answer", "ratio", "ces", "points", "higher",
        "Customer effort score (CES, 100 = easy)", "顧客努力指標（CES、100＝容易）"),
    Kpi("survey_response_rate", "P4", ("S19",), "survey_due", "share", "answered", "share",
        "higher", "Surveys answered within 7 days", "アンケート回答率（7日以内）"),
    Kpi("survey_response_incented", "P4", ("S20",), "survey_due", "share", "answered_incented",
        "share", "higher", "Surveys answered where an incentive was promised",
        "特典付きアンケートの回答率"),
    Kpi("comment_share", "P4", ("S24",), "survey_answer", "share", "coalesce(comment, 0)", "share",
        "higher", "Answers with a comment", "自由記述のある回答の割合"),
    Kpi("feedback_sessions", "P4", ("S25",), "feedback", "count", "session", "count", None,
        "Interviews and feedback sessions attended", "インタビュー・座談会の参加数"),
    Kpi("feedback_accepted", "P4", ("S30", "S31"), "feedback", "share", "accepted", "share",
        "higher", "Feedback acted upon, of what was decided", "ご意見の反映率（判断済みのうち）"),
    Kpi("review_rating", "P4", ("S27",), "review", "ratio", "rating", "score", "higher",
        "Average review, stars", "レビューの平均評価（星）"),
    Kpi("review_answered", "P4", ("S28",), "review_due", "share", "answered", "share", "higher",
        "Reviews answered within 7 days", "レビューへの返信率（7日以内）"),
    Kpi("mention_tone", "P4", ("S26",), "mention", "ratio", "tone", "tone", "higher",
        "Tone of matched social-media mentions", "SNS言及の論調（照合できたもの）"),
    Kpi("qa_empathy", "P4", ("S58",), "qa_review", "ratio", "empathy", "points", "higher",
        "Empathy in quality reviews", "品質評価：共感"),
    # P5
    Kpi("tickets", "P5", ("S34", "S35", "S36"), "ticket_opened", "count", "1", "count", None,
        "Tickets", "問い合わせ件数", by_hour=True),
    Kpi("mail_share", "P5", ("S34",), "ticket_opened", "share", "by_mail", "share", None,
        "Tickets by mail", "メールの割合"),
    Kpi("phone_share", "P5", ("S34",), "ticket_opened", "share", "by_phone", "share", None,
        "Tickets by phone", "電話の割合"),
    Kpi("chat_share", "P5", ("S34",), "ticket_opened", "share", "by_chat", "share", None,
        "Tickets by chat", "チャットの割合"),
    Kpi("social_share", "P5", ("S34",), "ticket_opened", "share", "by_social", "share", None,
        "Tickets by social media", "SNSの割合"),
    Kpi("web_share", "P5", ("S34",), "ticket_opened", "share", "by_web", "share", None,
        "Tickets by web form", "ウェブフォームの割合"),
    Kpi("in_person_share", "P5", ("S34",), "ticket_opened", "share", "in_person", "share", None,
        "Tickets in person", "店頭の割合"),
    Kpi("preferred_channel_share", "P5", ("S34",), "ticket_by_profile", "share", "preferred",
        "share", "higher", "Tickets on the channel the customer prefers", "希望チャネルでの対応率"),
    Kpi("off_hours_share", "P5", ("S36",), "ticket_opened", "share", "off_hours", "share", None,
        "Tickets opened outside opening hours", "営業時間外の問い合わせ率"),
    Kpi("night_share", "P5", ("S38",), "ticket_by_profile", "share", "night", "share", None,
        "Tickets in the customer's night (22 to 6)", "お客様の深夜（22〜6時）の問い合わせ率"),
    Kpi("response_hours_open", "P5", ("S36",), "response", "median",
        "CASE WHEN in_hours THEN hours END", "hours", "lower",
        "First response time in opening hours, median", "営業時間内の初回応答時間（中央値）",
        seen="seen", hours=1),
    Kpi("response_hours_closed", "P5", ("S36",), "response", "median",
        "CASE WHEN NOT in_hours THEN hours END", "hours", "lower",
        "First response time outside opening hours, median", "営業時間外の初回応答時間（中央値）",
        seen="seen", hours=1),
    Kpi("first_contact_open", "P5", ("S36",), "first_contact", "share",
        "CASE WHEN in_hours THEN solved END", "share", "higher",
        "First-contact resolution in opening hours", "営業時間内の一次解決率"),
    Kpi("first_contact_closed", "P5", ("S36",), "first_contact", "share", "solved_off_hours",
        "share", "higher", "First-contact resolution outside opening hours",
        "営業時間外の一次解決率"),
    Kpi("response_hours_by_hour", "P5", ("S36",), "response", "median", "hours", "hours", "lower",
        "First response time by hour of the week, median", "曜日・時間帯別の初回応答時間（中央値）",
        seen="seen", hours=1, by_hour=True),
    Kpi("language_match", "P5", ("S39",), "reply", "share", "in_customer_language", "share",
        "higher", "Replies in the customer's language", "お客様の言語での返信率"),
    Kpi("translated_share", "P5", ("S40",), "reply", "share", "translated", "share", None,
        "Replies by machine translation", "機械翻訳での返信率"),
    Kpi("channel_switch_share", "P5", ("S41",), "ticket_opened", "share",
        "coalesce(switches_channel, 0)", "share", None,
        "Tickets on another channel than the customer's last",
        "前回と異なるチャネルの問い合わせ率"),
    Kpi("handoffs", "P5", ("S41",), "handoff", "count", "1", "count", "lower",
        "Transfers and escalations", "転送・エスカレーション件数"),
    Kpi("context_passed", "P5", ("S41",), "handoff", "share", "context_passed", "share", "higher",
        "Handovers with the history passed on", "履歴が引き継がれた割合"),
    Kpi("asked_again_share", "P5", ("S41",), "reply", "share",
        "CASE WHEN is_bot = 0 THEN coalesce(asks_again, 0) END", "share", "lower",
        "Replies that ask for something already given", "既出の情報を聞き直した返信の割合"),
    Kpi("channel_gap_hours", "P5", ("S42",), "response_by_channel", "ratio", "range", "hours",
        "lower", "Gap in response time between a customer's channels",
        "お客様ごとのチャネル間の応答時間の差"),
    Kpi("contact_before", "P5", ("S43",), "contact_stage", "share", "coalesce(before, 0)", "share",
        None, "Tickets before a purchase", "購入前の問い合わせ率"),
    Kpi("contact_during", "P5", ("S43",), "contact_stage", "share", "coalesce(during, 0)", "share",
        None, "Tickets between order and delivery", "注文から配送までの問い合わせ率"),
    Kpi("contact_after", "P5", ("S43",), "contact_stage", "share", "coalesce(after, 0)", "share",
        None, "Tickets after a delivery", "配送後の問い合わせ率"),
    # P6
    Kpi("bot_share", "P6", ("S45",), "bot_ticket", "share", "met_bot", "share", None,
        "Tickets a bot took part in", "ボットが対応に加わった割合"),
    Kpi("bot_acknowledgement_seconds", "P6", ("S3",), "bot_acknowledgement", "ratio", "seconds",
        "seconds", "lower", "Time until the automatic reply", "自動返信までの時間"),
    Kpi("bot_resolved", "P6", ("S45",), "bot_settled", "share", "resolved_by_bot", "share",
        "higher", "Solved by the bot alone within 3 days", "ボットのみでの解決率（3日以内）"),
    Kpi("bot_fallback", "P6", ("S46",), "reply", "share", "not_understood", "share", "lower",
        "Bot answers that did not understand", "ボットが理解できなかった返信の割合"),
    Kpi("bot_trapped", "P6", ("S47",), "bot_due", "share", "coalesce(trapped, 0)", "share",
        "lower", "Complex problems stuck with the bot", "複雑な問題がボットに滞留した割合"),
    Kpi("bot_handoff_hours", "P6", ("S47",), "bot_due", "ratio", "handoff_hours", "hours",
        "lower", "Time from the bot to a person (a day at most counts)",
        "ボットから担当者までの時間（最長1日として計算）"),
    Kpi("self_service_users", "P6", ("S48",), "self_service_user", "share", "uses", "share",
        None, "Customers who used self-service in the last 365 days",
        "直近365日にセルフサービスを利用したお客様の割合"),
    Kpi("self_service_success", "P6", ("S48",), "self_service_due", "share", "succeeded", "share",
        "higher", "Self-service without a ticket within 3 days",
        "自己解決率（3日以内に問い合わせなし）"),
    # P7
    Kpi("personal_share", "P7", ("S51",), "settled_72h", "share", "personal", "share", "higher",
        "Tickets whose agent looked at the history", "履歴を確認した対応の割合"),
    Kpi("follow_up_sent", "P7", ("S54",), "follow_up_7d", "share", "after_resolution", "share",
        "higher", "Follow-up a week after the resolution", "解決1週間後のフォローアップ率"),
    Kpi("follow_up_delivery", "P7", ("S54",), "follow_up_7d", "share", "after_delivery", "share",
        "higher", "Follow-up a week after the delivery", "配送1週間後のフォローアップ率"),
    Kpi("follow_up_month", "P7", ("S54",), "follow_up_30d", "share", "sent", "share", "higher",
        "Follow-up a month after a resolution or delivery", "解決・配送1か月後のフォローアップ率"),
    Kpi("follow_up_replied", "P7", ("S54",), "follow_up_7d", "share", "replied", "share", None,
        "Follow-ups the customer replied to", "フォローアップへの返信率"),
    Kpi("follow_up_found_issue", "P7", ("S56",), "follow_up_checked", "share",
        "coalesce(found_issue, 0)", "share", None, "Follow-ups that brought up a problem",
        "フォローアップで問題が見つかった割合"),
    Kpi("silence_hours", "P7", ("S55",), "silence", "ratio", "hours", "hours", "lower",
        "Longest wait without news, average", "連絡のない最長時間（平均）"),
    Kpi("proactive_help", "P7", ("S50",), "outreach", "count",
        "coalesce(proactive_help, usage_tip)", "count", "higher",
        "Help and tips sent unasked", "先回りの支援・使い方案内の送付数"),
    Kpi("delights", "P7", ("S53",), "outreach", "count",
        "coalesce(thank_you, birthday, surprise_discount)", "count", "higher",
        "Thanks, birthday and surprise perks", "お礼・誕生日・サプライズ特典の数"),
    Kpi("outreach_opened", "P7", ("S50",), "outreach_due", "share", "opened", "share", "higher",
        "Contacts opened within 7 days", "案内の開封率（7日以内）"),
    Kpi("offer_relevant", "P7", ("S52",), "offer", "share", "relevant", "share", "higher",
        "Offers that match earlier purchases", "購入履歴に合う提案の割合"),
    Kpi("offer_converted", "P7", ("S52",), "offer_due", "share", "converted", "share", "higher",
        "Offers followed by an order within 14 days", "提案後14日以内の購入率"),
    # P8
    Kpi("loyalty_members", "P8", ("S66",), "member", "share", "enrolled", "share", "higher",
        "Customers in the loyalty programme", "ロイヤルティプログラム加入率"),
    Kpi("points_redeemed", "P8", ("S66",), "loyalty", "ratio", "coalesce(redeemed, 0)", "share",
        "higher", "Points redeemed, of points earned", "ポイント利用率（獲得に対する）",
        weight="coalesce(earned, 0)"),
    Kpi("discounted_orders", "P8", ("S67",), "order", "share", "discounted", "share", None,
        "Orders with a discount", "割引のある注文の割合"),
    Kpi("sale_notices", "P8", ("S67",), "outreach", "count", "sale_notice", "count", None,
        "Sale notices sent", "セール案内の送付数"),
    Kpi("return_rate", "P8", ("S65",), "order_or_return", "ratio", "sent_back", "share", "lower",
        "Returns, of orders", "返品率（注文に対する）", weight="bought"),
    Kpi("refund_hours", "P8", ("S65",), "refund", "median", "hours", "hours", "lower",
        "Time to refund, median", "返金までの時間（中央値）", seen="seen", hours=24 * 14),
    Kpi("refunded_14d", "P8", ("S65",), "return_due", "share", "refunded", "share", "higher",
        "Refunded within 14 days", "返金率（14日以内）"),
    Kpi("return_kit", "P8", ("S65",), "return_due", "share", "kit", "share", "higher",
        "Returns with the prepared kit", "返品キット利用率"),
    Kpi("trust", "P8", ("S64",), "survey_answer", "ratio", "trust", "points", "higher",
        "Trust (0 to 100)", "信頼度（0〜100）"),
    Kpi("referrals", "P8", ("S29",), "referral", "count", "1", "count", "higher",
        "Referrals made", "紹介数"),
    Kpi("referral_converted", "P8", ("S29",), "referral_due", "share", "converted", "share",
        "higher", "Referrals that became customers within 30 days", "紹介の成約率（30日以内）"),
    Kpi("eco_share", "P8", ("S71",), "order", "share", "eco", "share", None,
        "Orders from the sustainable range", "環境配慮商品の注文率"),
    # P9
    Kpi("handling_minutes", "P9", ("S12", "S13"), "call", "ratio", "handle_minutes", "minutes",
        "lower", "Average handling time of calls (AHT)", "平均処理時間（AHT、電話）"),
    Kpi("own_authority", "P9", ("S11",), "settled_14d", "share", "own_authority", "share",
        "higher", "Solved by the first tier on its own authority", "一次窓口の裁量での解決率"),
    Kpi("backlog", "P9", ("S14",), "ticket_opened", "ratio", "backlog", "count", "lower",
        "Open tickets in the queue at intake", "受付時の未処理件数"),
    Kpi("qa_listening", "P9", ("S59",), "qa_review", "ratio", "listening", "points", "higher",
        "Listening in quality reviews", "品質評価：傾聴"),
    Kpi("qa_clarity", "P9", ("S60",), "qa_review", "ratio", "clarity", "points", "higher",
        "Clarity in quality reviews", "品質評価：明瞭さ"),
    Kpi("qa_accuracy", "P9", ("S60",), "qa_review", "ratio", "accuracy", "points", "higher",
        "Accuracy in quality reviews", "品質評価：正確さ"),
    Kpi("qa_tone", "P9", ("S61",), "qa_review", "ratio", "tone", "points", "higher",
        "Fitting tone in quality reviews", "品質評価：語調"),
    Kpi("corrections", "P9", ("S60",), "reply", "share",
        "CASE WHEN is_bot = 0 THEN coalesce(corrects, 0) END", "share", "lower",
        "Replies that correct an earlier answer", "訂正の返信の割合"),
    Kpi("training_hours", "P9", ("S63",), "assignment", "ratio", "training_hours", "hours",
        "higher", "Agent's training in the 90 days before", "担当者の直近90日の研修時間"),
    # P13
    Kpi("load_seconds", "P13", ("S73",), "visit", "ratio", "load_seconds", "seconds", "lower",
        "Page load time (75th percentile, average of visits)",
        "ページ表示時間（75パーセンタイル、訪問平均）"),
    Kpi("page_errors", "P13", ("S73",), "visit", "ratio", "page_errors", "count", "lower",
        "Page faults per visit", "訪問あたりのページ不具合", weight="visits"),
    Kpi("support_searches", "P13", ("S72", "S44"), "visit", "ratio", "searches", "count", None,
        "Searches for help per visit", "訪問あたりのヘルプ検索", weight="visits"),
    Kpi("contact_page", "P13", ("S44",), "visit", "ratio", "contact_page", "count", None,
        "Contact page views per visit", "訪問あたりの問い合わせページ閲覧", weight="visits"),
    Kpi("contact_minutes", "P13", ("S44",), "visit", "ratio", "contact_minutes", "minutes",
        "lower", "From the search for help to a contact", "ヘルプ検索から問い合わせまでの時間"),
    Kpi("checkout_failures", "P13", ("S73",), "visit", "ratio", "checkout_failures", "count",
        "lower", "Failed checkouts per visit", "訪問あたりの購入手続きの失敗", weight="visits"),
    Kpi("payment_failures", "P13", ("S73",), "visit", "ratio", "payment_failures", "count",
        "lower", "Failed payments per visit", "訪問あたりの決済の失敗", weight="visits"),
    Kpi("mobile_share", "P13", ("S73",), "visit", "share", "mobile", "share", None,
        "Visits by mobile phone", "モバイルでの訪問率"),
    # P15, out of the ingest's accounting
    Kpi("rows_quarantined", "P15", ("S57",), ACCOUNTING, "share", "quarantined", "share", "lower",
        "Rows set aside as faulty", "不備により除外した行の割合"),
    Kpi("rows_duplicated", "P15", ("S57",), ACCOUNTING, "share", "duplicates", "share", "lower",
        "Exact duplicates", "完全に重複した行の割合"),
    Kpi("lateness_days", "P15", ("S57",), ACCOUNTING, "ratio", "lateness_days_p99", "days",
        "lower", "Days until 99 of 100 rows are known", "99%の行が判明するまでの日数"),
)  # fmt: skip

MISSING: tuple[Missing, ...] = (
    Missing(
        "cost_per_resolved",
        "P9",
        ("S13", "S37"),
        "Cost per resolved ticket: it needs wage and fee rates, which are not among the canonical"
        " tables; the handling time it is made of is shown.",
        "解決1件あたりのコスト：人件費などの単価が標準テーブルにないため算出できません。"
        "元となる対応時間を示します。",
    ),
)

KPI = {kpi.key: kpi for kpi in KPIS}


SUMS = ("n", "customers", "s", "w", "ss", "sw", "ww")
"""Per KPI and place: facts, customers with any, the sums over customers of value s_c and weight
w_c, and of s_c^2, s_c w_c and w_c^2."""


@dataclass(frozen=True)
class Counted:
    """Additive parts of all KPIs, of one bucket or of several together.

    `sums`: kpi, dimension, value_of and SUMS. `durations`: kpi, dimension, value_of, hours, seen
    and how many lasted so long, to the second within an hour, to the minute within two days.
    """

    sums: pd.DataFrame
    durations: pd.DataFrame


PLACE = ["kpi", "dimension", "value_of"]


def supported(tables: Collection[str]) -> tuple[Kpi, ...]:
    """The KPIs that these tables (canonical ones and "labels") can give, in declared order."""
    return tuple(
        kpi
        for kpi in KPIS
        if kpi.relation != ACCOUNTING and set(RELATIONS[kpi.relation].needs) <= set(tables)
    )


def visit_bucket(
    bucket: int,
    *,
    folder: Path,
    labels: Path,
    tables: Sequence[str],
    time_zone: str,
    calendar: WorkingCalendar,
    as_of: datetime,
) -> tuple[int, Counted, dict[str, pd.DataFrame]]:
    """The bucket's number, its counts of all KPIs, and its rows for the claims.

    `folder` and `labels` are those of the canonical tables and of the feature table; `tables` what
    there is. The number is for adding buckets up in one order, whichever is ready first.
    """
    connection = open_bucket(folder, bucket, time_zone, calendar, None)
    found = f"read_parquet('{labels}/bucket={bucket:03d}.parquet')"
    counted = count(connection, supported(tables), as_of, found)
    return bucket, counted, claims.rows(connection, as_of, tables)


def count(
    connection: duckdb.DuckDBPyConnection,
    wanted: Iterable[Kpi],
    as_of: datetime,
    labels: str | None,
) -> Counted:
    """The sums of the `wanted` KPIs over one bucket's facts visible at `as_of`.

    `connection` is `features.facts.open_bucket`'s; `labels` an SQL relation of the bucket's rows
    of the feature table.
    """
    connection.execute("SET VARIABLE as_of = ?::TIMESTAMPTZ", [as_of.isoformat()])
    connection.execute(_PROFILE)
    if labels:
        connection.execute(_labels(connection, labels))
    by_relation: dict[str, list[Kpi]] = {}
    for kpi in wanted:
        by_relation.setdefault(kpi.relation, []).append(kpi)
    sums, durations = [], []
    for name, kpis in by_relation.items():
        connection.execute(_fact(RELATIONS[name]))
        sums.append(_sums(connection, kpis))
        curves = sorted({curve(kpi) for kpi in kpis if is_duration(kpi)})
        durations += [_durations(connection, KPI[key]) for key in curves]
    return Counted(
        pd.concat([pd.DataFrame(columns=[*PLACE, *SUMS]), *sums], ignore_index=True),
        pd.concat(
            [pd.DataFrame(columns=[*PLACE, "hours", "seen", "number"]), *durations],
            ignore_index=True,
        ),
    )


def together(parts: Iterable[Counted]) -> Counted:
    """The sums of several buckets as one."""
    parts = list(parts)
    sums = pd.concat([part.sums for part in parts])
    durations = pd.concat([part.durations for part in parts])
    return Counted(
        sums.groupby(PLACE, as_index=False)[list(SUMS)].sum(),
        durations.groupby([*PLACE, "hours", "seen"], as_index=False)[["number"]].sum(),
    )


def is_duration(kpi: Kpi) -> bool:
    """Whether the KPI's values are durations that may not have ended."""
    return kpi.stat in ("median", "within")


def curve(kpi: Kpi) -> str:
    """The first KPI over the same durations: they are counted once, under its key."""
    same = (kpi.relation, kpi.value, kpi.seen, kpi.by_hour)
    return next(
        other.key
        for other in KPIS
        if is_duration(other) and (other.relation, other.value, other.seen, other.by_hour) == same
    )


_PROFILE = """
CREATE OR REPLACE TEMP TABLE profile AS
SELECT customer_id, segment, language,
       CASE WHEN year(getvariable('as_of')) - birth_year < 30 THEN '-29'
            WHEN year(getvariable('as_of')) - birth_year < 50 THEN '30-49'
            WHEN birth_year IS NOT NULL THEN '50-' END AS age
FROM customers
WHERE known_from < getvariable('as_of') AND coalesce(known_until >= getvariable('as_of'), true)
QUALIFY row_number() OVER (
    PARTITION BY customer_id ORDER BY known_from DESC, record_version DESC, event_id DESC) = 1
"""


def _labels(connection: duckdb.DuckDBPyConnection, labels: str) -> str:
    found = {row[0] for row in connection.execute(f"DESCRIBE FROM {labels}").fetchall()}
    columns = ", ".join(
        f"CASE WHEN {task}_status = 'labelled' THEN {task} END AS {task}"
        if f"{task}_status" in found
        else f"NULL::FLOAT AS {task}"
        for task in ("churn", "repeat_purchase")
    )
    return f"""
        CREATE OR REPLACE TEMP VIEW label_fact AS
        SELECT customer_id, as_of AS first_known, as_of AS known_from, NULL AS known_until,
               customer_id AS tie, {columns}
        FROM {labels}
    """


def _fact(relation: Relation) -> str:
    """The table `fact`: the relation's facts visible now, each with the places it counts in."""
    local = "timezone(getvariable('time_zone'), {})"
    start = "getvariable('as_of') - INTERVAL {} DAY"
    about = {
        None: "",
        "tie": "LEFT JOIN ticket AS about ON about.ticket_id = f.tie",
    }.get(
        relation.ticket,
        f"""LEFT JOIN (SELECT event_id, any_value(ticket_id) AS ticket_id
                FROM {relation.ticket}_first GROUP BY event_id) AS of ON of.event_id = f.tie
            LEFT JOIN ticket AS about ON about.ticket_id = of.ticket_id""",
    )
    language = "profile.language"
    grouped = ["'segment|' || profile.segment"]
    if relation.ticket:
        language = "coalesce(about.language, profile.language)"
        grouped.append("'channel|' || about.channel")
    grouped.append(f"'language|' || {language}")
    if relation.by_hour:
        grouped.append(f"'hour|' || strftime({local.format('about.opened_at')}, '%u-%H')")
    if relation.by_product:
        grouped.append("'product|' || about.product_id")
    if relation.by_age:
        grouped.append("'age|' || profile.age")
    year = ", ".join(("'all|'", *grouped))
    trend = "NULL" if relation.state else f"'month|' || strftime({local.format('begun')}, '%Y-%m')"
    recent = "false" if relation.state else f"begun >= {start.format(RECENT_DAYS)}"
    first_month = f"""timezone(getvariable('time_zone'), date_trunc('month',
        {local.format("getvariable('as_of')")}) - INTERVAL {TREND_MONTHS} MONTH)"""
    return f"""
        CREATE OR REPLACE TEMP TABLE fact AS
        SELECT f.*, list_filter(
            list_concat([{trend}, CASE WHEN {recent} THEN 'recent|' END],
                CASE WHEN begun >= {start.format(YEAR_DAYS)} THEN [{year}] ELSE [] END),
            lambda place: place IS NOT NULL) AS places
        FROM (
            SELECT *, (first_known - INTERVAL {relation.lag_days} DAY)::TIMESTAMPTZ AS begun
            FROM ({relation.sql})
            WHERE first_known < getvariable('as_of') AND known_from < getvariable('as_of')
              AND coalesce(known_until >= getvariable('as_of'), true)
        ) AS f
        LEFT JOIN profile ON profile.customer_id = f.customer_id
        {about}
        WHERE begun >= {first_month}
    """


def _sums(connection: duckdb.DuckDBPyConnection, kpis: list[Kpi]) -> pd.DataFrame:
    values, inner, outer = [], [], []
    for i, kpi in enumerate(kpis):
        value = kpi.value
        if is_duration(kpi):
            ended = f"({value}) <= {kpi.hours} AND {kpi.seen}"
            value = f"CASE WHEN ({value}) IS NOT NULL THEN {ended} END"
        values.append(
            f"CASE WHEN ({kpi.weight}) IS NOT NULL THEN CAST({value} AS DOUBLE) END AS v{i},"
            f" CASE WHEN v{i} IS NOT NULL THEN CAST({kpi.weight} AS DOUBLE) END AS w{i}"
        )
        inner.append(f"sum(v{i}) AS s{i}, sum(w{i}) AS w{i}, count(*) FILTER (w{i} > 0) AS n{i}")
        outer.append(
            f"coalesce(sum(n{i}), 0), count(s{i}), coalesce(sum(s{i}), 0), coalesce(sum(w{i}), 0),"
            f" coalesce(sum(s{i} * s{i}), 0), coalesce(sum(s{i} * w{i}), 0),"
            f" coalesce(sum(w{i} * w{i}), 0)"
        )
    rows = connection.execute(f"""
        SELECT place, {", ".join(outer)}
        FROM (
            SELECT customer_id, place, {", ".join(inner)}
            FROM (SELECT customer_id, unnest(places) AS place, {", ".join(values)} FROM fact)
            GROUP BY customer_id, place
        )
        GROUP BY place ORDER BY place
    """).fetchall()
    out = []
    for place, *numbers in rows:
        dimension, _, value_of = place.partition("|")
        for i, kpi in enumerate(kpis):
            found = [float(x) for x in numbers[i * len(SUMS) : (i + 1) * len(SUMS)]]
            if found[0] and (dimension != "hour" or kpi.by_hour):
                out.append((kpi.key, dimension, value_of, *found))
    return pd.DataFrame(out, columns=[*PLACE, *SUMS])


def _durations(connection: duckdb.DuckDBPyConnection, kpi: Kpi) -> pd.DataFrame:
    shown = "true" if kpi.by_hour else "place NOT LIKE 'hour|%'"
    return frame_of(
        connection,
        f"""
        SELECT '{kpi.key}' AS kpi, split_part(place, '|', 1) AS dimension,
               substr(place, strpos(place, '|') + 1) AS value_of,
               CASE WHEN hours < 1 THEN round(hours * 3600) / 3600
                    WHEN hours < 48 THEN round(hours * 60) / 60 ELSE round(hours) END AS hours,
               seen, count(*)::BIGINT AS number
        FROM (SELECT unnest(places) AS place, greatest(({kpi.value})::DOUBLE, 0) AS hours,
                     ({kpi.seen}) AS seen FROM fact WHERE ({kpi.value}) IS NOT NULL)
        WHERE {shown}
        GROUP BY ALL ORDER BY ALL
        """,
    )


def why_absent(kpi: Kpi, tables: Collection[str]) -> tuple[str, str]:
    """Why a source with these tables has no such KPI, in English and Japanese."""
    needs = RELATIONS[kpi.relation].needs if kpi.relation in RELATIONS else ()
    lacking = [name for name in needs if name not in tables]
    if not tables:
        return (
            "A snapshot records no times, so nothing can be followed over time.",
            "スナップショットには時刻がないため、経過を追えません。",
        )
    if lacking:
        named = ", ".join(lacking)
        return f"The source has no table {named}.", f"データ元に{named}テーブルがありません。"
    return (
        "In the last two years the source has no value for it, or never records that it happened.",
        "直近2年に値がないか、一度も記録されていません。",
    )
