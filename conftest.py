"""The code blocks of the README and of docs/ are run, against a sandbox, with `await` at the top level."""

import ast
import asyncio
import gc
import inspect
import logging
import os
import re
import sys
import tempfile
import types
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from sybil import Example, Sybil
from sybil.integration.pytest import SybilItem
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from goedgepickt_async.sandbox import Sandbox

# Tests start many interpreters, and each would compile the package again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# How long an example takes says nothing about the code: the machine may be busy. Each run draws other examples, so many
# short runs find what one long run finds; `--hypothesis-profile thorough` is the long one.
settings.register_profile("any machine", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("any machine"), max_examples=400)
# A mutant dies at the first failing example: it needs no smaller one, and the next run must find the same.
settings.register_profile(
    "mutation",
    settings.get_profile("any machine"),
    phases=[Phase.explicit, Phase.generate],
    derandomize=True,
    database=None,
)
settings.load_profile("any machine")


async def _run(code: str, namespace: dict[str, Any]) -> None:
    async with Sandbox(orders=230, products=40, seed=7, limit=None) as sandbox:
        with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
            patch.chdir(directory)  # where an example may leave a file
            patch.setenv("GOEDGEPICKT_API_KEY", sandbox.api_key)
            patch.setenv("GOEDGEPICKT_BASE_URL", sandbox.url)
            patch.setenv("GOEDGEPICKT_WEBHOOK_SECRETS", "geheim")
            patch.setitem(sys.modules, "example", types.ModuleType("example"))  # where its functions say they are from
            patch.setenv("DLT_DATA_DIR", directory)  # not in the home directory
            patch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
            if any(mark in code for mark in ("asyncio.run(", "import dlt", " = run(")):  # it starts an event loop
                await asyncio.to_thread(exec, compile(code, "<example>", "exec"), namespace)
                return
            compiled = compile(code, "<example>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(compiled, namespace)  # noqa: S307  our own README
            if inspect.iscoroutine(result):
                await result


def evaluate(example: Example) -> None:
    """Run one block."""
    example.namespace.setdefault("__name__", "example")
    log = logging.getLogger("goedgepickt_async")
    level, handlers = log.level, log.handlers[:]
    try:
        asyncio.run(_run(example.parsed, example.namespace))
    finally:  # a block that configures the log does so for itself alone
        log.setLevel(level)
        log.handlers[:] = handlers


pytest_collect_file = Sybil(
    parsers=[CodeBlockParser(language="python", evaluator=evaluate), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
).pytest()


@pytest.hookimpl(optionalhook=True)  # pytest-xdist may not be installed
def pytest_xdist_auto_num_workers() -> int:
    """Give `-n auto` three processes for two processors: a quarter of the tests' time is waiting."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on Windows and macOS
    processors = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return processors + (processors + 1) // 2


_SLOW = re.compile(r"^pytestmark = (\[[^\]]*)?pytest\.mark\.slow", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m "not slow"`, a file in which all tests are slow is not imported: `pytestmark` shows it."""
    wanted = config.option.markexpr != "not slow" or collection_path.suffix != ".py"
    return None if wanted or _SLOW.search(collection_path.read_text("utf-8")) is None else True


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the blocks that take seconds: one reads 10,250 rows, others import dlt."""
    if isinstance(item, SybilItem) and re.search("=10_250|import dlt", str(item.example.parsed)):
        item.add_marker(pytest.mark.slow)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set the order of the tests.

    The blocks of a page run in its order, because a block may use names of earlier ones. Files with slow tests come first,
    then files with many tests. So `pytest -n 2 --dist loadfile --no-loadscope-reorder` ends with short files, and no
    process has a long file left. Files of about the same size keep their random order.
    """
    places = [place for place, item in enumerate(items) if isinstance(item, SybilItem)]
    examples = sorted((items[place] for place in places), key=lambda item: (item.path, item.example.line))  # type: ignore[attr-defined]
    for place, item in zip(places, examples, strict=True):
        items[place] = item
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    size = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in slow, -size[item.path].bit_length()))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let the garbage collector look only at what the tests make: modules and collected tests stay to the end.

    To look at them again and again costs a fifth of the collection's time, and half a second for each `gc.collect()`.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
