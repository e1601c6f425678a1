"""The tests that docs/howto/testing.md shows are run, as its readers would run them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import goedgepickt_async
from goedgepickt_async import testing

pytestmark = pytest.mark.slow

pytest_plugins = ["pytester"]

ROOT = Path(goedgepickt_async.__file__).parents[1]
PAGE = ROOT / "docs" / "howto" / "testing.md"


def test_the_tests_that_the_page_shows_pass_as_they_stand(pytester: pytest.Pytester) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    shown = sum(len(re.findall(r"^ *(?:async )?def test_", block, re.MULTILINE)) for block in blocks)
    pytester.makeini(
        """
        [pytest]
        asyncio_mode = auto
        asyncio_default_fixture_loop_scope = function
        addopts = --strict-markers --strict-config
        filterwarnings = error
        """
    )
    pytester.makepyfile("\n\n".join(blocks))
    ran = pytester.runpytest_subprocess("-q", timeout=600)
    twice = 1  # one is parametrized with two values
    ran.assert_outcomes(passed=shown + twice)
    assert shown > 15


def test_the_page_names_all_that_the_kit_offers() -> None:
    text = PAGE.read_text(encoding="utf-8")
    plugin = (ROOT / "goedgepickt_async" / "pytest_plugin.py").read_text(encoding="utf-8")
    fixtures = re.findall(r"^@pytest.fixture\ndef (\w+)", plugin, re.MULTILINE)
    assert len(fixtures) == 5
    assert [name for name in fixtures if f"`{name}`" not in text] == []
    assert [name for name in testing.__all__ if name not in text] == []
