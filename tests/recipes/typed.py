"""The types of the recipes pass mypy, with the project's strict settings: `python -m tests.recipes.typed`, after `mypy`.

It is no test, because mypy would read all that the recipes import again: here it finds that in its cache.
"""

import os
import sys
from pathlib import Path

from tests.recipes.pages import blocks

TYPED = [
    ("web-backends.md", ("answers", "fastapi", "four-workers")),
    ("web-backends.md", ("answers", "aiohttp")),
    ("incremental-mirror.md", ("mirror", "reading", "following", "service")),
    ("unknown-outcomes.md", ("unknown-writes",)),
    ("workers.md", ("may-run-again",)),
    ("keys-and-hosts.md", ("redis",)),
]

if __name__ == "__main__":
    folder = Path("build/recipes")
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.py"):
        old.unlink()
    for number, (page, names) in enumerate(TYPED):
        (folder / f"recipe_{number}.py").write_text(blocks(page, *names), "utf-8")
    os.execv(sys.executable, [sys.executable, "-m", "mypy", str(folder)])
