"""`docs/language.py` finds what it promises to find, at the right line."""

import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.tables import each_row

SCRIPT = Path(__file__).parents[2] / "docs" / "language.py"
spec = importlib.util.spec_from_file_location("language", SCRIPT)
assert spec
assert spec.loader
language = importlib.util.module_from_spec(spec)
sys.modules["language"] = language
spec.loader.exec_module(language)

LONG = " ".join(["word"] * 26) + "."
MODULE = '''"""A module."""

import logging


def test_nobody_reads_this():
    """Args:
        name: Whoever comes first.

    One two three.
    """
    # It goes on
    # with the next page.
    value = 1  # as a rule
    raise ValueError(
        "the file lies in a directory: "
        f"give it {value} anew"
    )
'''


def found(texts: Iterable[Any]) -> set[tuple[int, str]]:
    synonyms = language.glossary()
    return {(text.line, problem) for text in texts for problem in language.problems(text, synonyms)}


@each_row(
    "sentence",
    [
        "Whoever calls it gets an error.",
        "Nobody can say whether it was sent.",
        "It has two parts, one of which is empty.",
        "The server says no.",
        "The file tells its name.",
        "Each handler is told once.",
        "It costs one request a row.",
        "It is begun anew.",
        "It never sends nothing.",
        "The limiter hears of it.",
        "There is no such option, or its value makes no sense.",
        "Close it at any time: twice is once.",
        "It has all headers but for the key.",
        "The strangers come from the same address.",
        LONG,
    ],
)
def test_page_sentence_of_forbidden_kind_is_found(sentence: str) -> None:
    assert found(language.in_markdown(f"# Title\n\nA good sentence. {sentence}\n"))


@each_row(
    "sentence",
    [
        "The client sends the request again.",
        "`nobody` is a user, and [a link](whatever.md) is fine.",
        "150 requests a minute are allowed. Then: " + " ".join(["word"] * 24) + ".",
        "```text\nwhoever\n```",
        "<!-- nobody -->",
    ],
)
def test_page_sentence_of_allowed_kind_is_not_found(sentence: str) -> None:
    assert not found(language.in_markdown(sentence + "\n"))


def test_module_docstring_comment_message_and_test_name_are_checked() -> None:
    lines = {line for line, _ in found(language.in_python(MODULE, messages=True))}
    assert lines == {6, 8, 12, 14, 16}


def test_each_item_and_cell_is_its_own_text() -> None:
    short = " ".join(["word"] * 20)
    assert not found(
        language.in_markdown(f"- {short}\n- {short}\n\n| {short} | {short} |\n|---|---|\n| {short} | {short} |\n")
    )


def test_glossary_has_at_most_25_terms() -> None:
    page = (SCRIPT.parents[1] / "CONTRIBUTING.md").read_text("utf-8").partition("## Glossary")[2].partition("\n## ")[0]
    assert 2 < page.count("\n|") <= 27
    assert language.glossary()["strangers"] == "foreign traffic"
