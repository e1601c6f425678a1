"""The pages have the sections that docstrings cite, and every command."""

import re
from pathlib import Path

import goedgepickt_async
from goedgepickt_async.cli.app import app

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PACKAGE = Path(goedgepickt_async.__file__).parent


def test_every_section_that_a_docstring_cites_is_on_the_page() -> None:
    there = set(re.findall(r"^#{2,3} ([0-9.]+?)\.? ", (REFERENCE / "api-facts.md").read_text(), flags=re.MULTILINE))
    texts = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    cited = set(re.findall(r"reference,? (?:section )?([0-9](?:\.[0-9])?)", texts))
    assert cited
    assert cited - there == set()


def test_every_command_is_listed_and_no_other() -> None:
    commands = {name for name in app if not name.startswith("-")}
    below = {f"webhooks {name}" for name in app["webhooks"] if not name.startswith("-")}
    page = (REFERENCE / "command-line.md").read_text()
    told = set(re.findall(r"^\| `goedgepickt ([a-z ]+)` \|", page, flags=re.MULTILINE))
    assert told == commands - {"webhooks"} | below
