"""Checks files without a server or a database: read, hear, evaluate, summarise."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import file_digest
from pathlib import Path

from hegui.inputs import Inputs, Origin, recording_path
from rules import Pack, evaluate
from rules.events import Interaction, InteractionCompleted, Segment
from rules.history import build_histories
from rules.model import Audio, Contact, Disposition, Finding, Outcome, Severity, Verdict
from rules.quota import is_about_words
from workers.speech import UndecodableError, transcribe_file

PLACEHOLDER = "0" * 64
ORDER = (Outcome.ERROR, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.REVIEW, Outcome.PASS)
Key = tuple[str, str]
Progress = Callable[[str, float], None]
SIDE_BY_SIDE = 8


@dataclass(frozen=True, slots=True)
class Speech:
    """Which engine hears, and who speaks on which channel of recordings without facts."""

    engine: str = "openai-whisper"
    model: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """One interaction with what the packs say of it, and where it was read.

    `untrusted_share` (0 to 1) is the part of the speech heard here that was not relied on.
    """

    interaction: Interaction
    outcome: Outcome
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]
    origin: Origin | None
    words_only: bool
    untrusted_share: float

    def worst(self) -> Severity | None:
        """The highest severity of what stands or waits for a person; signals only inform."""
        severities = [
            finding.severity
            for finding in self.findings
            if finding.disposition is not Disposition.SIGNAL
        ]
        return max(severities, key=lambda severity: severity.rank, default=None)


@dataclass(frozen=True, slots=True)
class Result:
    """All of it, in an order that does not depend on the order of the input."""

    packs: tuple[Pack, ...]
    checked: tuple[Checked, ...]
    fail_on: Severity | None

    def reaches(self, one: Checked) -> bool:
        """Whether an interaction has a finding at or above the limit."""
        worst = one.worst()
        return self.fail_on is not None and worst is not None and worst.rank >= self.fail_on.rank

    @property
    def exit_status(self) -> int:
        """1 where a finding reaches the limit; else 2 where something could not be read; else 0."""
        if any(self.reaches(one) for one in self.checked):
            return 1
        return 2 if any(one.outcome is Outcome.ERROR for one in self.checked) else 0

    def outcomes(self) -> dict[str, int]:
        """How many interactions have each outcome, all five named."""
        counts = Counter(one.outcome for one in self.checked)
        return {outcome.value: counts[outcome] for outcome in Outcome}

    def severities(self) -> dict[str, int]:
        """How many findings have each severity, the worst first; signals are not counted."""
        counts = Counter(
            finding.severity
            for one in self.checked
            for finding in one.findings
            if finding.disposition is not Disposition.SIGNAL
        )
        return {severity.value: counts[severity] for severity in reversed(Severity)}


def check_inputs(
    inputs: Inputs,
    packs: Sequence[Pack],
    *,
    speech: Speech,
    fail_on: Severity | None,
    on_progress: Progress | None = None,
) -> Result:
    """Check everything that was read against every pack; transcribes where no transcript came.

    `on_progress` is called with an interaction's id and the share of its hearing that is done.
    """
    heard = _hear(inputs, speech, on_progress or (lambda _name, _share: None))
    histories = [
        replace(history, contacts=tuple(heard.get(c.key, c) for c in history.contacts))
        for history in build_histories(inputs.events).values()
    ]
    verdicts: dict[Key, list[tuple[Pack, Verdict]]] = {}
    contacts: list[Contact] = []
    for history in histories:
        contacts += history.contacts
        for pack in packs:
            for contact, verdict in zip(history.contacts, evaluate(pack, history), strict=True):
                verdicts.setdefault(contact.key, []).append((pack, verdict))
    origins = _origins(inputs)
    return Result(
        tuple(packs),
        tuple(
            _judged(contact, verdicts[contact.key], origins, inputs.words_only)
            for contact in contacts
        ),
        fail_on,
    )


def _origins(inputs: Inputs) -> dict[Key, Origin]:
    """The first place of every interaction; where it stands is no part of what is decided."""
    found: dict[Key, Origin] = {}
    for event in inputs.events:
        origin = inputs.origin(event.data)
        if isinstance(event, InteractionCompleted) and origin is not None:
            found.setdefault((event.data.agency_id or "", event.data.interaction_id), origin)
    return found


def needs_hearing(inputs: Inputs) -> list[tuple[Contact, Path]]:
    """The contacts whose recording lies in a file and whose words nobody has written down."""
    events = {
        id(event.data): event for event in inputs.events if isinstance(event, InteractionCompleted)
    }
    waiting: list[tuple[Contact, Path]] = []
    for history in build_histories(inputs.events).values():
        for contact in history.contacts:
            if contact.audio.state != "missing":
                continue
            path = recording_path(events[id(contact.interaction)], inputs)
            if path is not None and path.is_file():
                waiting.append((contact, path))
    return waiting


def _hear(inputs: Inputs, speech: Speech, on_progress: Progress) -> dict[Key, Contact]:
    """Hear recordings side by side: they share the model's batches, which changes no word."""
    waiting, is_over = needs_hearing(inputs), threading.Event()

    def told(name: str, share: float) -> None:
        if is_over.is_set():
            raise CancelledError
        on_progress(name, share)

    def hear(each: tuple[Contact, Path]) -> Contact:
        return _heard(*each, speech, told)

    pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="hearing")
    try:
        heard = pool.map(hear, waiting)
        return {contact.key: found for (contact, _), found in zip(waiting, heard, strict=True)}
    finally:
        # After an error, or when the user has had enough, the others end at their next step.
        is_over.set()
        pool.shutdown(cancel_futures=True)


def _heard(contact: Contact, path: Path, speech: Speech, on_progress: Progress) -> Contact:
    interaction = contact.interaction
    recording = interaction.recording
    assert recording is not None
    if recording.sha256 not in {PLACEHOLDER, _digest(path)}:
        return replace(contact, audio=Audio(state="failed", reason="recording_hash_differs"))
    try:
        found = transcribe_file(
            path,
            speakers=[speaker.value for speaker in recording.speakers],
            engine=speech.engine,
            model=speech.model,
            on_progress=lambda share: on_progress(interaction.interaction_id, share),
        )
    except UndecodableError as error:
        return replace(contact, audio=Audio(state="failed", reason=error.reason))
    audio = Audio(
        state="transcribed",
        decoded_seconds=found.decoded_seconds,
        untrusted_share=found.untrusted_share,
        flags=found.flags,
    )
    return Contact(with_transcript(interaction, found.segments), audio)


def with_transcript(interaction: Interaction, segments: tuple[Segment, ...]) -> Interaction:
    """The interaction with what was heard in it."""
    return interaction.model_copy(update={"transcript": segments})


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _judged(
    contact: Contact,
    verdicts: Iterable[tuple[Pack, Verdict]],
    origins: Mapping[Key, Origin],
    words_only: set[Key],
) -> Checked:
    """Join the packs' verdicts: the worst outcome, all reasons, all findings."""
    bare = contact.key in words_only
    parts = [_of_words(pack, verdict) if bare else verdict for pack, verdict in verdicts]
    outcome = min((part.outcome for part in parts), key=ORDER.index)
    return Checked(
        interaction=contact.interaction,
        outcome=outcome,
        reasons=tuple(dict.fromkeys(reason for part in parts for reason in part.reasons)),
        findings=tuple(finding for part in parts for finding in part.findings),
        origin=origins.get(contact.key),
        words_only=bare,
        untrusted_share=max(part.untrusted_share for part in parts),
    )


def _of_words(pack: Pack, verdict: Verdict) -> Verdict:
    """Keep what stands on words that were said: of such a call no fact is known."""
    about_words = {rule.id for rule in pack.rules if is_about_words(rule)}
    findings = tuple(finding for finding in verdict.findings if finding.rule in about_words)
    if verdict.outcome is Outcome.ERROR:
        return verdict
    dispositions = {finding.disposition for finding in findings}
    if Disposition.VIOLATION in dispositions:
        outcome = Outcome.FAIL
    elif verdict.reasons:
        outcome = Outcome.INCONCLUSIVE
    else:
        outcome = Outcome.REVIEW if Disposition.REVIEW in dispositions else Outcome.PASS
    return replace(verdict, findings=findings, outcome=outcome)


def today_at_noon(now: datetime) -> datetime:
    """Noon of that day: the hour at which no rule about hours speaks."""
    return now.replace(hour=12, minute=0, second=0, microsecond=0)
