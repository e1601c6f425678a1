"""What deliveries are signed with: from the environment only, where other users of the machine don't see it."""

from __future__ import annotations

import os
import re

from goedgepickt_async import Secret
from goedgepickt_async.cli.outcome import UsageError

__all__ = ["VARIABLE", "signing_secrets"]

VARIABLE = "GOEDGEPICKT_WEBHOOK_SECRETS"


def signing_secrets() -> list[Secret]:
    """The secrets that the environment names, with commas or spaces between them; each once.

    Raises:
        UsageError: It names none.
    """
    texts = [text for text in re.split(r"[,\s]+", os.environ.get(VARIABLE, "")) if text]
    if not texts:
        raise UsageError(
            f"there is no secret: set {VARIABLE} to those of your subscriptions, with commas between them "
            "(`goedgepickt webhooks ensure URL --event … --show-secrets` prints them)"
        )
    return [Secret(text) for text in dict.fromkeys(texts)]
