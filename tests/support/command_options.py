"""Importing this makes cyclopts read the options of each command once: it reads them at each call, most of a short call.

What it reads depends only on the signature of a command. So each later call gets copies of what the first call found.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any, cast, get_type_hints

import cyclopts.field_info
from cyclopts import Parameter
from cyclopts.argument import Argument, ArgumentCollection

__all__ = ["read_options"]


def _copied(untouched: ArgumentCollection) -> ArgumentCollection:
    copies = {id(argument): copy.copy(argument) for argument in untouched}
    collection: Any = type(untouched)
    for argument in copies.values():
        argument.tokens = []
        argument.children = collection(copies[id(child)] for child in argument.children)
    return cast(ArgumentCollection, collection(copies.values()))


def _collections_once() -> None:
    original: Any = getattr(ArgumentCollection, "_from_callable", None)
    found: dict[Any, ArgumentCollection] = {}

    def read(command: Any, *parameters: Any, parse_docstring: bool = True, **options: Any) -> ArgumentCollection:
        key = command, parse_docstring, options.get("_resolve_groups")
        if key not in found:
            found[key] = original(command, *parameters, parse_docstring=parse_docstring, **options)
        return _copied(found[key])

    if original is not None:
        setattr(ArgumentCollection, "_from_callable", read)  # noqa: B010  it has a declared type


def _hints_once() -> None:
    @functools.cache
    def hints(described: Any, options: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
        return get_type_hints(described, **dict(options))

    def get(described: Any, **options: Any) -> dict[str, Any]:
        return dict(hints(described, tuple(options.items())))

    if hasattr(cyclopts.field_info, "get_type_hints"):
        setattr(cyclopts.field_info, "get_type_hints", get)  # noqa: B010  it is not exported


def _once(function: Callable[..., Any], part: str | None = None) -> Callable[..., Any]:
    """Call a method once for each object, or for each value of this attribute; neither changes after it is made."""
    found: dict[Any, tuple[Any, Any]] = {}

    def get(self: Any, *arguments: Any) -> Any:
        owner = self if part is None else getattr(self, part)
        key = id(owner), *arguments
        if key not in found:
            found[key] = owner, function(self, *arguments)  # while it is kept, no other object has its id
        return found[key][1]

    return get


def _negatives_once() -> None:
    hint: Any = getattr(Argument, "_negatives_hint", None)
    if isinstance(hint, property) and hint.fget is not None:
        setattr(Argument, "_negatives_hint", property(_once(hint.fget, "field_info")))  # noqa: B010  as above
    original: Any = getattr(Parameter, "get_negatives", None)
    if original is not None:
        setattr(Parameter, "get_negatives", _once(original))  # noqa: B010  as above


def read_options() -> None:
    """Read the options of the commands that tests start most often."""
    from goedgepickt_async.cli.app import app  # noqa: PLC0415  only processes of commands need it here

    for words in ("export orders", "export products", "doctor", "sandbox", "request GET /orders", "webhooks listen"):
        app.parse_args(words, exit_on_error=False, print_error=False)


_collections_once()
_hints_once()
_negatives_once()
