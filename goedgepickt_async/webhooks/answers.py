"""What a delivery is answered."""

from __future__ import annotations

from typing import Final

import attrs

__all__ = ["ACCEPTED", "BROKEN_OFF", "NOT_JSON", "NOT_NOW", "NOT_SIGNED", "TOO_LARGE", "TOO_SLOW", "Answer"]


@attrs.frozen
class Answer:
    """What to answer.

    Attributes:
        status: The HTTP status. For the service anything but exactly 200 is a failure, after which it tries again (A).
        text: The body, plain text; it tells a stranger nothing.
    """

    status: int
    text: str


ACCEPTED: Final = Answer(200, "accepted")
BROKEN_OFF: Final = Answer(400, "the body is not whole")
NOT_JSON: Final = Answer(400, "the body is not JSON")
NOT_SIGNED: Final = Answer(401, "the signature is missing or wrong")
TOO_SLOW: Final = Answer(408, "the body took too long")
TOO_LARGE: Final = Answer(413, "the body is too large")
NOT_NOW: Final = Answer(503, "try again later")
