"""The first program that a reader pastes does what the page says."""

import os
import re
from pathlib import Path

import pytest

from tests.support.warm import Interpreter

PAGE = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text()


@pytest.mark.slow
def test_the_first_program_prints_what_the_page_shows(tmp_path: Path, warm: Interpreter) -> None:
    program, shown = re.findall(r"```(?:python|text)\n(.*?)```", PAGE, flags=re.DOTALL)[:2]
    process = warm.start("-c", program, cwd=tmp_path, env=os.environ, stderr=2)
    printed, _ = process.communicate()
    assert (process.returncode, printed.decode()) == (0, shown)
