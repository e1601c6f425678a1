"""What the controllers share: checked input, and the ways to say no."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from goedgepickt_async.sandbox.answers import Refusal, error, json_answer, validation_error
from goedgepickt_async.sandbox.quirks import Quirks
from goedgepickt_async.sandbox.requests import Incoming
from goedgepickt_async.sandbox.validation import Errors, Field, validate, validation_text
from goedgepickt_async.sandbox.world import Table

__all__ = ["checked", "found", "refuse"]


def checked(fields: Iterable[Field], request: Incoming) -> dict[str, Any]:
    """Return the request's input.

    Raises:
        Refusal: 422, with all that is wrong.
    """
    errors: Errors = {}
    data = validate(fields, request.data, errors)
    if not errors and request.is_unreadable:
        errors["body"] = [validation_text("array", "body")]
    if errors:
        raise Refusal(validation_error(errors, wants_json=request.wants_json, previous=request.referer))
    return data


def found(table: Table, uuid: str, model: str, request: Incoming) -> int:
    """Return the index of the row that a path names.

    Raises:
        Refusal: 404, in the words of Laravel's route model binding.
    """
    index = table.find(uuid)
    if index is None:
        text = f"No query results for model [App\\Models\\{model}] {uuid}"
        raise Refusal(error(404, text, wants_json=request.wants_json))
    return index


def refuse(status: int, text: str, quirks: Quirks, field: str | None = None) -> Refusal:
    """Return a refusal in the service's own words, to be raised.

    Args:
        status: The HTTP status.
        text: What is wrong.
        quirks: They know under which key the text is given.
        field: The input field that is to blame; Laravel then lists the text under `errors` too, where clients look.
    """
    body: dict[str, object] = {quirks.error_key: text}
    if field is not None and quirks.error_key == "message":
        body["errors"] = {field: [text]}
    return Refusal(json_answer(body, status))
