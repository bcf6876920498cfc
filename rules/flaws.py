"""What is wrong with a recording, as reasons why its contact never counts as clean."""

from collections.abc import Iterator, Mapping

from rules.events import Channel, ContactOutcome, Interaction, Mode
from rules.model import Audio

DAMAGE: Mapping[str, str] = {
    "truncated": "recording_truncated",
    "wrong_length": "recording_length_differs",
    "damaged": "recording_damaged",
    "clipped": "recording_clipped",
    "extra_streams": "recording_has_unheard_streams",
}
"""Flags of the decoder that say that a part of the sound is lost, and the reason each becomes."""

SILENCE: Mapping[str, str] = {
    "silent": "recording_silent",
    "silent_channel": "channel_silent",
    "no_speech": "no_speech_heard",
    "uncertain_roles": "speakers_uncertain",
}
"""Flags that matter where people talked: somebody was not heard, or nobody knows who it was."""


SECONDS = 5.0
"""Lengths that are announced and decoded may differ by this much."""


def talked(interaction: Interaction) -> bool:
    """Whether it is a call that somebody answered."""
    return interaction.channel is Channel.CALL and interaction.outcome is ContactOutcome.ANSWERED


def flaws_of(interaction: Interaction, audio: Audio) -> Iterator[str]:
    """The reasons that an interaction's recording gives, in a fixed order; some may repeat."""
    for flag, reason in DAMAGE.items():
        if flag in audio.flags:
            yield reason
    if _differs(interaction, audio):
        yield DAMAGE["wrong_length"]
    if not talked(interaction):
        return
    for flag, reason in SILENCE.items():
        # A one-way notice has nobody on the other channel.
        lone = flag == "silent_channel" and interaction.mode is Mode.NOTICE
        if flag in audio.flags and not lone:
            yield reason


def _differs(interaction: Interaction, audio: Audio) -> bool:
    """Whether the event announced another length than was decoded."""
    announced = interaction.recording.duration_seconds if interaction.recording else None
    if announced is None or audio.decoded_seconds is None:
        return False
    return abs(announced - audio.decoded_seconds) > SECONDS
