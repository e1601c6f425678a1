"""Django: `path("webhooks", django_view(receiver))`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from goedgepickt_async.webhooks.receiver import WebhookReceiver

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

__all__ = ["django_view"]

_PIECE = 64 * 1024


def django_view(receiver: WebhookReceiver) -> Callable[[HttpRequest], Awaitable[HttpResponse]]:
    """An async view of Django that lets deliveries in; it takes POST alone, and no CSRF token."""
    from django.http import HttpResponse, HttpResponseNotAllowed  # noqa: PLC0415

    async def pieces(request: HttpRequest) -> AsyncIterator[bytes]:
        while piece := request.read(_PIECE):
            yield piece

    async def goedgepickt_webhook(request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        answer = await receiver.receive_chunks(pieces(request), request.META.get("HTTP_SIGNATURE"))
        return HttpResponse(answer.text.encode(), status=answer.status, content_type="text/plain")

    goedgepickt_webhook.csrf_exempt = True  # type: ignore[attr-defined]  # what Django's middleware looks for
    return goedgepickt_webhook
