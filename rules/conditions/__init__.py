"""The fact conditions that packs may name: `facts: <name>` calls `FACTS[name]`."""

from collections.abc import Mapping

from rules.conditions import (
    answers,
    charges,
    claims,
    frequency,
    hours,
    identity,
    opening,
    papers,
    parties,
    payment,
    records,
    visits,
)
from rules.context import FactCondition

FACTS: dict[str, FactCondition] = {
    condition.__name__: condition
    for condition in (
        hours.forbidden_hours,
        hours.stricter_hours,
        frequency.effective_calls_over_limit,
        frequency.unanswered_dials_over_limit,
        frequency.notices_over_limit,
        frequency.burst_of_dials,
        frequency.many_messages,
        frequency.limit_passed_by_switching_numbers,
        parties.contact_not_lost,
        parties.number_not_listed,
        parties.many_strangers,
        parties.contacted_after_stop,
        parties.contacted_after_wrong_number,
        records.recording_missing,
        records.recording_length_differs,
        records.kept_too_short,
        visits.too_few_collectors,
        visits.without_appointment,
        visits.id_not_shown,
        visits.stay_not_recorded,
        visits.entered_without_consent,
        visits.stayed_after_being_asked_to_leave,
        visits.visit_in_forbidden_hours,
        identity.private_line,
        identity.collector_is_none_of,
        identity.poses_as_lender,
        identity.agency_not_disclosed,
        claims.proceedings_denied,
        claims.credit_report_denied,
        claims.claimed_sum_over_balance,
        claims.debt_sum_told,
        claims.reached_somebody_else,
        payment.account_not_designated,
        payment.purse_not_designated,
        opening.institution_not_named,
        opening.employee_not_named,
        opening.recording_not_mentioned,
        opening.debt_before_identity,
        opening.left_on_voicemail,
        papers.message_lacks_parts,
        papers.letter_lacks_parts,
        charges.charges_answered_wrongly,
        answers.complaint_not_taken_up,
        answers.refused_repeatedly,
        answers.robot_not_named,
    )
}

HEARD: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "complaint_not_taken_up": (("conduct_complaint", "misconduct_told"),),
    "refused_repeatedly": (("asks_for_terms", "refuses_terms"),),
    "debt_before_identity": (("debt_named",),),
    "charges_answered_wrongly": (("charges",), ("sum",)),
}
"""Facts that hold only where all cues of one of these groups are heard in the contact.

A name that the rule's `with` gives a value stands for the cue of that value.
"""
