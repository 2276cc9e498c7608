"""Every number of the embedded world, and the named worlds that differ in a few of them.

The numbers are design choices, not estimates from a real company: they give the marginals that
tests/data/test_world.py asserts, and support that matters without deciding everything. Weekly
hazards are complementary log-log, rates are logarithmic, policies are logits; durations are in
hours. Names say what a coefficient multiplies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from data.errors import InputError

LANGUAGES = ("ja", "en", "zh", "ko")
CHANNELS = ("chat", "phone", "mail", "social")
TOPICS = ("delivery", "defect", "billing", "howto", "returns", "account", "contract")
PRODUCTS = 12
WARM_UP_MONTHS = 6  # simulated before the first as-of date
DEFECTIVE_PRODUCTS = 5  # the last five products are the defective line


@dataclass(frozen=True)
class World:
    """Every parameter of the world. Log-hazard and logit scales are per unit of the input."""

    # Population: shares and class offsets (classes are hidden; offsets on the log-hazard scale)
    class_share: tuple[float, ...] = (0.30, 0.30, 0.25, 0.15)
    class_churn: tuple[float, ...] = (-1.1, -0.2, 0.5, 1.2)
    class_purchase: tuple[float, ...] = (0.6, 0.1, -0.3, -0.5)
    class_ticket: tuple[float, ...] = (-0.4, 0.0, 0.2, 0.6)
    premium_share: float = 0.20
    annual_share: float = 0.25
    contract_share: float = 0.60
    defect_share: float = 0.40
    language_share: tuple[float, ...] = (0.85, 0.10, 0.03, 0.02)  # ja, en, zh, ko
    channel_share: tuple[float, ...] = (0.27, 0.30, 0.35, 0.08)  # chat, phone, mail, social
    present_at_start: float = 0.55  # the others sign up evenly over the period
    tenure_years_mean: float = 1.5  # of those present at the start

    # Experience and harm: what support does. These are the true effects (per event)
    experience_memory: float = 0.92
    harm_memory: float = 0.85
    effect_severity: float = -0.25  # per step of (severity - 0.5)
    effect_first_response: float = -0.13  # per log1p(hours)
    first_response_for_premium: float = 1.0  # how many times that effect on premium customers
    effect_first_contact_resolution: float = 0.60  # per (0/1 - 0.5)
    effect_escalation: float = -0.40
    effect_time_to_resolution: float = -0.12  # per log1p(hours / 24)
    effect_follow_up: float = 0.20
    effect_personal: float = 0.12
    effect_language_mismatch: float = -0.30
    effect_empathy: float = 0.10  # per standard deviation of the agent's empathy
    effect_repeat_info: float = -0.15
    effect_bot_trap: float = -0.10
    effect_feedback: float = 0.15  # the company acted on the customer's feedback and said so
    loyalty_lift: float = 0.08  # true relative lift of the order rate

    # Weekly hazards (complementary log-log) and rates (log)
    churn_base: float = -5.35
    churn_experience: float = -2.0
    churn_harm: float = 0.8
    churn_tenure: float = -0.10  # per half year, up to two years
    churn_premium: float = -0.45
    churn_season: float = 0.15
    churn_annual_in_window: float = 1.9  # the three weeks before renewal
    churn_annual_elsewhere: float = -1.6
    death_base: float = -4.9  # customers without a contract stop buying unseen
    death_class: float = 0.8
    death_experience: float = -1.5
    death_harm: float = 0.5
    order_base: float = -2.75
    order_class: float = 0.9
    order_experience: float = 0.6
    order_harm: float = -0.3
    contract_order_base: float = -2.1
    contract_order_class: float = 1.0
    contract_order_experience: float = 0.3
    contract_order_harm: float = -0.3
    usage_base: float = 1.0
    usage_class: float = 0.45
    usage_experience: float = 0.12
    usage_harm: float = -0.30
    ticket_base: float = -3.0  # -2.65 - 0.35
    ticket_defect: float = 0.7
    season_size: float = 0.25
    season_peak_week: float = 50.0
    enrol_base: float = -4.6
    enrol_class: float = 1.2  # self-selection: buyers enrol
    notice_share: float = 0.45  # leavers who announce it 3 to 24 days ahead
    payment_failure: float = 0.008  # per renewal
    payment_lost: float = 0.06  # of the failures

    # How the company treats a ticket (confounded with severity, premium and load)
    severity_share: tuple[float, ...] = (0.60, 0.30, 0.10)
    severity_share_defect: tuple[float, ...] = (0.52, 0.34, 0.14)  # of defect tickets
    load_season: float = 0.5
    load_memory: float = 0.6
    load_shock: float = 0.35
    response_base: float = 0.6931  # log(2 hours)
    response_severity: float = 0.35  # per (severity - 1.5)
    response_premium: float = -0.9
    response_load: float = 0.7
    response_offhours: float = 0.9
    response_channel: tuple[float, ...] = (-0.8, -0.6, 0.0, 0.4)  # chat, phone, mail, social
    response_noise: float = 0.9
    response_split_hours: float | None = None  # premium always faster, the others always slower
    fcr_base: float = 1.75
    fcr_severity: float = -0.9
    fcr_personal: float = 0.35
    fcr_language_mismatch: float = -0.5
    fcr_load: float = -0.3
    fcr_response: float = -0.12  # per (log hours - 0.7)
    escalation_base: float = -2.2
    escalation_severity: float = 0.9
    escalation_fcr: float = -0.9
    escalation_load: float = 0.3
    escalation_premium: float = -0.3
    resolution_base: float = 2.0794  # log(8 hours)
    resolution_severity: float = 0.5
    resolution_fcr: float = -1.2
    resolution_escalation: float = 0.6
    resolution_load: float = 0.25
    resolution_response: float = 0.35
    resolution_noise: float = 0.7
    follow_up_base: float = -0.6
    follow_up_premium: float = 0.9
    follow_up_load: float = -0.7
    follow_up_severe: float = 0.3
    personal_base: float = -0.2
    personal_premium: float = 0.8
    personal_load: float = -0.6
    language_mismatch: tuple[float, ...] = (0.0, 0.25, 0.5, 0.5)  # ja, en, zh, ko
    preferred_channel: float = 0.7  # of tickets that use it; the others follow channel_share
    bot_first: float = 0.35
    bot_trap: float = 0.25  # of bot-first tickets of severity 2 or 3
    repeat_info: float = 0.4  # of escalated, unresolved tickets whose history nobody read
    pilot_months: tuple[int, int] = (7, 12)  # follow-up is a fair coin in these months
    feedback_base: float = -2.2  # of tickets after which the customer gives feedback
    feedback_severe: float = 0.5  # severity 3
    feedback_unresolved: float = 0.8  # not resolved at first contact
    acted_on_base: float = -0.3  # of feedback that the company acts on
    acted_on_premium: float = 0.6
    acted_on_load: float = -0.5
    told_of_action: float = 0.8  # of feedback acted on; the others never hear of it

    # What gets recorded
    csat_response: tuple[float, ...] = (-0.9, 0.5, 0.4, -0.3)  # base, S<-0.6, S>0, severity 3
    csat_base: float = 3.9  # on the scale 1 to 5, before compression
    csat_experience: float = 1.1
    csat_noise: float = 0.9
    nps_base: float = 7.1
    nps_experience: float = 2.2
    nps_noise: float = 1.9
    ces_base: float = 5.1  # on the scale 1 (hard) to 7 (easy)
    ces_noise: float = 1.1
    japanese_compression: float = 0.8  # answers in Japanese shrink towards the midpoint
    known_lag_median_hours: float = 0.3
    known_lag_sigma: float = 1.2
    late_share: float = 0.02  # known more than three days after the event
    severity_recorded: bool = True

    # A lasting change: from the first week after `change_month` whole months, `changed` holds. It
    # may name what sign-ups, tickets and leaving depend on; orders and visits keep their rates.
    change_month: int | None = None
    changed: Mapping[str, Any] = field(default_factory=dict)
    launch_share: float = 0.0  # customers who sign up in the four weeks after the change

    def after_change(self) -> World:
        """The parameters that hold after the change."""
        return replace(self, **self.changed)


WORLDS = {
    "W0": World(
        effect_first_response=0.0,
        effect_first_contact_resolution=0.0,
        effect_escalation=0.0,
        effect_time_to_resolution=0.0,
        effect_follow_up=0.0,
        effect_personal=0.0,
        effect_language_mismatch=0.0,
        effect_empathy=0.0,
        effect_repeat_info=0.0,
        effect_bot_trap=0.0,
        effect_feedback=0.0,
        loyalty_lift=0.0,
    ),
    "W1": World(),
    "W2": World(severity_recorded=False),
    "W3": World(response_split_hours=1.0),
    "W4": World(
        change_month=WARM_UP_MONTHS + 18,
        changed={
            "effect_first_contact_resolution": 0.30,
            "language_share": (0.35, 0.45, 0.12, 0.08),
        },
        launch_share=0.12,
    ),
    "W5": World(first_response_for_premium=2.0),
    "W6": World(late_share=0.0, known_lag_median_hours=0.0),
    "bot_rollout": World(
        change_month=WARM_UP_MONTHS + 18,
        changed={
            "channel_share": (0.80, 0.08, 0.09, 0.03),
            "preferred_channel": 0.3,
            "bot_first": 0.85,
            "bot_trap": 0.45,
            "response_base": 0.3365,  # log(1.4 hours): agents have fewer first contacts
            "fcr_base": 1.35,
        },
    ),
    "jp_only": World(language_share=(1.0, 0.0, 0.0, 0.0)),
    "tiny": World(
        present_at_start=0.9,
        churn_base=-4.4,
        death_base=-4.4,
        order_base=-2.1,
        contract_order_base=-1.7,
        ticket_base=-2.2,
    ),
}
"""The named worlds; docs/world.md says what a right pipeline concludes in each.

W0 support does nothing, while severity and premium still confound; W1 the default; W2 severity is
withheld; W3 premium is always answered within the hour and nobody else is, so there is no overlap;
W4 after 18 months (of as-of dates) resolution at first contact is worth half and a launch abroad
shifts the languages; W5 a slow reply hurts premium customers twice as much; W6 everything is known
at once; bot_rollout after 18 months bots meet most tickets, in chat, and resolve less; jp_only
everybody speaks Japanese; tiny has so many events that a few hundred customers suffice.
"""


def world_named(name: str) -> World:
    """The parameters of a named world. Raises ValueError with the known names."""
    if name not in WORLDS:
        raise InputError(f"unknown world {name!r}; known worlds: {', '.join(sorted(WORLDS))}")
    return WORLDS[name]
