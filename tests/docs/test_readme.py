"""What the README promises leads somewhere."""

import re
import runpy
from pathlib import Path

import pytest

from tests.support.tables import each_row

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


SEARCHED = {
    "docker": "deployment",
    "compose": "deployment",
    "kubernetes": "deployment",
    "gunicorn": "deployment",
    "systemd": "deployment",
    "cron": "deployment",
    "airflow": "workers",
    "celery": "workers",
    "postgres": "exports",
    "pandas": "exports",
    "jupyter": "exports",
    "excel": "exports",
    "parquet": "exports",
    "prometheus": "observability",
    "sentry": "observability",
    "proxy": "keys-and-hosts",
    "redis": "keys-and-hosts",
    "fastapi": "web-backends",
    "django": "web-backends",
    "flask": "sync-programs",
    "pytest": "testing",
    "pagination": "lists",
    "429": "troubleshooting",
    "timeouts": "troubleshooting",
    "faq": "troubleshooting",
}
"""A word that people search for, and the page that has it in a heading."""


@each_row("word", SEARCHED)
def test_a_searched_word_is_in_a_heading_of_a_page_with_an_answer(word: str) -> None:
    page = next((ROOT / "docs").rglob(f"{SEARCHED[word]}.md")).read_text("utf-8")
    section = re.search(
        rf"^(#+) [^\n]*\b{word}\b[^\n]*\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL | re.IGNORECASE
    )
    assert section, f"no heading with {word}"
    answer = page if section[1] == "#" else section[2]
    assert re.search(r"^```|^\||`[^`]+`", answer, re.MULTILINE), f"no code or table below the heading with {word}"


@pytest.mark.slow
def test_the_search_of_the_site_finds_http_statuses() -> None:
    pytest.importorskip("sphinx")
    from docutils.core import publish_doctree  # noqa: PLC0415  only where the documentation is built

    names = runpy.run_path(str(ROOT / "docs" / "conf.py"))
    document = publish_doctree(
        "One\n===\n\n429 often\n---------\n\n====  ====\nb     503\n====  ====\n\nTwo\n---\n\n4290\n"
    )
    names["_index_statuses"](None, document)
    found = [entry[1] for node in document.findall(names["addnodes"].index) for entry in node["entries"]]
    assert found == ["429", "503"]


def test_llms_txt_names_every_how_to_page() -> None:
    text = (ROOT / "llms.txt").read_text("utf-8")
    linked = set(re.findall(r"\((?:https://\S+?/main/)?(docs/[^)#\s]+)", text))
    assert all((ROOT / path).is_file() for path in linked)
    pages = {f"docs/howto/{page.name}" for page in (ROOT / "docs" / "howto").glob("*.md")}
    assert pages - linked - {"docs/howto/index.md"} == set()
