"""The GoedGepickt of the sandbox, as Laravel runs it: route, key, throttle, controller. No socket, no aiohttp."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs

from goedgepickt_async.sandbox.answers import Answer, Refusal, error
from goedgepickt_async.sandbox.handlers.routes import Controller, Router
from goedgepickt_async.sandbox.incoming import Incoming
from goedgepickt_async.sandbox.keys import make_key
from goedgepickt_async.sandbox.quirks import Quirks
from goedgepickt_async.sandbox.throttle import Throttle

__all__ = ["Application", "Outcome"]


@attrs.frozen
class Outcome:
    """An answer, and how it came to be."""

    answer: Answer
    throttled: bool = False
    applied: bool = False


class Application:
    """Answers requests in the order of Laravel's pipeline.

    An unknown path is answered before anything else, a bad key before the throttle: both are not counted and carry no
    rate headers. What the controller says, errors too, leaves through the throttle and gets its headers.
    """

    def __init__(
        self, router: Router, throttle: Throttle | None, quirks: Quirks, *, seed: int, clock: Callable[[], float]
    ) -> None:
        """Take what answers, what limits (None for no limit), and what the two keys are made from."""
        self.keys: dict[str, str] = {kind: make_key(seed, kind) for kind in ("fulfilment", "account")}
        self._router = router
        self._throttle = throttle
        self._quirks = quirks
        self._clock = clock

    async def answer(self, request: Incoming, latency: Callable[[], Awaitable[None]]) -> Outcome:
        """Answer a request; `latency` is waited for between the throttle's count and the controller."""
        controller = self._router.find(request)
        if isinstance(controller, Answer):
            return Outcome(controller)
        refused = self._refuse(request)
        if refused is not None:
            return refused
        await latency()
        return self._control(controller, request)

    def admit(self, request: Incoming) -> Outcome | None:
        """Do all that comes before the controller; None if it would run now."""
        controller = self._router.find(request)
        return Outcome(controller) if isinstance(controller, Answer) else self._refuse(request)

    def rate_headers(self, request: Incoming) -> dict[str, str]:
        """Return the headers that an admitted request's answer carries now."""
        return {} if self._throttle is None else self._throttle.leave(self._clock(), request.client)

    def _refuse(self, request: Incoming) -> Outcome | None:
        unauthenticated = self._check_key(request)
        if unauthenticated is not None:
            return Outcome(unauthenticated)
        headers = None if self._throttle is None else self._throttle.arrive(self._clock(), request.client)
        if headers is None:
            return None
        answer = error(429, "Too Many Attempts.", wants_json=request.wants_json)
        return Outcome(answer.with_headers(headers), throttled=True)

    def _control(self, controller: Controller, request: Incoming) -> Outcome:
        try:
            answer, applied = controller(request), True
        except Refusal as refusal:
            answer, applied = refusal.answer, False
        return Outcome(answer.with_headers(self.rate_headers(request)), applied=applied)

    def _check_key(self, request: Incoming) -> Answer | None:
        if request.token == self.keys[request.base]:
            return None
        if request.token in self.keys.values():
            return self._wrong_kind(request)
        return error(401, "Unauthenticated.", wants_json=request.wants_json, pretty=False)

    def _wrong_kind(self, request: Incoming) -> Answer:
        status = self._quirks.wrong_kind_status
        if status == 404:
            return self._router.not_found(request)
        text = "Unauthenticated." if status == 401 else "This action is unauthorized."
        return error(status, text, wants_json=request.wants_json, pretty=status != 401)
