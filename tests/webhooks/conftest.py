"""Processes of receivers and applications are forked from an interpreter that has imported what they need."""

import os
from collections.abc import Iterator

import pytest

from tests.support.warm import Interpreter

_MODULES = ("goedgepickt_async.client", "goedgepickt_async.webhooks.receiver", "goedgepickt_async.webhooks.server")
_FRAMEWORKS = ("uvicorn.main", "uvicorn.protocols.http.h11_impl", "fastapi", "django.core.asgi", "django.urls")


@pytest.fixture(scope="session")
def interpreter() -> Iterator[Interpreter]:
    with Interpreter([*_MODULES, *_FRAMEWORKS], os.environ) as started:
        yield started
