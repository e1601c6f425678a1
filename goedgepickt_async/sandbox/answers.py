"""Answers as Laravel writes them: its JSON, its error bodies, its HTML for those who do not ask for JSON."""

from __future__ import annotations

import html
import json
import re
from http import HTTPStatus
from typing import Any, Final

import attrs

__all__ = ["Answer", "Refusal", "encode_json", "error", "json_answer", "validation_error"]

_PAGE: Final = (
    '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title></head>\n'
    '<body class="antialiased"><div class="flex-center"><div class="code">{status}</div>'
    '<div class="message">{title}</div></div></body>\n</html>\n'
)
_ESCAPED_DELETE: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u007f")


@attrs.frozen
class Answer:
    """What is sent back: status, headers and the body's bytes."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = attrs.field(factory=dict)

    def with_headers(self, headers: dict[str, str]) -> Answer:
        """Return the same answer with more headers."""
        return attrs.evolve(self, headers={**self.headers, **headers})

    def absolute(self, origin: str) -> Answer:
        """Return the same answer; a redirect to a path of this server leads to a whole URL, as Laravel writes it."""
        path = self.headers.get("Location", "")
        return _redirect(origin + path) if path.startswith("/") else self


class Refusal(Exception):  # noqa: N818 - it is no error of ours
    """Raised in a controller to end the request with an error answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def encode_json(value: Any) -> bytes:
    """Write JSON as PHP does: without spaces, slashes and everything but ASCII escaped."""
    # A slash can stand in JSON only inside a text, so it can be escaped afterwards.
    text = json.dumps(value, separators=(",", ":")).replace("/", "\\/")
    return _ESCAPED_DELETE.sub("\\1\x7f", text).encode()  # which is ASCII to PHP, and a control character to Python


def json_answer(value: Any, status: int = 200) -> Answer:
    """Return a JSON answer."""
    return Answer(
        status, encode_json(value), {"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
    )


def error(status: int, message: str, *, wants_json: bool, pretty: bool = True, key: str = "message") -> Answer:
    """Return an error as Laravel's exception handler renders it.

    Args:
        status: The HTTP status.
        message: The text of the exception.
        wants_json: Whether the client asked for JSON; if not it gets a page, and a 401 sends it to the login page.
        pretty: Laravel indents the errors of its exception handler, but not the ones that it made itself (401).
        key: Under which key the text stands.
    """
    if wants_json:
        text = json.dumps({key: message}, indent=4) if pretty else encode_json({key: message}).decode()
        headers = {"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
        return Answer(status, text.encode(), headers)
    if status == 401:
        return _redirect("/login")
    title = html.escape(HTTPStatus(status).phrase)
    page = _PAGE.format(status=status, title=title)
    return Answer(status, page.encode(), {"Content-Type": "text/html; charset=UTF-8"})


def validation_error(errors: dict[str, list[str]], *, wants_json: bool, previous: str = "/") -> Answer:
    """Return Laravel's answer to input that does not validate: 422 in JSON, a way back to a browser."""
    if not wants_json:
        return _redirect(previous)
    texts = [text for field in errors.values() for text in field]
    more = len(texts) - 1
    suffix = f" (en {more} andere foutmelding{'en' if more > 1 else ''})" if more else ""
    return json_answer({"message": texts[0] + suffix, "errors": errors}, 422)


def _redirect(url: str) -> Answer:
    safe = html.escape(url)
    page = f'<!DOCTYPE html>\n<html><head><meta http-equiv="refresh" content="0;url=\'{safe}\'" /></head></html>\n'
    return Answer(302, page.encode(), {"Content-Type": "text/html; charset=UTF-8", "Location": url})
