"""HostBudget: one budget for all processes of a host, with kills, reboots, forks and unusable files."""

import asyncio
import logging
import os
import random
import struct
import sys
import textwrap
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from goedgepickt_async import BudgetExhaustedError, ConfigurationError, HostBudget
from goedgepickt_async.budget import host
from goedgepickt_async.budget.encoding import HEADER, length_of
from goedgepickt_async.budget.protocol import Answered, NeverSent
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.testing import VirtualClock
from tests.support.tables import each_row
from tests.support.waiting import SAFETY, until
from tests.support.warm import Interpreter, Process

SECOND = 1_000_000_000


def budget_in(directory: Path, limit: int = 10, period: float = 60.0, **options: object) -> HostBudget:
    values: dict[str, object] = {"safety_margin": 0.0, "headroom": 0, "use_server_counter": False}
    return HostBudget(limit, period, directory=directory, name="test", **(values | options))  # type: ignore[arg-type]


def file_of(directory: Path) -> Path:
    return directory / "budget-test.state"


async def use(budget: HostBudget, number: int = 1, max_wait: float | None = None) -> None:
    for _ in range(number):
        budget.settle(await budget.take(Lane.INTERACTIVE, max_lifetime=1, max_wait=max_wait), Answered())


def python(interpreter: Interpreter, code: str, directory: Path) -> Process:
    """Run code in another process, in which `budget_of` makes a budget in the directory."""
    prelude = f"""
        import asyncio, os, sys
        from goedgepickt_async import HostBudget
        from goedgepickt_async.budget.protocol import Answered
        from goedgepickt_async.budget.slots import Lane
        def budget_of(limit=10, period=60.0, **options):
            options = dict(safety_margin=0.0, headroom=0, use_server_counter=False) | options
            return HostBudget(limit, period, directory={str(directory)!r}, name="test", **options)
        async def use(budget, number):
            for _ in range(number):
                budget.settle(await budget.take(Lane.INTERACTIVE, max_lifetime=1), Answered())"""
    program = textwrap.dedent(prelude) + textwrap.dedent(code)
    return interpreter.start("-c", program, cwd=directory, env=os.environ, stderr=2)


async def test_a_restarted_program_counts_the_requests_of_its_last_run(tmp_path: Path) -> None:
    await use(budget_in(tmp_path), 7)
    later = budget_in(tmp_path)
    assert later.snapshot().used == 7
    await use(later, 3)
    with pytest.raises(BudgetExhaustedError):
        await use(budget_in(tmp_path), max_wait=1)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")
async def test_only_the_user_has_access_to_the_file(tmp_path: Path) -> None:
    await use(budget_in(tmp_path))
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_processes_share_one_limit(tmp_path: Path, warm: Interpreter) -> None:
    code = """
        import time
        async def main():
            budget = budget_of(20, 0.5)
            for _ in range(20):
                grant = await budget.take(Lane.NORMAL, max_lifetime=1)
                print(time.monotonic())
                budget.settle(grant, Answered())
        asyncio.run(main())"""
    running = [python(warm, code, tmp_path) for _ in range(3)]
    outputs = [process.communicate(timeout=SAFETY)[0] for process in running]
    assert all(process.returncode == 0 for process in running)
    sent = sorted(float(line) for output in outputs for line in output.split())
    assert len(sent) == 60
    assert all(later - first >= 0.499 for first, later in zip(sent, sent[20:], strict=False))


@pytest.mark.slow
async def test_the_slots_of_a_killed_process_stay_taken(tmp_path: Path, warm: Interpreter) -> None:
    code = """
        async def main():
            budget = budget_of()
            for _ in range(4):
                await budget.take(Lane.INTERACTIVE, max_lifetime=1)
            print("holding", flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())"""
    process = python(warm, code, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == b"holding\n"
    process.kill()
    process.wait(SAFETY)
    process.stdout.close()
    budget = budget_in(tmp_path)
    assert (budget.snapshot().used, budget.snapshot().in_flight) == (4, 4)
    await use(budget, 6)


async def test_slots_that_are_never_settled_become_free_after_their_time(tmp_path: Path) -> None:
    clock = VirtualClock()
    await budget_in(tmp_path, 1, late_arrival=30.0, clock=clock.monotonic_ns).take(Lane.INTERACTIVE, max_lifetime=5)
    clock.advance(94.9)
    assert budget_in(tmp_path, 1, late_arrival=30.0, clock=clock.monotonic_ns).snapshot().used == 1
    clock.advance(0.2)
    assert budget_in(tmp_path, 1, late_arrival=30.0, clock=clock.monotonic_ns).snapshot().used == 0


async def test_after_a_reboot_the_budget_starts_with_one_request_alone(tmp_path: Path) -> None:
    before, clock = VirtualClock(), VirtualClock()
    before.advance(1000)
    clock.advance(5)
    await use(budget_in(tmp_path, clock=before.monotonic_ns), 10)
    fresh = budget_in(tmp_path, clock=clock.monotonic_ns, use_server_counter=True)
    assert fresh.snapshot().used == 0
    await fresh.take(Lane.INTERACTIVE, max_lifetime=1)
    with pytest.raises(BudgetExhaustedError):
        await fresh.take(Lane.INTERACTIVE, max_lifetime=1, max_wait=0.05)


async def test_a_state_from_before_a_reboot_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await use(budget_in(tmp_path), 10)
    monkeypatch.setattr("goedgepickt_async.budget.host._clock_id", lambda: 7)
    monkeypatch.setattr("goedgepickt_async.budget.host._since_boot", lambda: 0)  # the host started at this moment
    assert budget_in(tmp_path).snapshot().used == 0


async def test_after_a_reboot_the_file_is_used_on_systems_without_a_boot_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, clock = VirtualClock(), VirtualClock()
    before.advance(1000)
    clock.advance(5)
    monkeypatch.setattr("goedgepickt_async.budget.host._clock_id", lambda: 0)
    await use(budget_in(tmp_path, clock=before.monotonic_ns), 10)
    monkeypatch.setattr("goedgepickt_async.budget.host._since_boot", lambda: 0)  # the host started at this moment
    fresh = budget_in(tmp_path, clock=clock.monotonic_ns)
    await use(fresh)
    assert (fresh.snapshot().problem, fresh.snapshot().used) == ("", 1)


async def test_a_process_with_another_clock_does_not_share_the_file_and_logs_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await use(budget_in(tmp_path, 20), 2)
    before = file_of(tmp_path).read_bytes()
    monkeypatch.setattr("goedgepickt_async.budget.host._clock_id", lambda: 7)
    elsewhere = budget_in(tmp_path, 20, fallback=0.25)
    with caplog.at_level(logging.WARNING):
        await use(elsewhere, 2)
    assert "another clock" in caplog.text
    assert "RedisBudget" in caplog.text
    assert elsewhere.snapshot().share == 5
    assert file_of(tmp_path).read_bytes() == before


async def test_a_process_whose_clock_is_behind_does_not_overwrite_the_state(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ahead, behind = VirtualClock(), VirtualClock()
    ahead.advance(3600)
    await use(budget_in(tmp_path, 20, clock=ahead.monotonic_ns), 3)
    before = file_of(tmp_path).read_bytes()
    with caplog.at_level(logging.WARNING):
        await use(budget_in(tmp_path, 20, clock=behind.monotonic_ns), 2)
    assert "another clock" in caplog.text
    assert file_of(tmp_path).read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_forked_child_uses_the_same_file(tmp_path: Path) -> None:
    budget = budget_in(tmp_path)
    asyncio.run(use(budget, 3))
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(use(budget, 3))
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert budget.snapshot().used == 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_child_that_is_forked_during_a_transaction_of_another_thread_shares_the_file(tmp_path: Path) -> None:
    inside, forked = threading.Event(), threading.Event()

    def clock() -> int:
        if threading.current_thread() is not threading.main_thread() and not inside.is_set() and armed:
            inside.set()
            forked.wait(0.2)  # the fork waits for this thread to leave
        return time.monotonic_ns()

    armed = False
    budget = budget_in(tmp_path, clock=clock)
    asyncio.run(use(budget))
    armed = True
    worker = threading.Thread(target=lambda: asyncio.run(use(budget)))
    worker.start()
    assert inside.wait(30)
    child = os.fork()
    if child == 0:
        try:
            armed = False
            asyncio.run(asyncio.wait_for(use(budget), 20))
            os._exit(0 if not budget.snapshot().problem and budget.snapshot().used == 3 else 1)
        except BaseException:
            os._exit(2)
    forked.set()
    worker.join(30)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    asyncio.run(use(budget))
    assert budget.snapshot().used == 4


def spoil_all(path: Path) -> None:
    path.write_bytes(b"this is no state" * 100)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def remove(path: Path) -> None:
    path.unlink()


def restore_an_older_one(path: Path) -> None:
    path.write_bytes(path.with_name("older").read_bytes())


not_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="Windows does not remove an open file")


@not_on_windows
async def test_a_settlement_to_a_removed_file_is_in_the_next_file_after_the_next_request(tmp_path: Path) -> None:
    one, two = budget_in(tmp_path), budget_in(tmp_path)
    grant = await one.take(Lane.INTERACTIVE, max_lifetime=5)
    remove(file_of(tmp_path))
    one.settle(grant, Answered(1))
    assert not file_of(tmp_path).exists()
    await use(one)
    assert (two.snapshot().used, two.snapshot().in_flight) == (2, 0)


@pytest.mark.parametrize("lose", [spoil_all, cut, pytest.param(remove, marks=not_on_windows), restore_an_older_one])
async def test_the_processes_that_share_a_lost_state_restore_it(tmp_path: Path, lose: Callable[[Path], None]) -> None:
    one, two = budget_in(tmp_path), budget_in(tmp_path)
    await use(one, 2)
    file_of(tmp_path).with_name("older").write_bytes(file_of(tmp_path).read_bytes())
    await use(two, 3)
    await use(one, 2)
    lose(file_of(tmp_path))
    await use(two)
    await use(one)
    assert budget_in(tmp_path).snapshot().used == 9


@pytest.mark.slow
async def test_damage_at_any_place_causes_no_error_and_loses_at_most_the_newest_transaction(tmp_path: Path) -> None:
    draw, half = random.Random(14), 1 << 20
    living = budget_in(tmp_path, 1000)
    await use(living, 3)
    for number in range(150):
        if number % 10 == 0:
            await use(living)
        used = budget_in(tmp_path, 1000).snapshot().used
        with file_of(tmp_path).open("r+b") as file:
            place = draw.choice([0, half])
            file.seek(place)
            length = length_of(file.read(HEADER)) or HEADER
            file.seek(place + draw.randrange(length))
            file.write(draw.choice([b"\0", draw.randbytes(1), draw.randbytes(64), b"\xff" * 4096]))
        newcomer = budget_in(tmp_path, 1000)
        assert newcomer.snapshot().used >= used - 1
        await use(newcomer)
    assert living.snapshot().used >= 18, "what a process has sent itself, no damage takes away"


on_posix = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there, and modes mean little")


def make_link(path: Path) -> None:
    target = path.with_name("target")
    target.write_bytes(b"")
    path.symlink_to(target)


def make_open_to_all(path: Path) -> None:
    path.touch()
    path.chmod(0o666)


def make_directory(path: Path) -> None:
    path.mkdir()


def make_newer_version(path: Path) -> None:
    bare = struct.pack("<4sHHQQII", b"GGB\0", 99, 0, 1, 1, 0, 0)
    path.write_bytes(struct.pack("<4sHHQQII", b"GGB\0", 99, 0, 1, 1, 0, zlib.crc32(bare, zlib.crc32(b""))))
    path.chmod(0o600)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(make_link, marks=on_posix),
        pytest.param(make_open_to_all, marks=on_posix),
        make_directory,
        make_newer_version,
    ],
)
async def test_an_unusable_file_is_not_changed_and_a_part_of_the_limit_is_used(
    tmp_path: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    spoil(file_of(tmp_path))
    before = [(path.name, path.lstat().st_mode, path.lstat().st_size) for path in sorted(tmp_path.iterdir())]
    budget = budget_in(tmp_path, 20, fallback=0.25)
    with caplog.at_level(logging.WARNING):
        await use(budget, 5)
        with pytest.raises(BudgetExhaustedError):
            await use(budget, max_wait=0.1)
    assert len(caplog.records) == 1
    assert "uses 5 of the 20 requests" in caplog.text
    after = [(path.name, path.lstat().st_mode, path.lstat().st_size) for path in sorted(tmp_path.iterdir())]
    assert after == before


async def test_a_file_that_another_version_wrote_before_an_upgrade_is_used(tmp_path: Path) -> None:
    make_newer_version(file_of(tmp_path))
    hour_ago = time.time() - 3600
    os.utime(file_of(tmp_path), (hour_ago, hour_ago))
    budget = budget_in(tmp_path)
    await use(budget, 3)
    assert not budget.snapshot().problem
    assert budget_in(tmp_path).snapshot().used == 3


async def test_requests_sent_while_the_file_was_unusable_count_when_it_is_usable_again(tmp_path: Path) -> None:
    clock = VirtualClock()
    file_of(tmp_path).mkdir()
    budget = budget_in(tmp_path, 20, clock=clock.monotonic_ns)
    await use(budget, 4)
    file_of(tmp_path).rmdir()
    clock.advance(6)
    await use(budget, 1)
    await until(lambda: not budget.snapshot().problem)
    assert budget_in(tmp_path, 20, clock=clock.monotonic_ns).snapshot().used == 5


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_with_a_full_disk_a_part_of_the_limit_is_used_without_an_error(tmp_path: Path, warm: Interpreter) -> None:
    code = """
        import resource, signal, sys
        sys.dont_write_bytecode = True  # the limit would cut a .pyc file too
        async def main():
            budget = budget_of(20)
            await use(budget, 2)
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
            await use(budget, 3)
            print(budget.snapshot().limit, budget._store._fallback is not None)
        asyncio.run(main())"""
    process = python(warm, code, tmp_path)
    assert process.communicate(timeout=SAFETY)[0] == b"20 True\n"


@not_on_windows
async def test_a_removed_file_is_created_again(tmp_path: Path) -> None:
    budget = budget_in(tmp_path)
    await use(budget, 2)
    for path in tmp_path.iterdir():
        path.unlink()
    await use(budget, 1)
    assert budget_in(tmp_path).snapshot().used == 3


@not_on_windows
async def test_the_last_state_of_a_file_still_counts_when_the_file_becomes_unusable(tmp_path: Path) -> None:
    budget = budget_in(tmp_path, 20, fallback=0.5)
    await use(budget_in(tmp_path, 20), 18)
    await use(budget, 1)
    file_of(tmp_path).unlink()
    file_of(tmp_path).mkdir()
    with pytest.raises(BudgetExhaustedError):  # each of the two may use half of the slots that were left
        await use(budget, 3, max_wait=0.1)


@pytest.mark.slow
async def test_a_process_that_keeps_the_file_locked_does_not_block_other_processes_for_long(
    tmp_path: Path, warm: Interpreter
) -> None:
    code = """
        budget = budget_of()
        asyncio.run(use(budget, 1))
        assert budget.store.file.lock()
        print("inside", flush=True)
        import time; time.sleep(60)"""
    process = python(warm, code, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == b"inside\n"
    budget = budget_in(tmp_path)
    stalls: list[float] = []

    async def heart() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.005)
            stalls.append(time.monotonic() - began)

    beating = asyncio.create_task(heart())
    async with asyncio.timeout(SAFETY):
        await use(budget)
    beating.cancel()
    assert len(stalls) > 2, "the loop goes on meanwhile"
    assert "stopped" in budget.snapshot().problem
    process.kill()
    process.wait(SAFETY)
    process.stdout.close()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has no numeric user id")
@pytest.mark.parametrize("variable", ["XDG_RUNTIME_DIR", "TMPDIR", "LOCALAPPDATA"])
def test_the_file_is_the_same_in_every_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path))
    budget = HostBudget(name="api.example.test:443")
    before = budget.path
    budget.snapshot()
    assert budget.path == before, "it is told before the file is there"
    assert budget.path.name == "budget-api.example.test_443.state"
    assert budget.path.parent.name == f"goedgepickt-async-{os.getuid()}"
    assert tmp_path not in budget.path.parents
    budget.path.unlink(missing_ok=True)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has one directory")
async def test_without_a_writable_tmp_all_processes_take_the_same_next_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for value, follows in (("relative", False), (str(tmp_path), True)):
        monkeypatch.setenv("TMPDIR", value)
        places = list(host._places())
        assert places[:2] == [Path(f"/{name}/goedgepickt-async-{os.getuid()}") for name in ("tmp", "var/tmp")]
        assert (places[-1] == tmp_path / f"goedgepickt-async-{os.getuid()}") is follows
    (tmp_path / "no-directory").touch()
    usable = [tmp_path / "no-directory" / "a", tmp_path / "b", tmp_path / "c"]
    monkeypatch.setattr(host, "_places", lambda: iter(usable))
    one, two = (HostBudget(10, use_server_counter=False, headroom=0) for _ in range(2))
    with caplog.at_level(logging.WARNING):
        await use(one, 5)
        await use(two, 5)
        with pytest.raises(BudgetExhaustedError):
            await use(one, max_wait=0)
    assert one.path == two.path == tmp_path / "b" / one.path.name
    assert not one.snapshot().problem
    assert "Not a directory" in caplog.text
    assert str(one.path) in caplog.text


@each_row("directory", ["", ".", "budget", "../budget", Path("budget")])
def test_a_directory_that_depends_on_the_working_directory_is_refused(directory: Path | str) -> None:
    with pytest.raises(ConfigurationError, match="directory must be an absolute path"):
        HostBudget(directory=directory)


async def test_a_waiting_call_gets_a_slot_that_another_process_gave_back(tmp_path: Path) -> None:
    here, elsewhere = budget_in(tmp_path, 1), budget_in(tmp_path, 1)
    grant = await elsewhere.take(Lane.INTERACTIVE, max_lifetime=1)
    waiting = asyncio.ensure_future(here.take(Lane.INTERACTIVE, max_lifetime=1))
    await asyncio.sleep(0.01)
    elsewhere.settle(grant, NeverSent())
    async with asyncio.timeout(SAFETY):
        await waiting


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")
async def test_an_unusable_file_is_tried_again_after_five_seconds_and_not_earlier(tmp_path: Path) -> None:
    clock = VirtualClock()
    budget = budget_in(tmp_path, clock=clock.monotonic_ns)
    file_of(tmp_path).touch(mode=0o644)
    file_of(tmp_path).chmod(0o644)
    await use(budget)
    file_of(tmp_path).chmod(0o600)
    clock.advance(4.999_999_999)
    await use(budget)
    assert file_of(tmp_path).stat().st_size == 0
    clock.advance(1e-9)
    await use(budget)
    assert budget_in(tmp_path, clock=clock.monotonic_ns).snapshot().used == 3


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")
async def test_settling_a_slot_taken_without_the_file_frees_no_slot_of_another_process(tmp_path: Path) -> None:
    clock = VirtualClock()
    elsewhere = budget_in(tmp_path, clock=clock.monotonic_ns)
    await elsewhere.take(Lane.INTERACTIVE, max_lifetime=30)
    file_of(tmp_path).chmod(0o644)
    here = budget_in(tmp_path, clock=clock.monotonic_ns)
    grant = await here.take(Lane.INTERACTIVE, max_lifetime=30)
    file_of(tmp_path).chmod(0o600)
    clock.advance(5)
    here.settle(grant, NeverSent())
    assert elsewhere.snapshot().in_flight == 1


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has no owner ids of files")
async def test_a_file_of_another_user_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await use(budget_in(tmp_path), 2)
    before = file_of(tmp_path).read_bytes()
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with caplog.at_level(logging.WARNING, "goedgepickt_async"):
        await use(budget_in(tmp_path))
    assert "is not private" in caplog.text
    assert file_of(tmp_path).read_bytes() == before
