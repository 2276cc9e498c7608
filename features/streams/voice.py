"""What customers say: surveys, feedback, reviews, mentions, referrals (METHODS S17-S31, S64)."""

from __future__ import annotations

from features.declare import Stream, flag, one_if, scaled, simple

REPLY_DAYS = 7
"""A public review is answered in time within so many days (METHODS S28, CENS7d)."""

STREAMS: tuple[Stream, ...] = (
    simple(
        "survey_answer",
        "surveys",
        "action = 'answered'",
        csat=scaled("csat"),
        csat_low=f"CASE WHEN kind = 'csat' THEN {flag(scaled('csat') + ' <= 25')} END",
        csat_low_one=one_if(f"{scaled('csat')} <= 25"),
        csat_support=f"CASE WHEN touchpoint = 'support' THEN {scaled('csat')} END",
        csat_purchase=f"CASE WHEN touchpoint = 'purchase' THEN {scaled('csat')} END",
        nps=scaled("nps"),
        # 9-10 promoter, 7-8 passive, 0-6 detractor: the mean over answers is the NPS.
        nps_class=f"""CASE WHEN {scaled("nps")} >= 90 THEN 100 WHEN {scaled("nps")} <= 60 THEN -100
            WHEN {scaled("nps")} IS NOT NULL THEN 0 END""",
        ces=scaled("ces"),
        trust=scaled("trust"),
        intent=scaled("intent"),
        intent_top_two=f"CASE WHEN kind = 'intent' THEN {flag('value >= scale_max - 1')} END",
        comment=one_if("trim(comment) <> ''"),
    ),
    Stream(
        "survey_comment",
        ("surveys",),
        ("polarity", "negative"),
        f"""
        SELECT customer_id, first_known, known_from, known_until, event_id AS tie, polarity,
               {flag("polarity < 0")} AS negative
        FROM surveys JOIN comment_polarity USING (event_id, record_version)
        WHERE action = 'answered'
        """,
    ),
    Stream(
        "survey_due",
        ("surveys",),
        ("answered", "incented", "answered_incented", "spoken", "paper"),
        f"""
        SELECT customer_id, sent_known + INTERVAL 7 DAY AS first_known, first_known AS known_from,
               withdrawn AS known_until, survey_id AS tie,
               {flag("coalesce(answer_known <= sent_known + INTERVAL 7 DAY, false)")} AS answered,
               {flag("incented")} AS incented,
               CASE WHEN incented THEN answered END AS answered_incented,
               {flag("mode IN ('phone', 'interview')")} AS spoken,
               {flag("mode = 'paper'")} AS paper
        FROM (
            SELECT survey_id, customer_id, known_from AS sent_known, withdrawn, incented, mode
            FROM surveys_first
            WHERE action = 'sent'
            QUALIFY row_number() OVER (PARTITION BY survey_id ORDER BY known_from, event_id) = 1
        )
        LEFT JOIN (
            SELECT survey_id, min(known_from) AS answer_known FROM surveys_first
            WHERE action = 'answered' GROUP BY survey_id
        ) USING (survey_id)
        """,
    ),
    simple(
        "feedback",
        "feedback",
        given=one_if("action = 'given'"),
        session=one_if("action = 'session_attended'"),
        acted_on=one_if("action = 'acted_on'"),
        notified=one_if("action = 'notified'"),
        # Of what was decided; what is still open is neither acted on nor declined.
        accepted="CASE action WHEN 'acted_on' THEN 1 WHEN 'declined' THEN 0 END",
    ),
    Stream(
        "feedback_open",
        ("feedback",),
        (),
        """
        SELECT customer_id, known_from AS first_known, known_from,
               least(withdrawn, decided_known) AS known_until, feedback_id AS tie
        FROM (
            SELECT *, min(known_from) FILTER (action IN ('acted_on', 'declined'))
                OVER (PARTITION BY feedback_id) AS decided_known
            FROM feedback_first
        )
        WHERE action = 'given' AND coalesce(known_from < decided_known, true)
        QUALIFY row_number() OVER (PARTITION BY feedback_id ORDER BY known_from, event_id) = 1
        """,
    ),
    Stream(
        "feedback_untold",
        ("feedback",),
        (),
        """
        SELECT customer_id, known_from AS first_known, known_from,
               least(withdrawn, told_known) AS known_until, feedback_id AS tie
        FROM (
            SELECT *, min(known_from) FILTER (action = 'notified')
                OVER (PARTITION BY feedback_id) AS told_known
            FROM feedback_first
        )
        WHERE action = 'acted_on' AND coalesce(known_from < told_known, true)
        QUALIFY row_number() OVER (PARTITION BY feedback_id ORDER BY known_from, event_id) = 1
        """,
    ),
    simple(
        "review",
        "reviews",
        "action = 'posted'",
        rating="rating",
        negative=one_if("rating <= 2"),
    ),
    Stream(
        "review_due",
        ("reviews",),
        ("answered", "hours"),
        # Slow answers enter with the seven days they have taken so far (CENS7d), never left out.
        f"""
        SELECT posted.customer_id, posted.known_from + INTERVAL {REPLY_DAYS} DAY AS first_known,
               first_known AS known_from, posted.withdrawn AS known_until,
               posted.review_id AS tie, {flag("min(answer.event_at) IS NOT NULL")} AS answered,
               coalesce(epoch(min(answer.event_at) - posted.event_at) / 3600, {24 * REPLY_DAYS})
                   AS hours
        FROM (
            FROM reviews_first WHERE action = 'posted'
            QUALIFY row_number() OVER (PARTITION BY review_id ORDER BY known_from, event_id) = 1
        ) AS posted
        LEFT JOIN reviews_first AS answer ON answer.review_id = posted.review_id
            AND answer.action = 'answered' AND answer.event_at BETWEEN posted.event_at
                AND posted.event_at + INTERVAL {REPLY_DAYS} DAY
            AND answer.known_from <= posted.known_from + INTERVAL {REPLY_DAYS} DAY
        GROUP BY posted.customer_id, posted.known_from, posted.withdrawn, posted.review_id,
            posted.event_at
        """,
    ),
    Stream(
        "review_unanswered",
        ("reviews",),
        (),
        """
        SELECT customer_id, known_from AS first_known, known_from,
               least(withdrawn, answer_known) AS known_until, review_id AS tie
        FROM (
            SELECT *, min(known_from) FILTER (action = 'answered')
                OVER (PARTITION BY review_id) AS answer_known
            FROM reviews_first
        )
        WHERE action = 'posted' AND coalesce(known_from < answer_known, true)
        QUALIFY row_number() OVER (PARTITION BY review_id ORDER BY known_from, event_id) = 1
        """,
    ),
    Stream(
        "mention",
        ("social_mentions",),
        ("tone", "negative", "number"),
        # Only matched mentions are known: a customer without any is unknown, not silent. So the
        # number so far is a value of the mention itself, and missing without one.
        f"""
        SELECT customer_id, known_from AS first_known, known_from, withdrawn AS known_until,
               event_id AS tie, tone, {flag("tone < 0")} AS negative,
               row_number() OVER (PARTITION BY customer_id ORDER BY known_from, event_id) AS number
        FROM social_mentions_first
        """,
    ),
    simple("referral", "referrals", "action = 'made'"),
    Stream(
        "referral_due",
        ("referrals",),
        ("converted",),
        f"""
        SELECT made.customer_id, made.known_from + INTERVAL 30 DAY AS first_known,
               first_known AS known_from, made.withdrawn AS known_until, made.referral_id AS tie,
               {flag("count(won.event_id) > 0")} AS converted
        FROM (
            FROM referrals_first WHERE action = 'made'
            QUALIFY row_number() OVER (PARTITION BY referral_id ORDER BY known_from, event_id) = 1
        ) AS made
        LEFT JOIN referrals_first AS won ON won.referral_id = made.referral_id
            AND won.action = 'converted' AND won.event_at <= made.event_at + INTERVAL 30 DAY
            AND won.known_from <= made.known_from + INTERVAL 30 DAY
        GROUP BY made.customer_id, made.known_from, made.withdrawn, made.referral_id
        """,
    ),
    Stream(
        "referral_pending",
        ("referrals",),
        (),
        """
        SELECT customer_id, known_from AS first_known, known_from,
               least(withdrawn, known_from + INTERVAL 30 DAY) AS known_until, referral_id AS tie
        FROM referrals_first WHERE action = 'made'
        QUALIFY row_number() OVER (PARTITION BY referral_id ORDER BY known_from, event_id) = 1
        """,
    ),
)
