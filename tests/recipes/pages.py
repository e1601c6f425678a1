"""The code of the how-to pages, to run it as its readers would: in separate modules and processes."""

from __future__ import annotations

import importlib.util
import itertools
import re
import sys
from pathlib import Path
from types import ModuleType

HOWTO = Path(__file__).parents[2] / "docs" / "howto"

_NUMBERS = itertools.count()


def block(page: str, name: str) -> str:
    """Return the code of the block after `<!--- name: NAME -->`."""
    text = (HOWTO / page).read_text("utf-8")
    found = re.search(rf"<!--- name: {name} -->\n(?:<!---[^\n]*-->\n)?```python\n(.*?)```", text, re.DOTALL)
    assert found is not None, f"{page} has no block named {name}"
    return found[1]


def blocks(page: str, *names: str) -> str:
    """Several blocks, as one module has them."""
    return "\n".join(block(page, name) for name in names)


def module(folder: Path, name: str, code: str) -> ModuleType:
    """A module that is made of code. It cannot be imported; taskiq finds it in `sys.modules`."""
    path = folder / f"{name}.py"
    path.write_text(code, "utf-8")
    spec = importlib.util.spec_from_file_location(f"recipe_{name}_{next(_NUMBERS)}", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made
