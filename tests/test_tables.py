"""A table that is one test (`tests/support/tables.py`) tests all its rows and names those that fail."""

import asyncio

import pytest

from tests.support.tables import each_row


def test_a_table_runs_all_rows_and_names_each_one_that_fails(tmp_path: object) -> None:
    seen = []

    @each_row("first", [1, 2])
    @each_row(("second", "third"), [pytest.param(3, 4, id="the third"), (5, 6)])
    def test(first: int, second: int, third: int, fixture: object) -> None:
        seen.append((first, second, third, fixture))
        assert second == 5
        with pytest.raises(KeyError):
            assert first == 1

    with pytest.raises(ExceptionGroup, match="2 of 2 rows failed: first=1; first=2") as caught:
        test(fixture=tmp_path)  # type: ignore[call-arg]
    assert seen == [(first, second, second + 1, tmp_path) for first in (1, 2) for second in (3, 5)]
    inner = [error.exceptions for error in caught.value.exceptions if isinstance(error, ExceptionGroup)]
    notes = [[error.__notes__ for error in errors] for errors in inner]
    assert notes == [[["In the row the third"], ["In the row second=5, third=6"]]] * 2


def test_a_table_of_an_asynchronous_test_runs_all_rows() -> None:
    seen = []

    @each_row("value", range(3), ids=["none", "one", "two"])
    async def test(value: int) -> None:
        seen.append(value)
        await asyncio.sleep(0)
        assert value == 1

    with pytest.raises(ExceptionGroup, match="2 of 3 rows failed: none; two"):
        asyncio.run(test())  # type: ignore[call-arg]
    assert seen == [0, 1, 2]


def test_a_table_is_refused_without_rows_or_with_a_marked_row() -> None:
    with pytest.raises(ValueError, match="without rows"):
        each_row("value", [])
    with pytest.raises(ValueError, match="cannot have a mark"):
        each_row("value", [pytest.param(1, marks=pytest.mark.slow)])
