"""The directories of the state, and files that only their owner can read."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from goedgepickt_async import paths


def test_state_is_below_an_absolute_xdg_state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert paths.state_dir() == tmp_path / "goedgepickt"


@pytest.mark.parametrize("value", ["", "relative", "./here", "~/state"])
def test_a_relative_xdg_state_home_is_ignored(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", value)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr("sys.platform", "linux")
    assert paths.state_dir() == tmp_path / ".local" / "state" / "goedgepickt"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no user ids")
def test_the_runtime_directory_depends_on_the_user_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = paths.runtime_dir()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert paths.runtime_dir() == found
    assert found.name in {f"goedgepickt-{os.getuid()}", "run"}


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no modes")
def test_directories_and_files_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "c"
    paths.make_private_directory(folder)
    paths.make_private_file(folder / "file")
    assert [place.stat().st_mode & 0o777 for place in (folder, folder.parent, folder.parent.parent)] == [0o700] * 3
    assert (folder / "file").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no modes")
def test_an_own_file_that_others_can_read_becomes_private(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    file.chmod(0o644)
    paths.make_private_file(file)
    assert (file.stat().st_mode & 0o777, file.read_text()) == (0o600, "kept")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no modes, and links need a privilege")
def test_links_are_refused_and_what_they_point_to_is_left_alone(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.write_text("precious")
    link = tmp_path / "link"
    link.symlink_to(notes)
    with pytest.raises(paths.UnsafePathError, match="not a link"):
        paths.make_private_file(link)
    with pytest.raises(OSError, match=r"."):
        paths.FileLock(link).take()
    hard = tmp_path / "hard"
    hard.hardlink_to(notes)
    with pytest.raises(paths.UnsafePathError, match="hard link"):
        paths.make_private_file(hard)
    folder = tmp_path / "folder"
    folder.symlink_to(tmp_path)
    with pytest.raises(paths.UnsafePathError, match="not a link"):
        paths.make_private_directory(folder)
    (tmp_path / "out").symlink_to(notes)
    paths.write_private(tmp_path / "out", "text")
    assert (notes.read_text(), (tmp_path / "out").read_text()) == ("precious", "text")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no modes")
def test_a_file_in_a_directory_that_others_can_write_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(paths.UnsafePathError, match="chmod go-w"):
        paths.check_directories(shared / "file")
    shared.chmod(0o1777)
    paths.check_directories(shared / "file")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    paths.write_private(file, "old")
    file.unlink()
    file.mkdir()
    (file / "inside").write_text("")
    with pytest.raises(OSError, match=r"."):
        paths.write_private(file, "new")
    assert file.is_dir()
    assert list(tmp_path.iterdir()) == [file]


def test_a_private_write_touches_no_other_file_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "plan.new").write_text("the user's")
    long = tmp_path / ("n" * 250)
    for file in (tmp_path / "plan", long):
        paths.write_private(file, "old")
        paths.write_private(file, b"new")
        assert (file.read_text(), file.stat().st_mode & 0o600) == ("new", 0o600)
        assert os.name == "nt" or not file.stat().st_mode & 0o077
    assert (tmp_path / "plan.new").read_text() == "the user's"
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_private_write_to_a_pipe_writes_to_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        paths.write_private(pipe, "text")
        assert os.read(reader, 100) == b"text"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_a_lock_has_one_holder_at_a_time(tmp_path: Path) -> None:
    first, second = paths.FileLock(tmp_path / "lock"), paths.FileLock(tmp_path / "lock")
    assert first.take()
    assert not second.take()
    first.release()
    assert second.take()
    assert not first.take()
    second.release()
    assert first.take()
    first.release()


HOLDER = """
import sys
from pathlib import Path
from goedgepickt_async import paths
lock = paths.FileLock(Path(sys.argv[1]))
print(lock.take(), flush=True)
sys.stdin.read()"""


def test_a_lock_excludes_other_processes_and_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        lock = paths.FileLock(path)
        assert not lock.take()
        holder.kill()
        holder.wait()
        assert lock.take()
        lock.release()


def test_a_directory_has_one_process_at_a_time(tmp_path: Path) -> None:
    entered = threading.Event()

    def wait_and_enter() -> None:
        with paths.locked_directory(tmp_path):
            entered.set()

    thread = threading.Thread(target=wait_and_enter)
    with paths.locked_directory(tmp_path):
        thread.start()
        assert not entered.wait(0.2)
    assert entered.wait(60)
    thread.join()
    with paths.locked_directory(tmp_path), paths.locked_directory(tmp_path, timeout=0.0):
        pass  # after the timeout it continues without the lock


# Windows' branch, over a module with Windows' rules: a byte range, at the position, against every other handle.
ON_WINDOWS = """
import asyncio, contextlib, errno, fcntl, importlib.util, os, stat, struct, sys, tempfile, time, types
from pathlib import Path

def locking(file, mode, number):
    kind = fcntl.F_UNLCK if mode == 0 else fcntl.F_WRLCK
    whence = struct.pack("hhqqi4x", kind, os.SEEK_SET, os.lseek(file, 0, os.SEEK_CUR), number, 0)
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, whence)
    except OSError:
        raise PermissionError(errno.EACCES, "Permission denied") from None

sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2, LK_UNLCK=0)
sys.modules["fcntl"] = None
sys.platform = "win32"
spec = importlib.util.spec_from_file_location("windows_paths", sys.argv[1])
paths = importlib.util.module_from_spec(spec)
spec.loader.exec_module(paths)
here = Path(sys.argv[2])

first, second = paths.FileLock(here / "lock"), paths.FileLock(here / "lock")
assert first.take() and not second.take()
first.release()
assert second.take() and not first.take()
second.release()

file = os.open(here / "data", os.O_RDWR | os.O_CREAT)
os.write(file, b"rows")
assert paths.lock_file(file) and os.lseek(file, 0, os.SEEK_CUR) == 4
assert (here / "data").read_bytes() == b"rows"
with open(here / "data", "rb+") as other:
    assert not paths.lock_file(other.fileno())
    paths.unlock_file(file)
    assert paths.lock_file(other.fileno())

with paths.locked_directory(here):
    with (here / ".goedgepickt.lock").open("rb+") as other:
        assert not paths.lock_file(other.fileno())
assert first.take()

for name in ("pread", "pwrite", "getuid", "register_at_fork", "O_NOFOLLOW", "O_CLOEXEC"):
    delattr(os, name)
from goedgepickt_async.budget.host import HostBudget
from goedgepickt_async.budget.protocol import Answered
from goedgepickt_async.budget.slots import Lane

async def use(budget, number):
    for _ in range(number):
        budget.settle(await budget.take(Lane.INTERACTIVE, max_lifetime=1), Answered())

one, two = (HostBudget(10, directory=here, use_server_counter=False) for _ in range(2))
asyncio.run(use(one, 2))
asyncio.run(use(two, 3))
assert one.snapshot().used == two.snapshot().used == 5
assert one.store.file.lock() and not two.store.file.lock()
one.store.file.unlock()
assert two.store.file.lock()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="locks of open file descriptions are Linux's")
def test_locks_and_the_file_of_a_budget_exclude_other_holders_on_windows_too(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", ON_WINDOWS, paths.__file__, str(tmp_path)], check=True)
