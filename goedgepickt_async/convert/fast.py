"""The FAST path: a function a class, and after a while one for each shape that its objects come in.

The rows of an API repeat a handful of shapes (the tuple of an object's keys). Once a shape has been seen often enough to
earn the milliseconds, a function for it alone is compiled: it takes all values in one go and looks no key up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cattrs import Converter

from goedgepickt_async.convert.novelty import notice_unknown
from goedgepickt_async.convert.read_plan import ReadPlan
from goedgepickt_async.convert.source import Name, write
from goedgepickt_async.convert.twin import twin_of

__all__ = ["compile_class"]

_HOT: Final = 128
_MOST_SHAPES: Final = 64
_MOST_COUNTED: Final = 256
_LONGEST_SHAPE: Final = 200
_MOST_FAMILIAR: Final = 1024
"""Names of keys that are remembered as told of; past that, nobody wants to hear of any more."""

Keys = tuple[str, ...]
Read = Callable[..., Any]


def compile_class(plan: ReadPlan, converter: Converter) -> Read | None:
    """The structure function of a class, or None where its `__init__` has a say or its layout does not allow one."""
    if not plan.is_fillable or any(twin_of(part.cls) is None for part in (plan, *(field.parts for field in plan.flat))):
        return None
    shapes = _Shapes(plan, converter)

    def structure(value: Any, _: Any = None) -> Any:
        return shapes[(*value,)](value)

    # For the source of other classes, which knows already that it has a list or an object in hand.
    structure.read_all = shapes.read_all  # type: ignore[attr-defined]
    structure.read_object = structure  # type: ignore[attr-defined]
    return structure


class _Lookup:
    """Raw values by key, for objects of any shape."""

    opening = "get = data.get"

    def value(self, keys: list[str], *, is_required: bool) -> str:
        found = f"data[{keys[-1]!r}]" if is_required else f"get({keys[-1]!r})"
        for key in reversed(keys[:-1]):
            found = f"(found if (found := get({key!r})) is not None else {found})"
        return found

    def unknown(self, known: frozenset[str], name: Name) -> str:
        return f"{{key: value for key, value in data.items() if key not in {name('known_keys', known)}}}"


class _Unpacked:
    """Raw values in local variables, for objects of one shape. All its required keys are there."""

    def __init__(self, keys: Keys, known: frozenset[str]) -> None:
        self._variables = {key: self._variable(index, key, known) for index, key in enumerate(keys)}
        self.opening = f"{', '.join(self._variables.values())}, = data.values()"

    @staticmethod
    def _variable(index: int, key: str, known: frozenset[str]) -> str:
        """A key that the classes do not know came with an answer, so it must not become source code."""
        if key not in known:
            return f"unknown_{index}"
        return f"raw_{key}" if key.isidentifier() and key.isascii() else f"raw_{index}"

    def value(self, keys: list[str], *, is_required: bool) -> str | None:  # noqa: ARG002 - as the protocol says
        found: str | None = None
        for key in reversed(keys):
            variable = self._variables.get(key)
            if variable is not None:
                found = variable if found is None else f"({variable} if {variable} is not None else {found})"
        return found

    def unknown(self, known: frozenset[str], name: Name) -> str:
        pairs = (
            f"{name(f'key_of_{variable}', key)}: {variable}"
            for key, variable in self._variables.items()
            if key not in known
        )
        return f"{{{', '.join(pairs)}}}"


class _Shapes(dict[Keys, Read]):
    """Shape → the function that reads it. Bounded, whatever an API sends."""

    def __init__(self, plan: ReadPlan, converter: Converter) -> None:
        super().__init__()
        self._plan = plan
        self._converter = converter
        self._any_shape = write(plan, _Lookup(), converter).compiled(plan.cls.__qualname__)
        self._seen: dict[Keys, int] = {}
        self._latest: tuple[list[str], Read] = ([], self._any_shape)
        self._familiar = set(plan.known)

    def read_all(self, values: list[Any]) -> list[Any]:
        """Reads the objects of a list, which mostly are of one shape: comparing lists is cheaper than hashing tuples."""
        keys, read = self._latest
        return [read(value) if [*value] == keys else self[(*value,)](value) for value in values]

    def __missing__(self, keys: Keys) -> Read:
        """The function for any shape, until this one is worth its own."""
        if len(self._seen) >= _MOST_COUNTED:
            self._seen.clear()
        seen = self._seen[keys] = self._seen.get(keys, 0) + 1
        if seen == 1:
            self._notice(keys)
        if seen < _HOT or len(self) >= _MOST_SHAPES or not self._is_fit(keys):
            return self._any_shape
        self._seen.pop(keys, None)
        source = _Unpacked(keys, self._plan.known)
        read = write(self._plan, source, self._converter).compiled(self._plan.cls.__qualname__)
        self[keys] = read
        self._latest = ([*keys], read)
        return read

    def _notice(self, keys: Keys) -> None:
        """Say what is new here; rows that all look different have mostly the same keys, in other orders and choices."""
        familiar = self._familiar
        if len(familiar) >= _MOST_FAMILIAR or familiar.issuperset(keys):
            return
        notice_unknown([key for key in keys if key not in familiar], self._plan.cls)
        familiar.update(keys)

    def _is_fit(self, keys: Keys) -> bool:
        required = (field.wire for field in self._plan.fields if field.is_required)
        return 0 < len(keys) <= _LONGEST_SHAPE and all(
            any(key in keys for key in (wire.name, *wire.aliases)) for wire in required
        )
