"""Who may know whom, what is public, and how large a room may be."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import goedgepickt_async

ROOT = Path(goedgepickt_async.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

MAY_KNOW = {
    "errors": set(),
    "logs": set(),
    "drift": {"logs"},
    "models": {"errors"},
    "convert": {"models", "errors", "drift"},
    "budget": {"errors", "logs"},
    "hooks": {"errors", "budget", "drift", "logs"},
    "settings": {"errors", "budget", "wire", "_version"},
    "wire": {"errors", "budget", "hooks", "drift", "logs", "settings", "convert"},
    "paging": {"errors", "models", "budget", "hooks", "logs"},
    "resources": {"errors", "models", "convert", "paging", "wire", "budget", "logs"},
    "webhooks": {"errors", "models", "convert", "drift", "logs"},
    "bulk": {"errors", "models", "convert", "paging", "wire", "budget", "settings", "resources", "hooks", "logs"},
    "sandbox": set(),
    "testing": {"errors", "models", "convert", "budget", "wire", "client", "webhooks", "sandbox"},
    "pytest_plugin": {"budget", "client", "sandbox", "testing"},
}
"""Room -> the rooms that it may import from, besides itself."""

AIOHTTP_MAY_BE_IN = {
    "wire/session.py",
    "wire/transport.py",
    "client.py",
    "webhooks/server.py",
    "webhooks/adapters.py",
}


def imports_of(path: Path) -> set[str]:
    """The absolute names that a file imports."""
    found: set[str] = set()
    package = path.relative_to(ROOT.parent).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            name = ".".join(part for part in (base, node.module) if part)
            found |= {f"{name}.{alias.name}" for alias in node.names}
    return found


def rooms_in(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("goedgepickt_async.")}


@pytest.mark.parametrize("room", MAY_KNOW)
def test_a_room_knows_only_those_that_it_may_know(room: str) -> None:
    files = [path for path in FILES if path.relative_to(ROOT).parts[0].removesuffix(".py") == room]
    assert files
    for path in files:
        strangers = rooms_in(imports_of(path)) - MAY_KNOW[room] - {room}
        assert not strangers, f"{path.relative_to(ROOT)} knows {strangers}"


def test_aiohttp_is_known_where_the_wire_is_and_nowhere_else() -> None:
    for path in FILES:
        place = path.relative_to(ROOT).as_posix()
        knows = any(name.split(".")[0] == "aiohttp" for name in imports_of(path))
        assert not knows or place in AIOHTTP_MAY_BE_IN or place.startswith(("sandbox/", "cli/")), place


def test_the_command_line_uses_public_names_only() -> None:
    allowed = {
        "goedgepickt_async",
        "goedgepickt_async.sandbox.deliveries",
        "goedgepickt_async.sandbox.faults",
        "goedgepickt_async.webhooks",
        "goedgepickt_async.bulk",
        "goedgepickt_async.bulk.files",
        "goedgepickt_async.contrib.arrow",
        "goedgepickt_async.convert",
        "goedgepickt_async.sandbox",
        "goedgepickt_async.models",
    }
    for path in (ROOT / "cli").rglob("*.py"):
        for name in imports_of(path):
            if name.startswith("goedgepickt_async.") and not name.startswith("goedgepickt_async.cli"):
                module, _, attribute = name.rpartition(".")
                assert module in allowed, f"{path.name}: {name}"
                assert attribute in importlib.import_module(module).__all__, f"{path.name}: {name}"


def test_no_file_is_of_eight_hundred_lines() -> None:
    assert {path.name for path in FILES if len(path.read_text().splitlines()) >= 800} == set()


def test_every_public_name_is_there_and_said_once() -> None:
    names = goedgepickt_async.__all__
    assert len(names) == len(set(names))
    assert all(getattr(goedgepickt_async, name) is not None for name in names)
    assert set(dir(goedgepickt_async)) == set(names)
    with pytest.raises(AttributeError):
        goedgepickt_async.no_such_name  # noqa: B018


def test_every_error_and_every_model_is_public() -> None:
    for module in (goedgepickt_async.errors, importlib.import_module("goedgepickt_async.models")):
        assert set(module.__all__) <= set(goedgepickt_async.__all__)


def test_every_public_name_of_the_webhooks_is_in_their_docs() -> None:
    webhooks = importlib.import_module("goedgepickt_async.webhooks")
    text = "".join((ROOT.parent / file).read_text() for file in ("README.md", "docs/howto/webhooks.md"))
    assert all(hasattr(webhooks, name) for name in webhooks.__all__)
    assert {name for name in webhooks.__all__ if name not in text} == set()


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, goedgepickt_async; print(*{'aiohttp', 'attrs', 'cattrs', 'asyncio'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
