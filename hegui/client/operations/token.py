"""Operations of `token`; written by hegui.client_generator, do not edit."""

from hegui.client.group import Group
from service.api.token import TokenOut


class TokenGroup(Group):
    """Operations of `token`."""

    def post_token(
        self, content: bytes, content_type: str = "application/x-www-form-urlencoded"
    ) -> TokenOut:
        """Give a token for fifteen minutes (RFC 6749 §4.4); it is refused as soon as its key is."""
        return self._typed(
            TokenOut, "POST", "/v1/token", content=content, content_type=content_type
        )
