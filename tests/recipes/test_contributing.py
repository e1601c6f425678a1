"""The recipe of CONTRIBUTING.md for a new endpoint is complete: followed to the letter in a copy, everything works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow

# File -> (text that is there, text that takes its place). Each file is one that the recipe names.
STEPS = {
    "models/account.py": [
        ('__all__ = ["LinkedOrder"', '__all__ = ["KnownSupplier", "LinkedOrder"'),
        (
            "@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)\nclass PickLocation(Model)",
            '''@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class KnownSupplier(Model):
    """One supplier (A)."""

    uuid: Identifier = attrs.field(metadata=alias("uuid", known="A 4.4"))
    name: str | None = optional_received("name", known="A 4.4")
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class PickLocation(Model)''',
        ),
    ],
    "__init__.pyi": [
        (
            "from goedgepickt_async.models import LineType",
            (
                "from goedgepickt_async.models import KnownSupplier as KnownSupplier\n"
                "from goedgepickt_async.models import LineType"
            ),
        )
    ],
    "endpoints.py": [
        (
            '        Endpoint(\n            operation="orders.list"',
            '''        Endpoint(
            operation="suppliers.list",
            method="GET",
            path="/suppliers",
            summary="All suppliers.",
            confidence="A",
            source="an example",
            model="KnownSupplier",
            is_list=True,
        ),
        Endpoint(
            operation="orders.list"''',
        )
    ],
    "resources/catalogue.py": [
        ('__all__ = ["PickLocations", "Shipments"', '__all__ = ["PickLocations", "Shipments", "Suppliers"'),
        ("import PickLocation, ", "import KnownSupplier, PickLocation, "),
        (
            "class Shipments(Resource)",
            '''class Suppliers(Resource):
    """The suppliers of products."""

    def list(self) -> Paginator[KnownSupplier]:
        """All suppliers: `GET /suppliers` (A)."""
        return self._list("suppliers.list", KnownSupplier)


class Shipments(Resource)''',
        ),
    ],
    "client.py": [
        ("Shipments, Stock, Webhooks, Webshops", "Shipments, Stock, Suppliers, Webhooks, Webshops"),
        (
            "    webhooks: Webhooks\n",
            '    suppliers: Suppliers\n    """Who delivers products."""\n    webhooks: Webhooks\n',
        ),
        (
            "        self.webhooks = resources.Webhooks(sender)\n",
            (
                "        self.suppliers = resources.Suppliers(sender)\n"
                "        self.webhooks = resources.Webhooks(sender)\n"
            ),
        ),
    ],
    "sandbox/world/state.py": [
        (
            "        self.products: Table = Table(",
            (
                '        self.suppliers: Table = Table("supplier", 3, self._make_location, identity)\n'
                "        self.products: Table = Table("
            ),
        )
    ],
    "sandbox/lists.py": [
        (
            '            "/picklocations": ',
            '            "/suppliers": _listing(world.suppliers, "uuid", "name"),\n            "/picklocations": ',
        )
    ],
}

TEST = """
import pytest

from goedgepickt_async import GoedGepickt, KnownSupplier
from goedgepickt_async.sandbox import Sandbox


async def test_suppliers_are_listed(gg: GoedGepickt, sandbox: Sandbox) -> None:
    suppliers = await gg.suppliers.list().collect()
    assert [type(supplier) for supplier in suppliers] == [KnownSupplier] * 3


def test_suppliers_can_be_exported(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cyclopts")
    from goedgepickt_async.cli import main

    assert main(["export", "suppliers", "--sandbox", "--format", "jsonl"]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 3
"""


NAMED = ("tests/resources/test_suppliers.py", "tests/test_layers.py")
# The recipe changes none of the command's files.
LEFT_OUT = "--deselect=tests/test_layers.py::test_the_command_line_uses_public_names_only"
NEEDED = {"asyncio", "goedgepickt", "timeout"}
"""The plugins that these tests need. The others cost a second to import."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and its tests, in which the recipe was followed."""
    root = tmp_path / "copy"
    root.mkdir()
    hidden = shutil.ignore_patterns(".*")  # what is compiled stays valid: the copies keep their times
    for name in ("docs", "goedgepickt_async", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=hidden)
    for name in ("conftest.py", "pyproject.toml", "README.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, root)
    for file, changes in STEPS.items():
        path = root / "goedgepickt_async" / file
        text = path.read_text("utf-8")
        for old, new in changes:
            assert text.count(old) >= 1, f"{file}: {old}"
            text = text.replace(old, new, 1)
        path.write_text(text, "utf-8")
    (root / "tests" / "resources" / "test_suppliers.py").write_text(TEST, "utf-8")
    return root


def test_each_file_that_a_new_endpoint_touches_is_named_by_the_recipe() -> None:
    recipe = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Add an endpoint")[2].partition("\n## ")[0]
    named = {file for file in STEPS if f"`{file}`" in recipe or f"`goedgepickt_async/{file}`" in recipe}
    assert named == set(STEPS)
    assert len(STEPS) <= 7


def test_the_tests_that_the_recipe_names_pass(copy: Path) -> None:
    """So does a test that exports the new list."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    others = [f"-pno:{plugin.name}" for plugin in entry_points(group="pytest11") if plugin.name not in NEEDED]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider", *others, *NAMED, LEFT_OUT],
        cwd=copy,
        env=environment | {"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-3000:]
