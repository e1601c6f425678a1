"""The repr of an object whose `__init__` raised: debuggers and error trackers take it, and it must not raise."""

import enum
import importlib
import inspect
import pkgutil
import traceback
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

import goedgepickt_async
from goedgepickt_async import ConfigurationError, GoedGepickt, NewOrder, RetryPolicy, Settings, ValidationError
from tests.support.tables import each_row

MIXINS = {"Model"}
"""These classes have no direct instances."""


def classes() -> Iterator[type[Any]]:
    """Classes of the package with their own repr, and attrs classes whose `__init__` can raise."""
    for module in pkgutil.walk_packages(goedgepickt_async.__path__, "goedgepickt_async."):
        if module.name.endswith("__main__"):
            continue
        found = importlib.import_module(module.name)
        for cls in vars(found).values():
            if inspect.isclass(cls) and cls.__module__ == found.__name__ and (_is_own(cls) or _can_raise(cls)):
                yield cls


def _is_own(cls: type[Any]) -> bool:
    return "__del__" in vars(cls) or (
        cls.__name__ not in MIXINS
        and "__repr__" in vars(cls)
        and not attrs.has(cls)
        and not issubclass(cls, str | bytes | int | tuple | enum.Enum)
    )


def _can_raise(cls: type[Any]) -> bool:
    return attrs.has(cls) and (
        hasattr(cls, "__attrs_post_init__") or any(field.validator or field.converter for field in attrs.fields(cls))
    )


@each_row("cls", list(classes()), ids=lambda cls: cls.__qualname__)
def test_the_repr_of_a_half_made_object_raises_nothing(cls: type[Any]) -> None:
    made: Any = cls.__new__(cls)  # type: ignore[call-overload]
    assert cls.__name__.lower() in repr(made).lower()
    getattr(made, "__del__", int)()


@each_row(
    ("make", "error"),
    [
        (lambda: GoedGepickt("a key"), ConfigurationError),
        (lambda: Settings(api_key="k", timeout=-1.0), ConfigurationError),
        (lambda: RetryPolicy(max_attempts=0), ConfigurationError),
        (lambda: NewOrder(order_id=5), ValidationError),  # type: ignore[arg-type, call-arg]
    ],
)
def test_a_traceback_with_local_variables_can_be_made_of_an_init_that_raised(make: Any, error: Any) -> None:
    with pytest.raises(error) as caught:
        make()
    assert traceback.TracebackException.from_exception(caught.value, capture_locals=True).exc_type is error
