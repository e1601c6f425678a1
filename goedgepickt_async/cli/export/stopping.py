"""What is left behind, said and returned when an export stops before its end."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from goedgepickt_async.cli.export.durations import count
from goedgepickt_async.cli.export.job import ExportJob
from goedgepickt_async.cli.export.state import save
from goedgepickt_async.cli.messages import say, sentences
from goedgepickt_async.cli.outcome import Exit

__all__ = ["command_again", "stop_part_way"]


def stop_part_way(job: ExportJob, reason: str, code: Exit, *, keeps_state: bool) -> Exit:
    """Write down how far it came, and tell how to go on.

    Args:
        job: The export; whatever it wrote is whole.
        reason: Why it stopped.
        code: The exit code, if nothing is to be resumed.
        keeps_state: Whether the job was told to keep a resume file.

    Returns:
        The exit code.
    """
    if code is Exit.USAGE:
        say(reason)
        return code
    if not job.begun or not job.keeps_rows:
        say(sentences(reason, "Nothing was written" if code is not Exit.KEY_REFUSED else ""))
        return Exit.RESUMABLE if keeps_state and job.keeps_rows and code is not Exit.KEY_REFUSED else code
    done = f"{count(job.state.rows, job.progress.noun)} are written and whole"
    if job.since is not None:
        say(sentences(reason, f"{done}. The same command goes on from there"))
        return code if code is Exit.KEY_REFUSED else Exit.RESUMABLE
    if job.state_path is None:
        say(sentences(reason, f"{done}, but a stream can be gone on with only if --resume FILE was given"))
        return code
    try:
        save(job.state, job.state_path)
    except OSError as error:
        say(sentences(reason, f"{done}, but the resume file {job.state_path} cannot be written: {error.strerror}"))
        return code
    say(sentences(reason, f"{done}. Go on with:\n{command_again(sys.argv, job.state_path)}"))
    return code if code is Exit.KEY_REFUSED else Exit.RESUMABLE


def command_again(argv: list[str], state: Path) -> str:
    """The command line that goes on from a resume file, ready to paste."""
    program, *arguments = argv
    name = Path(program).name
    words = [sys.executable, "-m", "goedgepickt_async"] if name == "__main__.py" else [name]
    words += arguments
    if not any(word == "--resume" or word.startswith("--resume=") for word in arguments):
        words += ["--resume", _short(state)]
    return shlex.join(words)


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
