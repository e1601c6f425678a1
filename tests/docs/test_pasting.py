"""What the pages show can be pasted where they say: blocks that await are for `python -m asyncio`."""

import ast
import codeop
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.tables import each_row

ROOT = Path(__file__).parents[2]


def _awaits(node: ast.AST) -> bool:
    """Whether there is an await outside functions."""
    if isinstance(node, ast.Await | ast.AsyncWith | ast.AsyncFor):
        return True
    inner = (
        child
        for child in ast.iter_child_nodes(node)
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda)
    )
    return any(_awaits(child) for child in inner)


def _blocks() -> Iterator[tuple[str, str]]:
    """Where it stands, and the code."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = page.read_text("utf-8")
        for found in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            if _awaits(ast.parse(found[1])):
                line = text.count("\n", 0, found.start()) + 1
                yield f"{page.relative_to(ROOT)}:{line}", found[1]


BLOCKS = dict(_blocks())


@each_row("place", BLOCKS)
def test_block_with_top_level_await_can_be_pasted_into_the_console_line_by_line(place: str) -> None:
    """In the console of Python 3.11 and 3.12 an empty line ends a compound statement."""
    compiler = codeop.CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    pending: list[str] = []
    for line in [*BLOCKS[place].splitlines(), "", ""]:
        pending.append(line)
        if compiler("\n".join(pending), "<console>", "single") is not None:
            pending.clear()
    assert not any(pending)
