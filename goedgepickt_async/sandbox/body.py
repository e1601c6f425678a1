"""Request bodies as PHP and Laravel read them: JSON, urlencoded forms and multipart forms, with PHP's brackets."""

from __future__ import annotations

import json
import re
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

__all__ = ["clean_input", "parse_body"]

_BRACKETS = re.compile(r"\[([^\]]*)\]")


def parse_body(raw: bytes, content_type: str) -> Any:
    """Parse a request body.

    Args:
        raw: The body's bytes.
        content_type: The `Content-Type` header.

    Returns:
        What was sent: for forms nested dicts and lists of text; None for an empty body, for JSON that does not parse
        and for any other type of content, all of which Laravel takes for no input.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if not raw:
        return None
    if kind.endswith(("/json", "+json")):
        return _parse_json(raw)
    if kind == "application/x-www-form-urlencoded":
        return _nest(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
    if kind == "multipart/form-data":
        return _nest(_parse_multipart(raw, content_type))
    return None


def clean_input(data: Any) -> Any:
    """Trim texts and turn empty ones into None, as two of Laravel's middlewares do to all input."""
    if isinstance(data, dict):
        return {key: clean_input(value) for key, value in data.items()}
    if isinstance(data, list):
        return [clean_input(value) for value in data]
    if isinstance(data, str):
        return data.strip() or None
    return data


def _parse_json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _parse_multipart(raw: bytes, content_type: str) -> list[tuple[str, str]]:
    head = b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n"
    message = BytesParser(policy=HTTP).parsebytes(head + raw)
    fields: list[tuple[str, str]] = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        # Uploaded files are no input fields; the API takes none.
        if isinstance(name, str) and isinstance(payload, bytes) and part.get_filename() is None:
            fields.append((name, payload.decode("utf-8", "replace")))
    return fields


def _nest(fields: list[tuple[str, str]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in fields:
        head, bracket, _ = name.partition("[")
        if not head:
            continue
        path = [head, *_BRACKETS.findall(name[len(head) :])] if bracket else [head]
        _plant(tree, path, value)
    return {key: _listify(value) for key, value in tree.items()}


def _plant(tree: dict[str, Any], path: list[str], value: str) -> None:
    for step in path[:-1]:
        # `a[][b]` starts a new element, and a text that turns out to be an array is replaced: both as in PHP.
        name = step or str(_next_number(tree))
        branch = tree.get(name)
        if not isinstance(branch, dict):
            branch = tree[name] = {}
        tree = branch
    tree[path[-1] or str(_next_number(tree))] = value


def _next_number(tree: dict[str, Any]) -> int:
    return max((int(key) for key in tree if key.isdigit()), default=-1) + 1


def _listify(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    values = {key: _listify(item) for key, item in value.items()}
    if list(values) == [str(number) for number in range(len(values))]:
        return list(values.values())
    return values
