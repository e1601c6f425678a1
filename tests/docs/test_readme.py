"""What the README promises leads somewhere."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text("utf-8")
LINKS = re.findall(r"\[([^\]]+)\]\(([^)#\s]+)(?:#([^)]+))?\)", TEXT)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made where it is shown."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_every_link_leads_to_a_page_of_the_repository_and_to_a_heading_of_it() -> None:
    local = [(text, target, anchor) for text, target, anchor in LINKS if "://" not in target]
    assert len(local) > 20
    for text, target, anchor in local:
        assert (ROOT / target).is_file(), f"{text} leads to {target}, which is not there"
        assert not anchor or anchor in anchors(ROOT / target), f"{target} has no heading for #{anchor}"


def test_every_promise_names_tests_that_are_there() -> None:
    named = [(name.strip("`"), target) for name, target, _ in LINKS if name.startswith("`test_")]
    assert len(named) >= 10
    for name, target in named:
        assert re.search(rf"^ *(async )?def {name}\(", (ROOT / target).read_text("utf-8"), re.MULTILINE), name
