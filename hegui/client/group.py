"""What the groups of operations share: they call through one transport and read typed answers."""

from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin

import httpx
from pydantic import BaseModel

from hegui.transport import Transport

Shape = TypeVar("Shape", bound=BaseModel)


class Group:
    """Operations of one part of the API."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _typed(
        self,
        shape: type[Shape],
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: BaseModel | Mapping[str, Any] | None = None,
        content: bytes | None = None,
        content_type: str | None = None,
    ) -> Shape:
        """Call, and read the answer in its shape."""
        answer = self._answer(method, path, query, body, content, content_type)
        return shape.model_validate(by_name(self._transport.json(answer), shape))

    def _document(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: BaseModel | Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Call, and give the answer's document as it is."""
        found: dict[str, Any] = self._transport.json(
            self._answer(method, path, query, body, None, None)
        )
        return found

    def _bytes(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: BaseModel | Mapping[str, Any] | None = None,
        content: bytes | None = None,
        content_type: str | None = None,
    ) -> bytes:
        """Call, and give the answer's bytes; none where there is nothing to say."""
        return self._answer(method, path, query, body, content, content_type).content

    def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: BaseModel | Mapping[str, Any] | None,
        content: bytes | None,
        content_type: str | None,
    ) -> httpx.Response:
        document = (
            body.model_dump(mode="json", by_alias=True, exclude_unset=True)
            if isinstance(body, BaseModel)
            else body
        )
        headers = {"content-type": content_type} if content_type else None
        return self._transport.request(
            method, path, query=query, body=document, content=content, headers=headers
        )


def by_name(document: Any, kind: Any) -> Any:
    """An answer under the names that its shape is read by: some are written `from` for `since`."""
    if isinstance(kind, type) and issubclass(kind, BaseModel) and isinstance(document, dict):
        found = dict(document)
        for name, field in kind.model_fields.items():
            alias = field.serialization_alias
            if alias and field.validation_alias is None and alias in found:
                found[name] = found.pop(alias)
            if name in found:
                found[name] = by_name(found[name], field.annotation)
        return found
    parts = get_args(kind)
    if isinstance(document, list) and parts:
        return [by_name(each, parts[0]) for each in document]
    if isinstance(document, dict) and get_origin(kind) is dict:
        return {key: by_name(value, parts[1]) for key, value in document.items()}
    shapes = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
    return by_name(document, shapes[0]) if len(shapes) == 1 else document
