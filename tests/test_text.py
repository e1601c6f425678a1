"""Text of a server is shown on a terminal without what the terminal would obey."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from goedgepickt_async.text import for_terminal, printable

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)


@given(ANY_TEXT)
@example("\x1b[31m\x07\x7f\x9b2J\u202e\u2066\U000e0041\ud800")
def test_printable_gives_one_line_of_printable_characters(text: str) -> None:
    shown = printable(text, 20)
    assert shown.isprintable()
    assert len(shown) <= 21


@given(ANY_TEXT)
@example("\x1b]0;title\x07 \x7f \u202e \U000e0041 é €")
def test_json_for_a_terminal_is_printable_and_means_the_same(text: str) -> None:
    shown = for_terminal(json.dumps([text], ensure_ascii=False))
    assert shown.isprintable()
    assert json.loads(shown) == [text] or not text.isascii()  # two halves of a pair read as the whole
    assert json.loads(shown) == json.loads(json.dumps([text]))


@given(st.lists(ANY_TEXT, max_size=3))
def test_lines_for_a_terminal_stay_lines(lines: list[str]) -> None:
    shown = for_terminal("\n".join(lines))
    assert all(line.replace("\t", "").isprintable() for line in shown.split("\n"))
    assert shown.count("\n") == "\n".join(lines).count("\n")
