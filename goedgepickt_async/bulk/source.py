"""Items from wherever they come: a list, a generator, an async generator."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import Any, TypeVar

from goedgepickt_async.errors import ConfigurationError

__all__ = ["each"]

T = TypeVar("T")


async def each(items: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T]:
    """The items one by one; leaving it early closes the iterator that it took them from.

    Raises:
        ConfigurationError: They cannot be iterated.
    """
    iterator: Any
    if isinstance(items, AsyncIterable):
        iterator = aiter(items)
        try:
            async for item in iterator:
                yield item
        finally:
            if hasattr(iterator, "aclose"):
                await iterator.aclose()
    elif isinstance(items, Iterable) and not isinstance(items, str | bytes):
        iterator = iter(items)
        try:
            for item in iterator:
                yield item
        finally:
            if hasattr(iterator, "close"):
                iterator.close()
    else:
        raise ConfigurationError(f"these are no items: {type(items).__name__}")
