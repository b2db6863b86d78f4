"""What the page may ask the server for beside reading: changes, undo, and saved views."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from dsrecords._optional import import_optional
from dsrecords.errors import DSRecordsError
from dsrecords.viewer.editing import Edits

_LARGEST_BODY = 2**24  # bytes of a request: a view of a million records
_LARGEST_NUMBER = 2**53
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of all answers."""


class Changing:
    """What the page may ask for beside reading, and nobody else.

    A page of another origin cannot send JSON here: browsers ask first whether they may, and get no
    answer (CORS); they name its origin, too. So whoever guessed the token could still change
    nothing from there.
    """

    def __init__(
        self,
        edits: Edits | None,
        is_editable: bool,
        refused: Callable[[Any], Any],
    ) -> None:
        """Remember what may be changed.

        Args:
            edits: how; None: nothing may, and no view is saved.
            is_editable: whether fields may be changed, too.
            refused: the answer to a request from who must not ask; None if they may.
        """
        self._edits = edits
        self._is_editable = is_editable
        self._refused = refused
        self._responses = import_optional("starlette.responses", "starlette", extra="view")
        self._concurrency = import_optional("starlette.concurrency", "starlette", extra="view")

    async def act(self, request: Any) -> Any:
        """Change a field, undo that, or save a view."""
        refused = self._refused(request)
        if refused is not None:
            return refused
        if not _is_of_our_page(request):
            return self._wrong("only the page itself may change something", 403)
        body = await _body(request)
        if body is None:
            return self._wrong("too much was sent", 413)
        return await self._concurrency.run_in_threadpool(
            self._done,
            request.path_params["action"],
            body,
        )

    def _done(self, action: str, body: bytes) -> Any:
        edits = self._edits
        if edits is None or (action != "view" and not self._is_editable):
            return self._wrong("nothing can be changed here: dsrecords view --edit", 403)
        try:
            asked = json.loads(body)
            if action == "change":
                return self._right(edits.change(**_change(asked)))
            if action == "undo":
                return self._right(edits.undo())
            if action == "view":
                file = _number(asked["file"])
                positions = [_number(one) for one in asked["positions"]]
                return self._responses.Response(edits.view(file, positions), headers=HEADERS)
        except (ValueError, LookupError, TypeError, RecursionError, OSError) as error:
            return self._wrong(str(error), 400)
        except DSRecordsError as error:
            return self._wrong(f"{type(error).__name__}: {error}", 409)
        return self._wrong("there is nothing here", 404)

    def _right(self, answer: Any) -> Any:
        return self._responses.JSONResponse(answer, headers=HEADERS)

    def _wrong(self, text: str, status: int) -> Any:
        return self._responses.JSONResponse({"error": text}, status, headers=HEADERS)


def _is_of_our_page(request: Any) -> bool:
    """Whether a request is what only a page of this server sends."""
    headers = request.headers
    origin = f"http://{headers.get('host')}"
    site = headers.get("sec-fetch-site", "same-origin")
    if headers.get("origin") != origin or site != "same-origin":
        return False
    return bool(headers.get("content-type") == "application/json")


async def _body(request: Any) -> bytes | None:
    """What was sent; None if it is too much."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_BODY:
            return None
    return bytes(body)


def _change(asked: Any) -> dict[str, Any]:
    """The arguments of a change.

    Raises:
        ValueError: they are none.
    """
    text = asked["text"]
    field = asked["field"]
    if not isinstance(text, str | None) or not isinstance(field, str | int):
        raise ValueError("a change has a field and a text")
    return {
        "file": _number(asked["file"]),
        "position": _number(asked["position"]),
        "field": field,
        "text": text,
        "count": _number(asked["count"]),
    }


def _number(given: Any) -> int:
    if type(given) is not int or not 0 <= given < _LARGEST_NUMBER:
        raise ValueError(f"{given!r} is not a number of a record or a file")
    return given
