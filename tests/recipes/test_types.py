"""The types of the recipes pass mypy in a strict project."""

from pathlib import Path

import pytest

from tests.recipes.pages import blocks

pytestmark = pytest.mark.slow

api = pytest.importorskip("mypy.api", reason="mypy is not installed")

TYPED = [
    ("web-backends.md", ("answers", "fastapi", "four-workers")),
    ("web-backends.md", ("answers", "aiohttp")),
    ("incremental-mirror.md", ("mirror", "reading", "following", "service")),
    ("unknown-outcomes.md", ("unknown-writes",)),
    ("workers.md", ("may-run-again",)),
    ("keys-and-hosts.md", ("redis",)),
]


def test_mypy_finds_no_fault_in_the_recipes(tmp_path: Path) -> None:
    for number, (page, names) in enumerate(TYPED):
        (tmp_path / f"recipe_{number}.py").write_text(blocks(page, *names), "utf-8")
    # Silent on what is imported: a reader's mypy finds the package installed, and looks for no faults in it.
    options = ["--strict", "--follow-imports=silent", "--config-file=", "--cache-dir", str(tmp_path)]
    said, complaints, status = api.run([*options, str(tmp_path)])
    assert (status, complaints) == (0, ""), said
