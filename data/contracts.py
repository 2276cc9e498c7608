"""The canonical tables: grain, columns, units, allowed values and the rules every row must keep.

Read this file as data. `data.ingest` loops over it; nothing else decides what a valid row is.

Every table is an append-only, bitemporal list of events. `event_at` is when a thing happened,
`known_at` is when the company's systems could have told a scorer about it. A correction is a
new row with the same `event_id` and a higher `record_version`; a deletion is a new version
with `op = 'delete'`. What will happen later (`term_end`) is an attribute, never an event.
"""

from __future__ import annotations

from dataclasses import dataclass

TIMESTAMP = "TIMESTAMPTZ"  # UTC, microseconds
TEXT = "VARCHAR"
NUMBER = "DOUBLE"
INTEGER = "BIGINT"
FLAG = "BOOLEAN"


@dataclass(frozen=True)
class Column:
    """One column: DuckDB type, whether a row may lack it, and which values it may hold."""

    name: str
    type: str
    meaning: str
    required: bool = False
    allowed: tuple[str, ...] | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Rule:
    """A row for which the DuckDB expression `broken` is true is quarantined with `reason`.

    More than `max_share` of a table's rows stop the ingest, whatever the source tolerates.
    """

    reason: str
    broken: str
    max_share: float | None = None


@dataclass(frozen=True)
class Table:
    """One canonical table. `grain` says what a row is; `key` is unique per record version."""

    name: str
    grain: str
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The common event columns followed by the table's own."""
        return EVENT_COLUMNS + self.columns

    @property
    def all_rules(self) -> tuple[Rule, ...]:
        """What the columns declare, then the rules of every event, then the table's own."""
        declared = tuple(rule for column in self.all_columns for rule in column_rules(column))
        return declared + EVENT_RULES + self.rules

    def column(self, name: str) -> Column:
        return next(column for column in self.all_columns if column.name == name)


def column_rules(column: Column) -> tuple[Rule, ...]:
    """The rules that one column's declaration stands for."""
    name, rules = column.name, []
    if column.required:
        # Only texts that begin with a space or nothing are trimmed: it is what costs time here.
        blank = f" OR ({name} < '!' AND trim({name}) = '')" if column.type == TEXT else ""
        missing = f"{name} IS NULL{blank}"
        rules.append(Rule(f"{name} missing", missing, NEVER if name == "known_at" else None))
    if column.allowed is not None:
        values = ", ".join(f"'{value}'" for value in column.allowed)
        rules.append(Rule(f"{name} not an allowed value", f"{name} NOT IN ({values})", RARELY))
    if column.type == NUMBER:
        rules.append(Rule(f"{name} not finite", f"NOT isfinite({name})"))
    if column.low is not None:
        rules.append(Rule(f"{name} below {column.low:g}", f"{name} < {column.low}"))
    if column.high is not None:
        rules.append(Rule(f"{name} above {column.high:g}", f"{name} > {column.high}"))
    return tuple(rules)


# A time nobody can place and a value nobody has defined are faults of the SELECT, not of a row.
NEVER = 0.0
RARELY = 0.001

EVENT_COLUMNS = (
    Column("event_id", TEXT, "identifies the event within its table", required=True),
    Column("record_version", INTEGER, "1 for the first record of an event, then 2, 3, ...", low=1),
    Column("customer_id", TEXT, "the customer the event belongs to", required=True),
    Column("event_at", TIMESTAMP, "when it happened", required=True),
    Column("known_at", TIMESTAMP, "when a scorer could first have read it", required=True),
    Column("op", TEXT, "'delete' withdraws the event", allowed=("upsert", "delete")),
)
KEY = ("event_id", "record_version")
DEFAULTS = {"record_version": "1", "op": "'upsert'"}
"""What an event column is when a source does not give it (`known_at` has no default: a source
says in its SELECT when a row became known)."""

CHANNELS = ("mail", "phone", "chat", "social", "web", "in_person")

EVENT_RULES = (
    Rule("happened after it was known", "epoch_us(event_at) > epoch_us(known_at) + 300000000"),
    Rule(
        "time outside 1990-2100",
        "event_at NOT BETWEEN '1990-01-01' AND '2100-01-01'"
        " OR known_at NOT BETWEEN '1990-01-01' AND '2100-01-01'",
    ),
)

TABLES: tuple[Table, ...] = (
    Table(
        "customers",
        "one version of one customer's profile",
        (
            Column("signup_at", TIMESTAMP, "start of the relationship", required=True),
            Column("language", TEXT, "preferred language, ISO 639-1"),
            Column("country", TEXT, "country, ISO 3166-1 alpha-2 where the source has it"),
            Column("region", TEXT, "prefecture, province or state"),
            Column("segment", TEXT, "the company's own segment"),
            Column("acquisition", TEXT, "how the customer came"),
            Column(
                "relationship",
                TEXT,
                "whether the customer holds a contract",
                allowed=("contract", "noncontract", "both"),
            ),
            Column("channel_pref", TEXT, "channel the customer asked for", allowed=CHANNELS),
            Column("contact_opt_in", FLAG, "may be contacted by the retention team"),
            Column("time_zone", TEXT, "the customer's IANA time zone, where known"),
            Column("birth_year", INTEGER, "year of birth; slices only, never a feature", low=1900),
            Column("csr_opt_in", FLAG, "takes part in the company's sustainability programme"),
        ),
    ),
    Table(
        "subscriptions",
        "one change of one subscription",
        (
            Column("subscription_id", TEXT, "the subscription", required=True),
            Column(
                "kind",
                TEXT,
                "what changed",
                required=True,
                allowed=(
                    "start",
                    "renew",
                    "cancel_request",
                    "cancel_effective",
                    "expire",
                    "pause",
                    "resume",
                    "plan_change",
                    "payment_failed",
                ),
            ),
            Column("plan", TEXT, "plan after the change"),
            Column("term_end", TIMESTAMP, "end of the paid term as known at the event"),
            Column("price", NUMBER, "price per month in the source's currency", low=0),
            Column("discount_share", NUMBER, "discount on the list price, 0 to 1", low=0, high=1),
            Column("reason", TEXT, "reason given"),
        ),
    ),
    Table(
        "orders",
        "one version of one order",
        (
            Column("order_id", TEXT, "the order", required=True),
            Column(
                "status", TEXT, "state of the order", required=True, allowed=("placed", "cancelled")
            ),
            Column("amount", NUMBER, "net amount in the source's currency", low=0),
            Column("discount", NUMBER, "discount granted, same currency", low=0),
            Column("item_count", NUMBER, "different products in the order", low=0),
            Column("category", TEXT, "main product category"),
            Column("product_id", TEXT, "main product"),
            Column("is_eco", FLAG, "main product is from the sustainable range"),
            Column("delivered_at", TIMESTAMP, "delivery date promised when the order was placed"),
        ),
    ),
    Table(
        "returns",
        "one step of one return",
        (
            Column("return_id", TEXT, "the return", required=True),
            Column("order_id", TEXT, "the order it belongs to, where known"),
            Column(
                "kind",
                TEXT,
                "what happened",
                required=True,
                allowed=("requested", "received", "refunded", "denied", "exchanged"),
            ),
            Column("amount", NUMBER, "value returned in the source's currency", low=0),
            Column("kit_used", FLAG, "sent back with the prepared return kit"),
            Column("under_warranty", FLAG, "claimed under the warranty"),
        ),
    ),
    Table(
        "tickets",
        "one version of one support ticket, as taken in",
        (
            Column("ticket_id", TEXT, "the ticket", required=True),
            Column("topic", TEXT, "topic assigned at intake"),
            Column(
                "severity", INTEGER, "severity at intake: 1 low, 2 medium, 3 high", low=1, high=3
            ),
            Column("channel", TEXT, "channel of first contact", required=True, allowed=CHANNELS),
            Column("language", TEXT, "language of the request, ISO 639-1"),
            Column("product_id", TEXT, "product concerned"),
            Column("queue_backlog", NUMBER, "open tickets in its queue at intake", low=0),
            Column(
                "prior_errors",
                NUMBER,
                "product errors logged before the ticket: a negative control, never a feature",
                low=0,
            ),
        ),
    ),
    Table(
        "ticket_events",
        "one step in the life of a ticket",
        (
            Column("ticket_id", TEXT, "the ticket", required=True),
            Column(
                "kind",
                TEXT,
                "what happened",
                required=True,
                allowed=(
                    "assigned",
                    "context_viewed",
                    "escalated",
                    "transferred",
                    "pending_customer",
                    "resolved",
                    "reopened",
                    "merged",
                    "decision",
                ),
            ),
            Column("agent_id", TEXT, "agent who holds the ticket after the step"),
            Column("tier", INTEGER, "support tier after the step", low=0, high=5),
            Column("own_authority", FLAG, "a decision the agent took without asking"),
            Column("context_passed", FLAG, "history went along with a transfer or escalation"),
            Column("agent_tenure_days", NUMBER, "days the agent has worked in support", low=0),
            Column("agent_training_hours", NUMBER, "agent's training in the 90 days before", low=0),
            Column("trial", TEXT, "randomised trial a decision belongs to, if any"),
            Column("rand_arm", TEXT, "arm of that trial the ticket was drawn into"),
        ),
    ),
    Table(
        "messages",
        "one message on a ticket",
        (
            Column("ticket_id", TEXT, "the ticket", required=True),
            Column(
                "author",
                TEXT,
                "who wrote it",
                required=True,
                allowed=("customer", "agent", "bot", "system"),
            ),
            Column("is_public", FLAG, "visible to the customer"),
            Column("language", TEXT, "language of the text, ISO 639-1"),
            Column("text", TEXT, "the message; never leaves the sentiment step"),
            Column("agent_id", TEXT, "agent or bot who wrote it"),
            Column("translated", FLAG, "machine translated"),
            Column("asks_again", FLAG, "asks for something the customer had already given"),
            Column("asks_to_clarify", FLAG, "asks what the customer means"),
            Column("not_understood", FLAG, "a bot's answer that it did not understand"),
            Column("corrects", FLAG, "corrects an earlier wrong answer"),
        ),
    ),
    Table(
        "calls",
        "one phone call",
        (
            Column("ticket_id", TEXT, "the ticket it belongs to, if any"),
            Column("wait_seconds", NUMBER, "time in the queue", low=0),
            Column("talk_seconds", NUMBER, "time in conversation", low=0),
            Column("hold_seconds", NUMBER, "time on hold", low=0),
            Column("wrap_seconds", NUMBER, "the agent's work after the call", low=0),
            Column("abandoned", FLAG, "the customer hung up before an answer"),
            Column("agent_id", TEXT, "agent who answered"),
        ),
    ),
    Table(
        "qa_reviews",
        "one quality review of one handled ticket; scores from 0 to 100",
        (
            Column("ticket_id", TEXT, "the ticket reviewed", required=True),
            Column("agent_id", TEXT, "the agent reviewed"),
            Column("empathy", NUMBER, "empathy and friendliness", low=0, high=100),
            Column("listening", NUMBER, "listening and clarifying", low=0, high=100),
            Column("clarity", NUMBER, "clear and concise language", low=0, high=100),
            Column("accuracy", NUMBER, "accuracy of the information", low=0, high=100),
            Column("tone", NUMBER, "tone fits the customer", low=0, high=100),
            Column("language", NUMBER, "command of the customer's language", low=0, high=100),
        ),
    ),
    Table(
        "surveys",
        "one step of one survey: it is sent, then answered or expired",
        (
            Column("survey_id", TEXT, "the survey", required=True),
            Column(
                "kind",
                TEXT,
                "which question",
                required=True,
                allowed=("csat", "nps", "ces", "trust", "intent"),
            ),
            Column(
                "action",
                TEXT,
                "which step",
                required=True,
                allowed=("sent", "answered", "expired"),
            ),
            Column("scale_min", NUMBER, "worst answer on the scale"),
            Column("scale_max", NUMBER, "best answer on the scale"),
            Column("value", NUMBER, "the answer, on the scale"),
            Column(
                "touchpoint",
                TEXT,
                "what it asks about",
                allowed=("support", "purchase", "relationship"),
            ),
            Column("ticket_id", TEXT, "the ticket asked about, if any"),
            Column(
                "mode",
                TEXT,
                "how it was asked",
                allowed=("online", "phone", "interview", "paper"),
            ),
            Column("incented", FLAG, "an incentive was promised for answering"),
            Column("comment", TEXT, "free text; never leaves the sentiment step"),
        ),
        (
            Rule(
                "answer missing or outside its scale",
                "action = 'answered' AND (value IS NULL OR scale_min IS NULL OR scale_max IS NULL"
                " OR value < scale_min OR value > scale_max)",
            ),
        ),
    ),
    Table(
        "outreach",
        "one contact that the company started",
        (
            Column(
                "kind",
                TEXT,
                "why the company wrote",
                required=True,
                allowed=(
                    "follow_up",
                    "proactive_help",
                    "usage_tip",
                    "personal_offer",
                    "related_offer",
                    "thank_you",
                    "birthday",
                    "surprise_discount",
                    "sale_notice",
                ),
            ),
            Column(
                "action",
                TEXT,
                "which step; null counts as sent",
                allowed=("sent", "opened", "replied"),
            ),
            Column("outreach_id", TEXT, "joins the steps of one contact; null stands alone"),
            Column("ticket_id", TEXT, "the ticket followed up, if any"),
            Column("order_id", TEXT, "the order followed up, if any"),
            Column("category", TEXT, "product category offered, if any"),
            Column("campaign", TEXT, "campaign"),
            Column("arm", TEXT, "arm of a randomised trial, if any"),
        ),
    ),
    Table(
        "loyalty",
        "one movement in the loyalty programme",
        (
            Column(
                "kind",
                TEXT,
                "what happened",
                required=True,
                allowed=("enrol", "earn", "redeem", "expire", "tier", "leave"),
            ),
            Column("points", NUMBER, "points moved, always positive", low=0),
            Column("tier", TEXT, "tier after the movement"),
            Column("tier_rank", INTEGER, "rank of that tier, higher is better", low=0),
            Column("expires_at", TIMESTAMP, "when points earned here will expire"),
        ),
    ),
    Table(
        "selfservice",
        "one use of self-service",
        (
            Column(
                "kind",
                TEXT,
                "what was used",
                required=True,
                allowed=("faq", "video", "manual", "community", "troubleshooter"),
            ),
            Column("article_id", TEXT, "the article"),
        ),
    ),
    Table(
        "web_sessions",
        "one visit, or all visits of one period",
        (
            Column("visits", NUMBER, "visits in the row, 1 for a single one", low=0),
            Column("device", TEXT, "kind of device", allowed=("desktop", "mobile", "tablet")),
            Column("load_ms", NUMBER, "time until the page was ready, 75th percentile", low=0),
            Column("page_errors", NUMBER, "pages not found and clicks without effect", low=0),
            Column("support_searches", NUMBER, "searches for help", low=0),
            Column("contact_page_views", NUMBER, "views of the contact page", low=0),
            Column("contact_minutes", NUMBER, "from the search for help to a contact", low=0),
            Column("checkout_failures", NUMBER, "checkouts that failed", low=0),
            Column("payment_failures", NUMBER, "payments that failed", low=0),
            Column("consent", FLAG, "the customer allowed behaviour tracking"),
        ),
    ),
    Table(
        "reviews",
        "one step of one public review",
        (
            Column("review_id", TEXT, "the review", required=True),
            Column("action", TEXT, "which step", required=True, allowed=("posted", "answered")),
            Column("rating", NUMBER, "stars, 1 to 5", low=1, high=5),
            Column("product_id", TEXT, "product reviewed"),
        ),
    ),
    Table(
        "social_mentions",
        "one public mention that could be matched to the customer",
        (
            Column("platform", TEXT, "where"),
            Column("tone", NUMBER, "-1 negative to 1 positive", low=-1, high=1),
        ),
    ),
    Table(
        "referrals",
        "one step of one referral",
        (
            Column("referral_id", TEXT, "the referral", required=True),
            Column("action", TEXT, "which step", required=True, allowed=("made", "converted")),
        ),
    ),
    Table(
        "feedback",
        "one step of one piece of feedback",
        (
            Column("feedback_id", TEXT, "the piece of feedback", required=True),
            Column(
                "action",
                TEXT,
                "which step",
                required=True,
                allowed=("given", "session_attended", "acted_on", "declined", "notified"),
            ),
            Column("topic", TEXT, "what it is about"),
        ),
    ),
    Table(
        "attributes",
        "one value of one attribute of a customer that only this company records",
        (
            Column("name", TEXT, "the attribute, as source.yaml declares it", required=True),
            Column("number", NUMBER, "its value, where that is a number"),
            Column("category", TEXT, "its value, where that is a word"),
        ),
        (
            Rule(
                "not exactly one of number and category",
                "(number IS NULL) = (category IS NULL)",
            ),
        ),
    ),
)

TABLE = {table.name: table for table in TABLES}


@dataclass(frozen=True)
class Reference:
    """Rows of `table` whose `column` is filled must point to a row of `parent`."""

    table: str
    column: str
    parent: str
    reason: str

    @property
    def arriving(self) -> str:
        """The reason while the parent may still be on its way: not counted against the share."""
        return f"{self.reason} yet"


@dataclass(frozen=True)
class Order:
    """Rows of `table` that match `when` must not happen before the `parent` row they point to."""

    table: str
    when: str
    column: str
    parent: str
    parent_time: str
    reason: str


REFERENCES = tuple(
    Reference(table.name, "customer_id", "customers", "customer unknown")
    for table in TABLES
    if table.name != "customers"
) + tuple(
    Reference(name, "ticket_id", "tickets", "ticket unknown")
    for name in ("ticket_events", "messages", "surveys", "outreach", "calls", "qa_reviews")
)

ORDERS = (
    *(
        Order(table.name, "true", "customer_id", "customers", "signup_at", "before sign-up")
        for table in TABLES
        if table.name != "customers"
    ),
    Order(
        "ticket_events", "true", "ticket_id", "tickets", "event_at", "before its ticket was opened"
    ),
    Order(
        "messages",
        "author <> 'customer'",
        "ticket_id",
        "tickets",
        "event_at",
        "reply before its ticket",
    ),
    Order("qa_reviews", "true", "ticket_id", "tickets", "event_at", "review before its ticket"),
)
