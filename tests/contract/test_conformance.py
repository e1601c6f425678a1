"""The sandbox answers as the OpenAPI document says: what schemathesis makes up is asked, and each answer is checked."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from goedgepickt_async.contract import openapi
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.testing import serving

pytest.importorskip("schemathesis")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)


@pytest.mark.slow
@pytest.mark.parametrize("oddities", [True, False], ids=["untidy data", "tidy data"])
def test_every_answer_of_the_sandbox_conforms_to_the_document(*, oddities: bool, tmp_path: Path) -> None:
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(openapi()))
    with serving(Sandbox(orders=60, products=30, limit=None, oddities=oddities)) as sandbox:
        command = [sys.executable, "-m", "schemathesis.cli", "run", str(document), "--url", sandbox.url]
        headers = ["-H", f"Authorization: Bearer {sandbox.api_key}", "-H", "Accept: application/json"]
        chosen = ["--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing", "--seed", "1", "-n", "8"]
        ran = subprocess.run([*command, *headers, *chosen], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-4000:]
    assert "Tested: 16" in ran.stdout
