"""Operations of `subjects`; written by hegui.client_generator, do not edit."""

from collections.abc import Mapping
from typing import Any

from hegui.client.group import Group
from service.api.subjects import CorrectionIn, SubjectIn


class SubjectsGroup(Group):
    """Operations of `subjects`."""

    def post_access(self, body: SubjectIn | Mapping[str, Any]) -> dict[str, Any]:
        """Count and date what is held, without the contents: `hegui.subject-access/1`."""
        return self._document("POST", "/v1/subjects/access", body=body)

    def post_export(self, body: SubjectIn | Mapping[str, Any]) -> dict[str, Any]:
        """Give everything that is held: `hegui.subject-export/1`."""
        return self._document("POST", "/v1/subjects/export", body=body)

    def post_correction(self, body: CorrectionIn | Mapping[str, Any]) -> dict[str, Any]:
        """Add an event that replaces fields of the case, and check it anew; gives the receipt."""
        return self._document("POST", "/v1/subjects/correction", body=body)

    def post_erasure(self, body: SubjectIn | Mapping[str, Any]) -> dict[str, Any]:
        """Erase and give the receipt; 409 names in `kept` what must stay and until when."""
        return self._document("POST", "/v1/subjects/erasure", body=body)
