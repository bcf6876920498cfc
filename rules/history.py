"""Gather events into case histories whose order never depends on the order of arrival."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from rules.events import CaseUpserted, Event, Interaction, InteractionCompleted, StopRequested
from rules.model import Audio, CaseHistory, CaseVersion, Contact

AnyEvent = CaseUpserted | InteractionCompleted | StopRequested
Key = tuple[str, str]


def _canonical(event: Event) -> str:
    return event.model_dump_json(by_alias=True)


def _audio_of(interaction: Interaction) -> Audio:
    """What the event alone says of the audio, before any speech engine has run."""
    if interaction.transcript is not None:
        return Audio(state="given")
    return Audio(state="none" if interaction.recording is None else "missing")


def build_histories(
    events: Iterable[AnyEvent], audio: Mapping[Key, Audio] | None = None
) -> dict[str, CaseHistory]:
    """Group events by case; any permutation and any repetition of them gives the same result.

    Of several events for one interaction the one with the latest `timestamp` counts; ties go by
    content.
    `audio` says, by (agency id, interaction id), what the speech side found.
    """
    known = audio or {}
    contacts: dict[str, dict[Key, InteractionCompleted]] = defaultdict(dict)
    stops: dict[str, dict[str, StopRequested]] = defaultdict(dict)
    versions: dict[str, dict[str, CaseVersion]] = defaultdict(dict)
    for event in events:
        case_id = event.data.case_id
        if isinstance(event, CaseUpserted):
            versions[case_id][_canonical(event)] = CaseVersion(event.timestamp, event.data)
        elif isinstance(event, StopRequested):
            stops[case_id][_canonical(event.data)] = event
        else:
            key = (event.data.agency_id or "", event.data.interaction_id)
            held = contacts[case_id].get(key)
            if held is None or _later(event, held):
                contacts[case_id][key] = event
    return {
        case_id: CaseHistory(
            case_id=case_id,
            versions=tuple(
                versions[case_id][text]
                for text in sorted(versions[case_id], key=lambda t: (versions[case_id][t].as_of, t))
            ),
            contacts=tuple(
                Contact(event.data, known.get(key) or _audio_of(event.data))
                for key, event in sorted(
                    contacts[case_id].items(), key=lambda item: (item[1].data.started_at, item[0])
                )
            ),
            stops=tuple(
                event.data
                for _, event in sorted(
                    stops[case_id].items(), key=lambda item: (item[1].data.at, item[0])
                )
            ),
        )
        for case_id in sorted(set(versions) | set(contacts) | set(stops))
    }


def _later(event: InteractionCompleted, held: InteractionCompleted) -> bool:
    return (event.timestamp, _canonical(event)) > (held.timestamp, _canonical(held))
