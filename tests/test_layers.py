"""Which package may import which, what is public, and how large a module may be."""

import ast
import functools
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import goedgepickt_async
from tests.support.tables import each_row

ROOT = Path(goedgepickt_async.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

MAY_IMPORT = {
    "errors": {"text"},
    "text": set(),
    "logs": set(),
    "paths": set(),
    "models": {"text", "errors"},
    "convert": {"text", "models", "errors", "logs"},
    "budget": {"text", "errors", "logs", "paths"},
    "hooks": {"text", "errors", "budget", "logs"},
    "settings": {"errors", "text", "budget", "__version__"},
    "_transport": {"errors", "text", "budget", "hooks", "logs", "settings", "convert"},
    "paging": {"text", "errors", "models", "convert", "budget", "hooks", "logs"},
    "endpoints": {"_transport", "models"},
    "resources": {
        "bulk",
        "endpoints",
        "errors",
        "text",
        "models",
        "convert",
        "paging",
        "_transport",
        "budget",
        "logs",
        "webhooks",
    },
    "_sqlite": {"errors"},
    "webhooks": {"_sqlite", "text", "errors", "models", "convert", "logs", "paths"},
    "bulk": {
        "_sqlite",
        "text",
        "errors",
        "models",
        "convert",
        "paging",
        "_transport",
        "budget",
        "settings",
        "resources",
        "hooks",
        "logs",
        "paths",
    },
    "contract": {
        "_transport",
        "__version__",
        "client",
        "convert",
        "endpoints",
        "errors",
        "hooks",
        "models",
        "settings",
        "webhooks",
    },
    "sandbox": set(),
    "testing": {"errors", "models", "convert", "budget", "_transport", "client", "settings", "webhooks", "sandbox"},
    "pytest_plugin": {"budget", "client", "sandbox", "testing"},
}
"""Package -> the packages that it may import from, in addition to itself."""

AIOHTTP_MAY_BE_IN = {
    "_transport/session.py",
    "_transport/pipeline.py",
    "_transport/verdict.py",
    "client.py",
    "webhooks/server.py",
    "webhooks/receiver.py",
}


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements below a node; their expressions, which hold no statement, take most of the time."""
    for part in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, part, ()):
            yield child
            yield from statements(child)


@functools.cache
def imports_of(path: Path) -> set[str]:
    """The absolute names that a file imports."""
    found: set[str] = set()
    package = path.relative_to(ROOT.parent).parts[:-1]
    for node in statements(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            name = ".".join(part for part in (base, node.module) if part)
            found |= {f"{name}.{alias.name}" for alias in node.names}
    return found


def packages_in(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("goedgepickt_async.")}


@each_row("package", MAY_IMPORT)
def test_a_package_imports_only_from_the_layers_below(package: str) -> None:
    files = [path for path in FILES if path.relative_to(ROOT).parts[0].removesuffix(".py") == package]
    assert files
    for path in files:
        others = packages_in(imports_of(path)) - MAY_IMPORT[package] - {package}
        assert not others, f"{path.relative_to(ROOT)} imports {others}"


def test_aiohttp_is_imported_by_the_transport_and_the_webhook_server_only() -> None:
    for path in FILES:
        place = path.relative_to(ROOT).as_posix()
        imports = any(name.split(".")[0] == "aiohttp" for name in imports_of(path))
        assert not imports or place in AIOHTTP_MAY_BE_IN or place.startswith(("sandbox/", "cli/")), place


@pytest.mark.slow
def test_the_command_line_uses_public_names_only() -> None:
    allowed = {
        "goedgepickt_async",
        "goedgepickt_async.sandbox.deliveries",
        "goedgepickt_async.sandbox.faults",
        "goedgepickt_async.webhooks",
        "goedgepickt_async.bulk",
        "goedgepickt_async.bulk.files",
        "goedgepickt_async.contrib.arrow",
        "goedgepickt_async.contract",
        "goedgepickt_async.convert",
        "goedgepickt_async.sandbox",
        "goedgepickt_async.models",
        "goedgepickt_async.budget.selection",
        "goedgepickt_async.endpoints",
        "goedgepickt_async.paths",
        "goedgepickt_async.settings",
        "goedgepickt_async.text",
    }
    for path in (ROOT / "cli").rglob("*.py"):
        for name in imports_of(path):
            if name.startswith("goedgepickt_async.") and not name.startswith("goedgepickt_async.cli"):
                module, _, attribute = name.rpartition(".")
                assert module in allowed, f"{path.name}: {name}"
                assert attribute in importlib.import_module(module).__all__, f"{path.name}: {name}"


def test_modules_have_less_than_800_lines() -> None:
    assert {path.name for path in FILES if len(path.read_text().splitlines()) >= 800} == set()


def test_few_modules_have_less_than_60_lines() -> None:
    own_file_by_need = {"__init__.py", "__main__.py"}
    short = [path for path in FILES if len(path.read_text().splitlines()) < 60 and path.name not in own_file_by_need]
    assert len(short) <= 60, short


def _imports_at_start(path: Path) -> set[Path]:
    """The modules of ours that a module imports at its top level."""
    found: set[Path] = set()
    ours = set(FILES)
    for node in tree(path).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == ROOT.name:
            module = ROOT.parent / (node.module or "").replace(".", "/")
            for alias in node.names:
                places = (module / f"{alias.name}.py", module / alias.name / "__init__.py")
                homes = (*places, module.with_suffix(".py"), module / "__init__.py")
                found.add(next(file for file in homes if file in ours))
    return found - {path}


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {path: _imports_at_start(path) for path in FILES}
    while free := [path for path, needs in graph.items() if not needs]:
        graph = {path: needs - set(free) for path, needs in graph.items() if path not in free}
    assert not graph, sorted(str(path.relative_to(ROOT)) for path in graph)


def test_every_public_name_is_there_and_said_once() -> None:
    names = vars(goedgepickt_async)["__all__"]
    assert len(names) == len(set(names))
    assert all(getattr(goedgepickt_async, name) is not None for name in names)
    assert set(dir(goedgepickt_async)) == set(names)
    with pytest.raises(AttributeError):
        getattr(goedgepickt_async, "no_such_name")  # noqa: B009


def test_every_error_and_every_model_is_public() -> None:
    for module in (goedgepickt_async.errors, importlib.import_module("goedgepickt_async.models")):
        assert set(module.__all__) <= set(vars(goedgepickt_async)["__all__"])


def test_every_public_name_of_the_webhooks_is_in_their_docs() -> None:
    webhooks = importlib.import_module("goedgepickt_async.webhooks")
    text = "".join((ROOT.parent / file).read_text() for file in ("README.md", "docs/howto/webhooks.md"))
    assert all(hasattr(webhooks, name) for name in webhooks.__all__)
    assert {name for name in webhooks.__all__ if name not in text} == set()


@each_row(
    ("imported", "heavy"),
    [
        ("goedgepickt_async", "aiohttp attrs cattrs asyncio"),
        ("goedgepickt_async.cli.app", "aiohttp cattrs aiolimiter goedgepickt_async.budget"),
    ],
    ids=["the package", "the commands and their help"],
)
def test_the_import_of_a_module_imports_nothing_heavy(imported: str, heavy: str) -> None:
    code = f"import sys, {imported}; print(*{set(heavy.split())} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
