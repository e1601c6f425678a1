"""The sandbox and the OpenAPI document agree, in both directions: schemathesis makes up requests, good and bad."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async.contract import openapi
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.testing import serving

pytest.importorskip("schemathesis")
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


@pytest.mark.slow
def test_the_sandbox_answers_accepts_and_refuses_as_the_document_says(tmp_path: Path) -> None:
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
