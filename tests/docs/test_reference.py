"""The reference shows every public name, and nothing that is not there."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import goedgepickt_async
from goedgepickt_async import ConfigurationError, contrib
from tests.support.tables import each_row

DOCS = Path(__file__).parents[2] / "docs"
_DIRECTIVE = re.compile(r"^\.\. (?:auto(\w+)|py:module):: (\S+)$", re.MULTILINE)

SHOWN = [
    (page.name, kind, path)
    for page in sorted((DOCS / "reference").glob("*.md"))
    for kind, path in _DIRECTIVE.findall(page.read_text())
]
"""Page, kind and dotted path of each thing that the reference shows."""

CONTRIB = [f"goedgepickt_async.contrib.{module.name}" for module in pkgutil.iter_modules(contrib.__path__)]
MODULES = [
    "goedgepickt_async",
    *(
        f"goedgepickt_async.{name}"
        for name in (
            "budget",
            "bulk",
            "bulk.files",
            "contract",
            "convert",
            "errors",
            "hooks",
            "models",
            "pytest_plugin",
            "resources",
            "sandbox",
            "sandbox.deliveries",
            "sandbox.faults",
            "testing",
            "testing.strategies",
            "webhooks",
        )
    ),
    *CONTRIB,
]
"""The modules whose `__all__` is public."""

NOT_PUBLIC = {"cli", "client", "contrib", "endpoints", "logs", "paging", "paths", "settings", "text"}
"""Modules that users do not import from: the package exports what they need."""


def the_module(path: str) -> object:
    try:
        return importlib.import_module(path)
    except (ImportError, ConfigurationError) as error:
        if not path.startswith("goedgepickt_async.contrib."):
            raise
        pytest.skip(f"an extra is not installed: {error}")


def find(path: str) -> object:
    """What a dotted path names: below the longest part of it that is a public module."""
    module = max((name for name in MODULES if path == name or path.startswith(f"{name}.")), key=len)
    found = the_module(module)
    for name in path.removeprefix(module).split("."):
        found = getattr(found, name) if name else found
    return found


def shown_names() -> set[str]:
    return {path for _, _, path in SHOWN}


@each_row("module", MODULES)
def test_every_public_name_is_in_the_reference(module: str) -> None:
    names = the_module(module).__all__  # type: ignore[attr-defined]
    assert names
    missing = set()
    for name in names:
        value = getattr(the_module(module), name)
        under_the_package = getattr(goedgepickt_async, name, None) is value
        paths = {f"{module}.{name}", *([f"goedgepickt_async.{name}"] if under_the_package else [])}
        if not paths & shown_names():
            missing.add(name)
    assert missing == set()


def test_each_module_is_public_or_listed_as_private() -> None:
    modules = {module.name for module in pkgutil.iter_modules(goedgepickt_async.__path__)}
    public = {path.split(".")[1] for path in MODULES if "." in path}
    assert {module for module in modules if not module.startswith("_")} == public - {"contrib"} | NOT_PUBLIC


@each_row("path", sorted(shown_names()))
def test_what_the_reference_shows_is_there_and_public(path: str) -> None:
    if path in MODULES:
        assert the_module(path) is not None
        return
    owner, _, name = path.rpartition(".")
    assert owner in MODULES, f"{owner} is no public module"
    assert name in find(owner).__all__  # type: ignore[attr-defined]
    assert find(path) is not None


def test_the_reference_shows_nothing_twice() -> None:
    paths = [path for _, kind, path in SHOWN if kind]
    assert [path for path in paths if paths.count(path) > 1] == []


def test_a_class_is_shown_as_a_class_and_an_error_as_an_error() -> None:
    wrong = []
    for _, kind, path in SHOWN:
        if kind not in {"class", "exception"} or path.startswith("goedgepickt_async.contrib."):
            continue
        value = find(path)
        is_error = isinstance(value, type) and issubclass(value, Exception)
        if not isinstance(value, type) or is_error != (kind == "exception"):
            wrong.append(path)
    assert wrong == []


def test_every_page_of_the_reference_is_in_its_table_of_contents() -> None:
    index = (DOCS / "reference" / "index.md").read_text()
    pages = {page.stem for page in (DOCS / "reference").glob("*.md")} - {"index"}
    assert {page for page in pages if f"\n{page}\n" not in index} == set()
