"""Recorded deliveries: one line of JSON each, from which the same bytes can be sent again.

`{"at": "2026-11-25T12:00:00+00:00", "signature": "5d41…", "body": "…"}`: the time of arrival, the `Signature` header,
and the text of the body. A body that is not UTF-8 is in `body_base64` instead.
"""

from __future__ import annotations

import base64
import json
import os
import re
import stat
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from goedgepickt_async import Secret
from goedgepickt_async.cli.errors import CommandError, UsageError

__all__ = ["VARIABLE", "Recorded", "Recorder", "read_recording", "signing_secrets"]

_SIGNATURE = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


@attrs.frozen(kw_only=True)
class Recorded:
    """A recorded delivery.

    Attributes:
        line: The line in the file, from 1.
        body: The bytes of the body.
        signature: The value of the `Signature` header.
    """

    line: int
    body: bytes
    signature: str


class Recorder:
    """Appends deliveries to a private file.

    Args:
        path: The file, which is created if it does not exist.

    Raises:
        CommandError: The file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
            self._prepare()
        except OSError as error:
            raise CommandError(f"--record {path} cannot be written: {error.strerror}") from None

    def add(self, at: datetime, signature: str, body: bytes) -> None:
        """Append a delivery.

        Raises:
            CommandError: The file cannot be written.
        """
        row = {"at": at.isoformat(), "signature": signature, **_body_fields(body)}
        rest = memoryview(json.dumps(row).encode() + b"\n")
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            raise CommandError(f"--record {self.path} cannot be written: {error.strerror}") from None

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _prepare(self) -> None:
        """Make an older file private too, and end an incomplete last line."""
        status = os.fstat(self._file)
        if not stat.S_ISREG(status.st_mode):
            return
        if status.st_mode & 0o077 and hasattr(os, "fchmod"):
            os.fchmod(self._file, 0o600)
        if status.st_size and not self.path.read_bytes().endswith(b"\n"):
            os.write(self._file, b"\n")


def read_recording(path: Path) -> list[Recorded]:
    """Return all deliveries of a recording; empty lines are skipped.

    Raises:
        CommandError: The file cannot be read.
        UsageError: A line is not a delivery.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from None
    return [_read_line(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _read_line(path: Path, number: int, line: bytes) -> Recorded:
    try:
        row = json.loads(line)
        return Recorded(line=number, signature=_signature_of(row), body=_body_of(row))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UsageError(f"{path}, line {number}, is not a recorded delivery; nothing was sent") from None


def _body_fields(body: bytes) -> dict[str, str]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


def _signature_of(row: dict[str, Any]) -> str:
    text = row["signature"]
    if not isinstance(text, str) or _SIGNATURE.fullmatch(text) is None:
        raise ValueError
    return text


def _body_of(row: dict[str, Any]) -> bytes:
    text = row.get("body")
    return base64.b64decode(row["body_base64"], validate=True) if text is None else str.encode(text)


VARIABLE = "GOEDGEPICKT_WEBHOOK_SECRETS"


def signing_secrets() -> list[Secret]:
    """Return the secrets from the environment variable, separated by commas or spaces, without duplicates.

    Raises:
        UsageError: The variable has no secrets.
    """
    texts = [text for text in re.split(r"[,\s]+", os.environ.get(VARIABLE, "")) if text]
    if not texts:
        raise UsageError(
            f"the webhook secret is missing: set {VARIABLE} to the secrets of your subscriptions, separated by commas "
            "(`goedgepickt webhooks ensure URL --event … --show-secrets` prints them)"
        )
    return [Secret(text) for text in dict.fromkeys(texts)]
