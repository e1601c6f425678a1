"""What came of sending a request once: an answer, or a failure with evidence."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from goedgepickt_async.errors import Evidence, GoedGepicktError

__all__ = ["Answer", "Exchange", "Failure"]


@attrs.frozen(kw_only=True)
class Answer:
    """A whole answer, whatever its status.

    Attributes:
        status: The HTTP status.
        headers: Case-insensitive.
        body: The bytes, decompressed.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Failure:
    """No whole answer.

    Attributes:
        evidence: What is known of the request's fate.
        error: The class of our error that tells it.
        message: What happened, free of keys and personal data.
        cause: The exception behind it.
    """

    evidence: Evidence
    error: type[GoedGepicktError]
    message: str
    cause: BaseException | None = None


Exchange = Answer | Failure
