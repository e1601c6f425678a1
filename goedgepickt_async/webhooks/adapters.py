"""Adapters from web frameworks to a receiver. A framework is imported only when its adapter is called."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from goedgepickt_async.webhooks.endpoint import UNSUPPORTED_ENCODING, DeliveryReceiver
from goedgepickt_async.webhooks.signature import HEADER

if TYPE_CHECKING:
    from aiohttp import web
    from django.http import HttpRequest, HttpResponse
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["aiohttp_handler", "django_view", "starlette_endpoint"]

_CHUNK = 64 * 1024


def _length(header: str | None) -> int | None:
    """The value of a `Content-Length` header, as far as a body's length can be; Python reads no 5,000 digits."""
    return int(header[:20]) if header is not None and header.isdecimal() else None


def aiohttp_handler(receiver: DeliveryReceiver) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler for aiohttp.web.

    Use it as `app.router.add_post("/webhooks", aiohttp_handler(receiver))`.
    """
    from aiohttp import web  # noqa: PLC0415

    async def goedgepickt_webhook(request: web.Request) -> web.Response:
        if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            return await _refuse_compressed(request)
        answer = await receiver.receive_chunks(
            request.content.iter_any(), request.headers.get(HEADER), content_length=request.content_length
        )
        return web.Response(status=answer.status, text=answer.text)

    async def _refuse_compressed(request: web.Request) -> web.Response:
        """An application's server decompresses before the handler, so the signed bytes are gone: refuse, and close."""
        response = web.Response(status=UNSUPPORTED_ENCODING.status, text=UNSUPPORTED_ENCODING.text)
        response.force_close()
        await response.prepare(request)
        await response.write_eof()
        request.protocol.force_close()  # or aiohttp would continue to read, and decompress what it reads
        return response

    return goedgepickt_webhook


def starlette_endpoint(receiver: DeliveryReceiver) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for Starlette and FastAPI.

    Use it as `app.add_route("/webhooks", starlette_endpoint(receiver), methods=["POST"])`.
    """
    from starlette.requests import Request  # noqa: PLC0415
    from starlette.responses import PlainTextResponse, Response  # noqa: PLC0415

    async def goedgepickt_webhook(request: Request) -> Response:
        answer = await receiver.receive_chunks(
            request.stream(),
            request.headers.get(HEADER),
            content_encoding=request.headers.get("Content-Encoding"),
            content_length=_length(request.headers.get("Content-Length")),
        )
        return PlainTextResponse(answer.text, status_code=answer.status)

    # FastAPI needs the classes; it cannot resolve their names in this module.
    goedgepickt_webhook.__annotations__ = {"request": Request, "return": Response}
    return goedgepickt_webhook


def django_view(receiver: DeliveryReceiver) -> Callable[[HttpRequest], Awaitable[HttpResponse]]:
    """An async view for Django, which accepts POST only, and needs no CSRF token.

    Use it as `path("webhooks", django_view(receiver))`.
    """
    from django.http import HttpResponse, HttpResponseNotAllowed  # noqa: PLC0415

    async def chunks(request: HttpRequest) -> AsyncIterator[bytes]:
        while chunk := request.read(_CHUNK):
            yield chunk

    async def goedgepickt_webhook(request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        answer = await receiver.receive_chunks(
            chunks(request),
            request.META.get("HTTP_SIGNATURE"),
            content_encoding=request.META.get("HTTP_CONTENT_ENCODING"),
            content_length=_length(request.META.get("CONTENT_LENGTH")),
        )
        return HttpResponse(answer.text.encode(), status=answer.status, content_type="text/plain")

    goedgepickt_webhook.csrf_exempt = True  # type: ignore[attr-defined]  # Django's middleware reads this attribute
    return goedgepickt_webhook
