"""Run by the nox session `package`, with the wheel installed together with FastAPI and Django, and no source tree in reach.

Every public name is there, a client reads from the sandbox, and both frameworks answer a signed delivery with 200.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from pathlib import Path

import django
from django.conf import settings
from django.test import AsyncClient
from django.urls import path
from fastapi import FastAPI
from starlette.types import Message

import goedgepickt_async
from goedgepickt_async import GoedGepickt
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.webhooks import WebhookReceiver, django_view, sign, starlette_endpoint

_SUBPACKAGES = ("bulk", "bulk.files", "convert", "errors", "models", "sandbox", "sandbox.faults", "webhooks")
_SECRET = "geheim"
_BODY = json.dumps({"event": "orderStatusChanged", "orderUuid": "0b3c9a52", "newStatus": "completed"}).encode()
_SIGNATURE = sign(_BODY, _SECRET)

receiver = WebhookReceiver(_SECRET)
urlpatterns = [path("webhooks", django_view(receiver))]


def look_at_names() -> None:
    assert "site-packages" in Path(goedgepickt_async.__file__).parts, "this is the source, not the wheel"
    for module in (goedgepickt_async, *(importlib.import_module(f"goedgepickt_async.{name}") for name in _SUBPACKAGES)):
        for name in module.__all__:
            assert getattr(module, name) is not None, name


async def read_from_the_sandbox() -> None:
    async with Sandbox(orders=120, limit=None) as sandbox, GoedGepickt(sandbox.api_key, base_url=sandbox.url) as gg:
        assert len(await gg.orders.list().collect()) == 120


async def answer_through_fastapi() -> int:
    """The status of an answer; FastAPI is called as its server would."""
    app = FastAPI()
    app.add_route("/webhooks", starlette_endpoint(receiver), methods=["POST"])
    headers = [(b"signature", _SIGNATURE.encode()), (b"content-length", str(len(_BODY)).encode())]
    scope = {"type": "http", "method": "POST", "path": "/webhooks", "query_string": b"", "headers": headers}
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": _BODY, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return int(sent[0]["status"])


async def answer_through_django() -> int:
    """The status of an answer."""
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["testserver"])
    django.setup()
    answer = await AsyncClient().post(
        "/webhooks", _BODY, content_type="application/json", headers={"Signature": _SIGNATURE}
    )
    return int(answer.status_code)


async def main() -> None:
    look_at_names()
    await read_from_the_sandbox()
    async with receiver:
        assert await answer_through_fastapi() == 200
        assert await answer_through_django() == 200


if __name__ == "__main__":
    asyncio.run(main())
