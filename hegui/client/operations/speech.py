"""Operations of `speech`; written by hegui.client_generator, do not edit."""

from collections.abc import Mapping
from typing import Any

from hegui.client.group import Group
from service.api.speech import SpeechIn, SpeechOut


class SpeechGroup(Group):
    """Operations of `speech`."""

    def get_speech(self) -> SpeechOut:
        """Show the prompt and the hotwords that recordings are heard with now."""
        return self._typed(SpeechOut, "GET", "/v1/parameters/speech")

    def put_speech(self, body: SpeechIn | Mapping[str, Any]) -> SpeechOut:
        """Put a prompt and hotwords in force for recordings heard from now on."""
        return self._typed(SpeechOut, "PUT", "/v1/parameters/speech", body=body)
