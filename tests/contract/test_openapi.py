"""The OpenAPI document is valid, whole and open; the sandbox answers and accepts as it says."""

import importlib
import json
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft202012Validator

from goedgepickt_async import models
from goedgepickt_async.contract import openapi
from goedgepickt_async.endpoints import ENDPOINTS
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.webhooks.events import EVENTS


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def inside(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in the document."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from inside(one)


@pytest.mark.slow
def test_the_document_is_valid_and_can_be_written_as_json() -> None:
    document = openapi()
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    if find_spec("openapi_spec_validator"):  # `nox -s contract` installs it
        importlib.import_module("openapi_spec_validator").validate(document)
    assert json.loads(json.dumps(document)) == document


def test_every_endpoint_is_an_operation_with_its_refusals_and_the_limit() -> None:
    document = openapi()
    found = {(method.upper(), path) for path, method, _ in operations(document)}
    assert found == {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS.values()}
    for _, _, operation in operations(document):
        assert {"200", "401", "422", "429", "default"} <= set(operation["responses"])
        assert operation["x-confidence"]
        assert operation["x-source"]
        assert all("x-confidence" in one for one in operation.get("parameters", ()) if one["in"] == "query")
    assert set(document["webhooks"]) == set(EVENTS)


def test_no_value_is_closed_and_every_open_enumeration_tells_its_values() -> None:
    document = openapi()
    assert not [one for one in inside(document) if "enum" in one]
    status = document["components"]["schemas"]["Order"]["properties"]["status"]
    assert status["x-known-values"] == [member.value for member in models.OrderStatus]


def test_every_property_says_how_sure_it_is() -> None:
    for name, schema in openapi()["components"]["schemas"].items():
        for key, found in schema.get("properties", {}).items():
            assert name == "Error" or key == "event" or found.get("x-confidence"), f"{name}.{key}"


def test_another_server_stands_first() -> None:
    assert openapi(server="http://127.0.0.1:1/api")["servers"][0] == {"url": "http://127.0.0.1:1/api"}
    assert len(openapi()["servers"]) == 2


async def test_the_sandbox_serves_the_document_that_it_is_given() -> None:
    document = openapi(server="/api/fulfilment/v1")
    async with Sandbox(openapi=document, limit=None) as sandbox, aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{sandbox.port}/openapi.json") as answer:
            assert answer.status == 200
            assert await answer.json() == document
        async with session.get(f"http://127.0.0.1:{sandbox.port}/openapi") as page:
            assert page.status == 200
            assert page.content_type == "text/html"
