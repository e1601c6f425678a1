"""From the bytes of a delivery to an answer. Knows no framework; its one effect is to put into the inbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable

from goedgepickt_async.errors import DecodeError, GoedGepicktError, WebhookVerificationError
from goedgepickt_async.webhooks import answers
from goedgepickt_async.webhooks.answers import Answer
from goedgepickt_async.webhooks.events import parse
from goedgepickt_async.webhooks.inbox import Intake
from goedgepickt_async.webhooks.keyring import Keyring
from goedgepickt_async.webhooks.refusals import Refusals
from goedgepickt_async.webhooks.routes import Routes
from goedgepickt_async.webhooks.signature import Bytes
from goedgepickt_async.webhooks.tally import Tally

__all__ = ["Door"]


class Door:
    """Where deliveries come in.

    Args:
        keyring: The secrets.
        routes: Who is to hear of what.
        inbox: Where it is put; it is safe there before the answer is given.
        tally: What is counted.
        refusals: What is said of those that are refused.
        max_body: Bytes of a body, at most.
        patience: Seconds for a body to arrive whole.
        is_open: Whether somebody will handle what is put into the inbox.
    """

    def __init__(
        self,
        keyring: Keyring,
        routes: Routes,
        inbox: Intake,
        tally: Tally,
        refusals: Refusals,
        *,
        max_body: int,
        patience: float,
        is_open: Callable[[], bool],
    ) -> None:
        self.keyring = keyring
        self.inbox = inbox
        self._routes = routes
        self._tally = tally
        self._refusals = refusals
        self._max_body = max_body
        self._patience = patience
        self._is_open = is_open

    async def receive(self, body: Bytes, signature: str | bytes | None) -> Answer:
        """Verify it, put it into the inbox, answer; whatever comes, an answer."""
        if len(body) > self._max_body:
            return self._refuse(answers.TOO_LARGE, f"more than {self._max_body} bytes")
        try:
            return await self._take(bytes(body), signature)
        except WebhookVerificationError as error:
            return self._refuse(answers.NOT_SIGNED, str(error))
        except DecodeError as error:
            return self._refuse(answers.NOT_JSON, str(error))
        except Exception as error:  # noqa: BLE001  the inbox, or a user's function for secrets, may raise anything
            why = str(error) if isinstance(error, GoedGepicktError) else type(error).__name__  # no secret of theirs
            return self._refuse(answers.NOT_NOW, f"it could not be taken ({why})")

    async def receive_chunks(self, chunks: AsyncIterable[bytes], signature: str | bytes | None) -> Answer:
        """The same with a body that arrives in pieces: no more is read than is allowed, whatever its length is said to be."""
        body = bytearray()
        try:
            async with asyncio.timeout(self._patience):
                async for chunk in chunks:
                    body += chunk
                    if len(body) > self._max_body:
                        break
        except TimeoutError:
            return self._refuse(answers.TOO_SLOW, f"the body was not whole after {self._patience:g} s")
        except Exception as error:  # noqa: BLE001  each framework has its own for a connection that breaks off
            return self._refuse(answers.BROKEN_OFF, f"the body broke off ({type(error).__name__})")
        finally:
            if (close := getattr(chunks, "aclose", None)) is not None:
                await close()
        return await self.receive(body, signature)

    async def _take(self, body: bytes, signature: str | bytes | None) -> Answer:
        secrets = await self.keyring.verify(body, signature)
        event = parse(body)
        self.keyring.verify_event(event, secrets, body, signature)
        entries = self._routes.entries(event, body)
        if not entries:
            self._tally.unheard += 1
        elif not self._is_open():
            return self._refuse(answers.NOT_NOW, "the receiver is not at work, and its inbox keeps nothing without it")
        elif not await self.inbox.put(entries):
            self._tally.duplicates += 1
        self._tally.accepted += 1
        return answers.ACCEPTED

    def _refuse(self, answer: Answer, why: str) -> Answer:
        self._tally.refused[answer.status] += 1
        self._refusals.note(answer.status, why)
        return answer
