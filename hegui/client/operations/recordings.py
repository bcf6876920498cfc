"""Operations of `recordings`; written by hegui.client_generator, do not edit."""

from hegui.client.group import Group
from service.api.recordings import RecordingOut


class RecordingsGroup(Group):
    """Operations of `recordings`."""

    def get_recording(self, sha256: str) -> bytes:
        """Give the bytes as they came, whole or in part, to callers who may hear the contact."""
        return self._bytes("GET", f"/v1/recordings/{sha256}")

    def put_recording(
        self, sha256: str, content: bytes, content_type: str = "application/octet-stream"
    ) -> RecordingOut:
        """Put a recording's bytes."""
        return self._typed(
            RecordingOut,
            "PUT",
            f"/v1/recordings/{sha256}",
            content=content,
            content_type=content_type,
        )
