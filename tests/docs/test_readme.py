"""What the README promises leads somewhere."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text("utf-8")
REPOSITORY = "https://github.com/goedgepickt-async/goedgepickt-async"
LINKS = re.findall(r"\[([^\]]+)\]\(([^)#\s]+)(?:#([^)]+))?\)", TEXT)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made where it is shown."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_every_link_leads_to_a_page_of_the_repository_and_to_a_heading_of_it() -> None:
    assert all("://" in target for _, target, _ in LINKS)  # PyPI shows the page, too
    files = (f"{REPOSITORY}/blob/main/", f"{REPOSITORY.replace('github.com', 'raw.githubusercontent.com')}/main/")
    local = [
        (text, target.removeprefix(start), anchor)
        for text, target, anchor in LINKS
        for start in files
        if target.startswith(start)
    ]
    assert len(local) >= 10
    for text, target, anchor in local:
        assert (ROOT / target).is_file(), f"{text} leads to {target}, which is not there"
        assert not anchor or anchor in anchors(ROOT / target), f"{target} has no heading for #{anchor}"


def test_the_readme_fits_on_a_few_screens() -> None:
    assert len(TEXT.splitlines()) <= 150


def test_every_promise_names_tests_that_are_there() -> None:
    named = re.findall(
        r"^- `([\w/]+\.py)::(test_\w+)`$", (ROOT / "docs" / "promises.md").read_text("utf-8"), re.MULTILINE
    )
    assert len(named) >= 10
    for path, name in named:
        assert re.search(rf"^ *(async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE), name


def test_contributing_lists_every_nox_session() -> None:
    sessions = re.findall(r"^@nox\.session.*\ndef (\w+)\(", (ROOT / "noxfile.py").read_text("utf-8"), re.MULTILINE)
    listed = re.findall(r"^\| `(\w+)` \|", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(sessions)
