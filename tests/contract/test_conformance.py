"""The sandbox and the OpenAPI document agree, in both directions.

A walk over all endpoints runs everywhere. In `nox -s contract`, schemathesis also makes up requests, good and bad.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from goedgepickt_async.contract import openapi
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.testing import serving

UNKNOWN = "00000000-0000-4000-8000-000000000000"
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "response_headers_conformance", "positive_data_acceptance", "negative_data_rejection", "missing_required_header",
    "unsupported_method", "ignored_auth",
)  # fmt: skip
# What a second link to the same place does is not known; the sandbox refuses it with 422.
LINKED_ALREADY = """
[[operations]]
include-method = "POST"
include-path-regex = "stock"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "422"]
"""


def document_for(sandbox: Sandbox) -> dict[str, Any]:
    """The document, and what no schema can say: which ids and cursors there are, and which days a month has."""
    document = openapi()
    schemas, world = document["components"]["schemas"], sandbox.world
    shops, places = ([table[0]["uuid"], table[1]["uuid"]] for table in (world.webshops, world.pick_locations))
    for name in ("NewProduct", "ProductUpdate", "NewOrder", "NewWebhook"):
        schemas[name]["properties"]["webshopUuid"]["enum"] = shops
    for name in ("createDate", "finishDate"):
        schemas["NewOrder"]["properties"][name]["enum"] = ["2026-11-01 10:00:00", "2026-10-31T09:30:00", None]
    for methods in document["paths"].values():
        for operation in methods.values():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            if "pickLocationUuid" in body.get("properties", {}):
                body["properties"]["pickLocationUuid"]["enum"] = [*places, None]
            operation["parameters"] = [one for one in operation.get("parameters", ()) if one["name"] != "cursor"]
    return document


class Walk:
    """Sends requests to a sandbox, and compares them and the responses with the document."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self.document = openapi()
        self.sandbox = sandbox
        self.session = session
        self.seen: set[tuple[str, str, int]] = set()
        self.registry: Any = Registry().with_resource("urn:api", DRAFT202012.create_resource(self.document))
        self.validators: dict[str, Draft202012Validator] = {}

    def is_valid(self, value: Any, *place: str) -> bool:
        """Whether a value fits the schema at a place of the document."""
        pointer = "/".join(step.replace("~", "~0").replace("/", "~1") for step in place)
        if pointer not in self.validators:
            self.validators[pointer] = Draft202012Validator({"$ref": f"urn:api#/{pointer}"}, registry=self.registry)
        return bool(self.validators[pointer].is_valid(value))

    async def call(self, method: str, path: str, status: int, *, body: Any = None, key: str = "", **more: Any) -> Any:
        """One request; `path` is a path of the document, `more` has what is in it and the query."""
        operation = self.document["paths"][path][method]
        url = re.sub(r"\{(\w+)\}", lambda found: more.pop(found[1]), self.sandbox.url + path)
        headers = {"Authorization": f"Bearer {key or self.sandbox.api_key}", "Accept": "application/json"}
        async with self.session.request(method, url, headers=headers, json=body, params=more) as response:
            raw, media_type = await response.read(), response.content_type
        what = f"{method} {path} {more} {body}: {response.status} {raw[:300]!r}"
        assert response.status == status, what
        self.seen.add((method, path, status))
        if body is not None and status in {200, 422}:
            schema = ("paths", path, method, "requestBody", "content", "application/json", "schema")
            assert self.is_valid(body, *schema) == (status == 200), what
        place: tuple[str, ...] = ("paths", path, method, "responses", str(status))
        documented = operation["responses"][str(status)]
        if "$ref" in documented:
            place = tuple(documented["$ref"].removeprefix("#/").split("/"))
            documented = self.document["components"]["responses"][place[-1]]
        for name, header in documented.get("headers", {}).items():
            assert self.is_valid(int(response.headers[name]), *header["$ref"][2:].split("/"), "schema"), what
        if not raw:
            return None
        assert self.is_valid(json.loads(raw), *place, "content", media_type, "schema"), what
        return json.loads(raw)


LINE = {"sku": "SB-00000", "productName": "Mok", "productQuantity": 1, "taxRate": 21}


async def walk_lists(walk: Walk) -> None:
    for path, methods in walk.document["paths"].items():
        if methods.get("get", {}).get("operationId", "").startswith("list_"):
            page = await walk.call("get", path, 200, perPage="100")
            assert page["items"] or path == "/webhooks"
            assert (await walk.call("get", path, 200, page="50"))["items"] == []
            await walk.call("get", path, 422, page="0")
    await walk.call("get", "/orders/{uuid}", 200, uuid=walk.sandbox.world.orders[0]["uuid"])
    await walk.call("get", "/products/{uuid}", 200, uuid=walk.sandbox.world.products[0]["uuid"])
    await walk.call("get", "/products/{uuid}/stock", 200, uuid=walk.sandbox.world.products[0]["uuid"])


async def walk_writes(walk: Walk) -> None:
    world = walk.sandbox.world
    shop, product = world.webshops[0]["uuid"], world.products[0]["uuid"]
    lying = {place["picklocationUuid"] for place in world.stock_locations(0)}
    free = next(place["uuid"] for place in world.pick_locations if place["uuid"] not in lying)
    good: dict[tuple[str, str], dict[str, Any]] = {
        ("post", "/products"): {"webshopUuid": shop, "sku": "NEW-1", "name": "Nieuw"},
        ("put", "/products/{uuid}"): {"name": "Anders", "price": "12.34"},
        ("post", "/products/{uuid}/stock/{pickLocationUuid}"): {"stockQuantity": 5, "priority": 3},
        ("put", "/products/{uuid}/stock/{pickLocationUuid}"): {"stockQuantity": 7, "reason": "count"},
        ("put", "/products/{uuid}/stock-mutation"): {"mutation": -2, "mutationReason": "lost"},
        ("post", "/orders"): {"webshopUuid": shop, "orderId": "A-1", "orderStatus": "open", "orderItems": [LINE]},
        ("post", "/webhooks"): {
            "webshopUuid": shop,
            "webhookEvent": "order.statusChanged",
            "targetUrl": "http://127.0.0.1:1/",
        },
    }
    for (method, path), body in good.items():
        names = [name for name in ("uuid", "pickLocationUuid") if f"{{{name}}}" in path]
        here = {"uuid": product, "pickLocationUuid": free}
        await walk.call(method, path, 200, body=body, **{name: here[name] for name in names})
        for field in body:
            wrong = {**body, field: {"not": "this"}}
            await walk.call(method, path, 422, body=wrong, **{name: here[name] for name in names})
        for name in names:
            await walk.call(method, path, 404, body=body, **{other: here[other] for other in names} | {name: UNKNOWN})
    house_number = {**good["post", "/orders"], "billingHouseNumber": 5}
    await walk.call("post", "/orders", 422, body=house_number)


@pytest.mark.parametrize("oddities", [True, pytest.param(False, marks=pytest.mark.slow)])
async def test_requests_and_responses_of_all_endpoints_are_as_the_document_says(*, oddities: bool) -> None:
    sandbox = Sandbox(orders=60, products=70, limit=10_000, oddities=oddities)
    async with sandbox, aiohttp.ClientSession() as session:
        walk = Walk(sandbox, session)
        await walk_lists(walk)
        await walk_writes(walk)
        await walk.call("get", "/orders", 200, orderBy="createDate", orderByDirection="desc", perPage="3")
        for path, methods in walk.document["paths"].items():
            for method in methods:
                ids = dict.fromkeys(re.findall(r"\{(\w+)\}", path), UNKNOWN)
                await walk.call(method, path, 401, key="unknown-key", **ids)
                if ids:
                    await walk.call(method, path, 404, **ids)
        sandbox.set_throttle(1)
        await walk.call("get", "/webshops", 200)
        for path, methods in walk.document["paths"].items():
            for method in methods:
                await walk.call(method, path, 429, **dict.fromkeys(re.findall(r"\{(\w+)\}", path), UNKNOWN))
        operations = {(method, path) for path, methods in walk.document["paths"].items() for method in methods}
        assert operations == {(method, path) for method, path, status in walk.seen if status == 200}


OPEN_QUESTIONS: tuple[dict[str, Any], ...] = (
    *({"order_answer": form} for form in ("uuid", "order.uuid", "data.uuid", "empty")),
    *({"product_answer": form} for form in ("bare", "empty_items")),
    *({"date_style": style} for style in ("T", "Z", "mixed")),
    *({"error_key": key} for key in ("message", "error")),
    {"freeze_page_info": True, "total_items": 3, "last_page": 1},
)


@pytest.mark.slow
async def test_the_document_also_fits_the_other_answers_to_open_questions() -> None:
    async with Sandbox(orders=20, products=20, limit=10_000) as sandbox, aiohttp.ClientSession() as session:
        walk, shop = Walk(sandbox, session), sandbox.world.webshops[0]["uuid"]
        for number, quirks in enumerate(OPEN_QUESTIONS):
            sandbox.quirks.update(quirks)
            await walk.call("get", "/orders", 200, perPage="3")
            await walk.call("get", "/shipments", 200, perPage="3")
            product = {"webshopUuid": shop, "sku": f"NEW-{number}", "name": "Nieuw"}
            await walk.call("post", "/products", 200, body=product)
            order = {"webshopUuid": shop, "orderId": "A-1", "orderStatus": "open", "orderItems": [LINE]}
            await walk.call("post", "/orders", 200, body=order)
            await walk.call("get", "/orders", 401, key="unknown-key")
            await walk.call("get", "/orders/{uuid}", 404, uuid=UNKNOWN)


@pytest.mark.slow
def test_the_sandbox_answers_accepts_and_refuses_as_the_document_says(tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    with serving(Sandbox(orders=60, products=30, limit=None)) as sandbox:
        (tmp_path / "openapi.json").write_text(json.dumps(document_for(sandbox)))
        (tmp_path / "schemathesis.toml").write_text(LINKED_ALREADY)
        command = [sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", sandbox.url]
        headers = ["-H", f"Authorization: Bearer {sandbox.api_key}", "-H", "Accept: application/json"]
        chosen = ["--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing", "--seed", "1", "-n", "4"]
        hooks = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.contract.conformance_hooks"}
        hooks["PYTHONPATH"] = str(Path(__file__).parents[2])
        ran = subprocess.run(
            [*command, *headers, *chosen], cwd=tmp_path, env=hooks, capture_output=True, text=True, check=False
        )
    assert ran.returncode == 0, ran.stdout[-12000:] + ran.stderr[-2000:]
    assert "Tested: 16" in ran.stdout
