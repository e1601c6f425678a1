"""The first program that a reader pastes does what the page says."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text()


@pytest.mark.slow
async def test_the_first_program_prints_what_the_page_shows(tmp_path: Path) -> None:
    program, shown = re.findall(r"```(?:python|text)\n(.*?)```", PAGE, flags=re.DOTALL)[:2]
    file = tmp_path / "first.py"
    file.write_text(program, encoding="utf-8")
    ran = await asyncio.to_thread(
        subprocess.run, [sys.executable, str(file)], capture_output=True, text=True, check=True, timeout=600
    )
    assert ran.stdout == shown
