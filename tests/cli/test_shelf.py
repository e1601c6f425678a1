"""The ways in: by its name, as a module, its version, and completion in a shell."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from goedgepickt_async import __version__

from .conftest import Finished, Goedgepickt


@pytest.mark.slow
def test_the_module_is_the_command_and_tells_its_version(goedgepickt: Goedgepickt) -> None:
    done = goedgepickt.process("--version")
    assert (done.code, done.out.decode().strip(), done.err) == (0, __version__, "")


@pytest.mark.slow
def test_the_installed_command_is_the_module(goedgepickt: Goedgepickt) -> None:
    script = Path(sys.executable).parent / "goedgepickt"
    ran = subprocess.run([script, "--help"], capture_output=True, check=True)
    assert ran.stdout.split()[:2] == [b"Usage:", b"goedgepickt"]
    assert b"export" in goedgepickt("--help").out


def completions_in_bash(script: bytes, folder: Path, line: str) -> list[str]:
    """What bash offers after a line, by its own call of the function that the script names."""
    (folder / "completion.bash").write_bytes(script)
    asks = (
        'source ./completion.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        "_goedgepickt; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    ran = subprocess.run(
        ["bash", "--norc", "-c", asks, "bash", *line.split(" ")], cwd=folder, capture_output=True, text=True, check=True
    )
    return ran.stdout.split()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_options_and_values(goedgepickt: Goedgepickt, tmp_path: Path) -> None:
    done = goedgepickt("completion", "bash")
    assert (done.code, done.err) == (0, "")
    assert completions_in_bash(done.out, tmp_path, "goedgepickt ex") == ["export"]
    assert completions_in_bash(done.out, tmp_path, "goedgepickt export or") == ["orders"]
    assert "--since-last" in completions_in_bash(done.out, tmp_path, "goedgepickt export orders --s")
    assert "parquet" in completions_in_bash(done.out, tmp_path, "goedgepickt export orders --format p")


@pytest.mark.slow
@pytest.mark.parametrize(("shell", "mark"), [("zsh", b"#compdef goedgepickt"), ("fish", b"complete -c goedgepickt")])
def test_the_other_shells_have_a_script_too(goedgepickt: Goedgepickt, shell: str, mark: bytes) -> None:
    done: Finished = goedgepickt("completion", shell)
    assert done.code == 0
    assert mark in done.out
