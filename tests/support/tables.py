"""All rows of a table as one test: pytest needs milliseconds for each test, and most rows need microseconds."""

from __future__ import annotations

import functools
import inspect
import reprlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

import attrs
import pytest

_Test = TypeVar("_Test", bound=Callable[..., Any])
_Ids = Callable[[Any], object] | Sequence[str] | None
_PARAM = type(pytest.param())
_FAILURES = (Exception, pytest.fail.Exception)  # the latter is of `pytest.fail` and `pytest.raises`
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 120


@attrs.frozen
class _Row:
    label: str
    arguments: dict[str, Any]


def each_row(names: str | tuple[str, ...], rows: Iterable[Any], *, ids: _Ids = None) -> Callable[[_Test], _Test]:
    """Run a test with each row of a table, as `pytest.mark.parametrize` does, but as one test.

    It runs all rows, also when one fails, and names each row that failed. All rows share the fixtures of the test.

    Args:
        names: The name of the argument, or the names of several.
        rows: A value for one name, and a sequence of values for several. `pytest.param` gives a row its name.
        ids: The names of the rows, or a function that returns the name of a value.
    """
    columns = (names,) if isinstance(names, str) else names
    table = [_read(columns, row, ids, number) for number, row in enumerate(rows)]
    if not table:
        raise ValueError("a table without rows tests nothing")

    def decorate(test: _Test) -> _Test:
        @functools.wraps(test)
        def run(*method: Any, **fixtures: Any) -> None:
            failed = []
            for row in table:
                try:
                    test(*method, **fixtures, **row.arguments)
                except _FAILURES as error:
                    failed.append((row, error))
            _report(failed, len(table))

        @functools.wraps(test)
        async def run_async(*method: Any, **fixtures: Any) -> None:
            failed = []
            for row in table:
                try:
                    await test(*method, **fixtures, **row.arguments)
                except _FAILURES as error:
                    failed.append((row, error))
            _report(failed, len(table))

        parameters = dict(inspect.signature(test).parameters)
        for name in columns:
            del parameters[name]  # it is no fixture
        chosen: Any = run_async if inspect.iscoroutinefunction(test) else run
        chosen.__signature__ = inspect.Signature(list(parameters.values()))
        return cast(_Test, chosen)

    return decorate


def _read(columns: tuple[str, ...], row: Any, ids: _Ids, number: int) -> _Row:
    label: object = None
    values = (row,) if len(columns) == 1 else row
    if isinstance(row, _PARAM):
        if row.marks:
            raise ValueError("a row of a table cannot have a mark: use pytest.mark.parametrize")
        values, label = row.values, row.id
    elif ids is not None and not callable(ids):
        label = ids[number]
    show = ids if callable(ids) else _REPR.repr
    arguments = dict(zip(columns, values, strict=True))
    return _Row(str(label or ", ".join(f"{name}={show(value)}" for name, value in arguments.items())), arguments)


def _report(failed: Sequence[tuple[_Row, BaseException]], total: int) -> None:
    errors: list[Exception] = []
    for row, failure in failed:
        # pytest's own failure is no `Exception`: a group of such would not be caught by another table around this one.
        error = failure if isinstance(failure, Exception) else AssertionError(str(failure))
        error.with_traceback(failure.__traceback__).add_note(f"In the row {row.label}")
        errors.append(error)
    if errors:
        labels = "; ".join(row.label for row, _ in failed)
        raise ExceptionGroup(f"{len(errors)} of {total} rows failed: {labels}", errors)
