"""The file of a `SqliteInbox`: whose it is, what happens when it is damaged or full, and how old ones are migrated."""

import contextlib
import os
import random
import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from goedgepickt_async.errors import InboxError
from goedgepickt_async.webhooks import InboxEntry, SqliteInbox, StockUpdated, WebhookReceiver
from goedgepickt_async.webhooks.inbox.sqlite import default_inbox_path
from goedgepickt_async.webhooks.inbox.tables import SqliteTable, migrate, sizes
from tests.support.tables import each_row
from tests.webhooks.support import SECRET, Clock, deliver, stock

HERE = Path(__file__).parent
HANDLER = "StockUpdated:stock"
needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="there are no permissions of this kind")


def entry(number: int, body: bytes = b"{}", key: str = "k") -> InboxEntry:
    return InboxEntry(handler=HANDLER, ordering_key=f"product:{number}", dedup_key=key, body=body)


async def contents(inbox: SqliteInbox) -> set[str]:
    claims = await inbox.claim([HANDLER], limit=10_000, lease=0.001, wait=0.0)
    return {claim.entry.ordering_key for claim in claims}


# -- whose it is ------------------------------------------------------------------------------------------------


@posix
async def test_new_directories_and_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    inbox = SqliteInbox(tmp_path / "a" / "b" / "inbox")
    await inbox.put([entry(1)])
    modes = {path.relative_to(tmp_path).as_posix(): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    await inbox.close()
    assert modes == {
        "a": 0o700, "a/b": 0o700, "a/b/inbox": 0o600, "a/b/inbox-wal": 0o600, "a/b/inbox-shm": 0o600
    }  # fmt: skip


@posix
@pytest.mark.parametrize("mode", [0o644, 0o666, 0o640, 0o604])
async def test_an_own_file_that_others_can_read_is_made_private(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "inbox"
    path.touch()
    path.chmod(mode)
    inbox = SqliteInbox(path)
    await inbox.put([entry(1)])
    await inbox.close()
    assert path.stat().st_mode & 0o777 == 0o600


@needs_root
@pytest.mark.parametrize("name", ["inbox", "inbox-wal", "inbox-shm", "inbox-journal"])
async def test_a_file_of_another_user_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    os.chown(tmp_path / name, 12_345, 12_345)
    with pytest.raises(InboxError, match="another user"):
        await SqliteInbox(tmp_path / "inbox").put([entry(1)])


@needs_root
async def test_an_entry_that_another_user_put_there_is_not_handled(tmp_path: Path) -> None:
    forged = SqliteInbox(tmp_path / "inbox")
    await forged.put([entry(1, stock())])
    await forged.close()
    os.chown(tmp_path / "inbox", 12_345, 12_345)
    receiver = WebhookReceiver(SECRET, inbox=SqliteInbox(tmp_path / "inbox"))
    seen: list[StockUpdated] = []
    receiver.on(StockUpdated, name=HANDLER)(seen.append)
    with pytest.raises(InboxError, match="another user"):
        async with receiver:
            pytest.fail("it is used")  # pragma: no cover
    assert seen == []


@posix
@pytest.mark.parametrize("kind", ["symlink", "hard link", "link to nothing", "fifo"])
async def test_a_link_or_device_is_refused(tmp_path: Path, kind: str) -> None:
    precious = tmp_path / "precious"
    path = tmp_path / "folder" / "inbox"
    path.parent.mkdir()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "hard link":
        precious.write_text("")
        path.hardlink_to(precious)
    else:
        if kind == "symlink":
            precious.write_text("")
        path.symlink_to(precious)
    with pytest.raises(InboxError, match="link"):
        await SqliteInbox(path).put([entry(1)])
    assert not precious.exists() or precious.read_text() == ""


@posix
@pytest.mark.parametrize(
    ("mode", "fine"), [(0o777, False), (0o757, False), (0o1777, True), (0o755, True), (0o700, True)]
)
async def test_a_directory_where_others_can_replace_the_file_is_refused(
    tmp_path: Path, mode: int, *, fine: bool
) -> None:
    for folder in (tmp_path / "shared", tmp_path / "shared" / "below"):
        folder.mkdir()
        (tmp_path / "shared").chmod(mode)
        inbox = SqliteInbox(folder / "inbox")
        if fine:
            assert await inbox.put([entry(1)]) == 1
        else:
            with pytest.raises(InboxError, match="can write"):
                await inbox.put([entry(1)])
        await inbox.close()


@needs_root
async def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(mode=0o755)
    os.chown(tmp_path / "theirs", 12_345, 12_345)
    with pytest.raises(InboxError, match="belongs to another user"):
        await SqliteInbox(tmp_path / "theirs" / "inbox").put([entry(1)])


def test_the_default_file_is_the_same_from_every_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert default_inbox_path(8080).is_absolute()


# -- damage -----------------------------------------------------------------------------------------------------


def marks(page: bytearray) -> set[bytes]:
    return {text for text in (b"padding", b"product:30") if text in page}


async def filled(path: Path, number: int = 60) -> None:
    inbox = SqliteInbox(path, survives_power_cut=False)
    await inbox.put([entry(n, b'{"padding":"' + b"x" * 200 + b'"}') for n in range(number)])
    for claim in await inbox.claim([HANDLER], limit=3, lease=0.001, wait=0.0):
        await inbox.give_up(claim, reason="ValueError")
    await inbox.close()


@pytest.fixture
async def undamaged(tmp_path: Path) -> bytes:
    """The file of an inbox with 60 entries; three are given up."""
    await filled(tmp_path / "undamaged")
    return (tmp_path / "undamaged").read_bytes()


@each_row("seed", range(60))
async def test_a_file_that_was_damaged_anywhere_is_usable_again(tmp_path: Path, undamaged: bytes, seed: int) -> None:
    path, draw = tmp_path / f"inbox-{seed}", random.Random(seed)
    content = bytearray(undamaged)
    kind = seed % 4
    start = draw.randrange(len(content))
    if kind == 0:  # a few bytes
        for _ in range(20):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    elif kind == 1:  # a block
        content[start : start + 4096] = draw.randbytes(min(4096, len(content) - start))
    elif kind == 2:  # the header
        content[draw.randrange(100)] ^= 0xFF
    else:  # the end is missing
        del content[start:]
    path.write_bytes(content)
    inbox = SqliteInbox(path, survives_power_cut=False)
    assert await inbox.put([entry(1000)]) == 1
    assert "product:1000" in await contents(inbox)
    await inbox.failed()
    await inbox.status()
    await inbox.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


async def test_what_can_be_read_of_a_damaged_file_is_saved_and_the_rest_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "inbox"
    await filled(path)
    content = bytearray(path.read_bytes())
    page = next(
        at for at in range(4096, len(content), 4096) if {b"padding", b"product:30"} == marks(content[at : at + 4096])
    )
    content[page : page + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    inbox = SqliteInbox(path)
    saved = await contents(inbox)
    failed = await inbox.failed()
    await inbox.close()
    assert 20 <= len(saved) < 57
    assert len(failed) == 3
    aside = [
        file for file in tmp_path.iterdir() if ".damaged-" in file.name and not file.name.endswith(("-wal", "-shm"))
    ]
    assert len(aside) == 1
    assert "renamed to" in caplog.text
    assert f"{len(saved) + 3} of its entries were saved" in caplog.text


async def test_a_file_that_is_damaged_while_two_receivers_use_it_loses_nothing_that_comes_later(tmp_path: Path) -> None:
    path = tmp_path / "inbox"
    one, other = SqliteInbox(path), SqliteInbox(path)
    await one.put([entry(1)])
    await other.put([entry(2)])
    with path.open("r+b") as file:
        file.write(b"\xff" * 4096)
    for number in range(3, 9):
        await (one, other)[number % 2].put([entry(number)])
    assert {f"product:{number}" for number in range(3, 9)} <= await contents(one)
    await one.close()
    await other.close()


async def test_a_file_that_is_no_database_is_set_aside_and_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "inbox").write_bytes(b"notes of mine" * 100)
    inbox = SqliteInbox(tmp_path / "inbox")
    await inbox.put([entry(1)])
    await inbox.close()
    (aside,) = tmp_path.glob("*.damaged-*")
    assert aside.read_bytes() == b"notes of mine" * 100


async def test_a_file_whose_header_names_an_impossible_format_is_usable_again(tmp_path: Path) -> None:
    await filled(tmp_path / "inbox")
    content = bytearray((tmp_path / "inbox").read_bytes())
    content[44:48] = b"\0\0\0\x09"
    (tmp_path / "inbox").write_bytes(content)
    inbox = SqliteInbox(tmp_path / "inbox")
    assert await inbox.put([entry(1)]) == 1
    await inbox.close()


async def test_all_entries_of_a_file_with_a_damaged_header_are_saved(tmp_path: Path) -> None:
    await filled(tmp_path / "inbox")
    content = bytearray((tmp_path / "inbox").read_bytes())
    content[:100] = random.Random(1).randbytes(100)
    (tmp_path / "inbox").write_bytes(content)
    inbox = SqliteInbox(tmp_path / "inbox")
    assert len(await contents(inbox)) == 57
    assert len(await inbox.failed()) == 3
    await inbox.close()


@each_row("text", [b"CREATE TABLE entries", b"dedup_key TEXT", b"entries_by_due", b"body BLOB", b"stored"])
async def test_all_entries_of_a_file_with_a_damaged_list_of_tables_are_saved(
    tmp_path: Path, undamaged: bytes, text: bytes
) -> None:
    path = tmp_path / text.decode()
    content = bytearray(undamaged)
    content[content.rindex(text, 0, 4096) + 3] = 0xFF
    path.write_bytes(content)
    inbox = SqliteInbox(path, survives_power_cut=False)
    assert len(await contents(inbox)) == 57
    assert len(await inbox.failed()) == 3
    await inbox.close()


async def test_an_entry_whose_key_is_damaged_keeps_its_body(tmp_path: Path) -> None:
    body = b'{"a":1}'
    inbox = SqliteInbox(tmp_path / "inbox", survives_power_cut=False)
    await inbox.put([entry(1, body, key="the key")])
    await inbox.close()
    content = (tmp_path / "inbox").read_bytes()
    (tmp_path / "inbox").write_bytes(content.replace(b"the key", b"the\xffkey"))
    (claim,) = await inbox.claim([HANDLER], limit=10, lease=60.0, wait=0.0)
    assert claim.entry.body == body
    await inbox.close()


@pytest.mark.parametrize("version", [0, 2])
async def test_a_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path, version: int) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "inbox", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE clock (theirs)")
        connection.execute("CREATE TABLE users (name)")
        connection.execute(f"PRAGMA user_version = {version}")
    before = (tmp_path / "inbox").read_bytes()
    inbox = SqliteInbox(tmp_path / "inbox")
    with pytest.raises(InboxError, match="another program"):
        await inbox.put([entry(1)])
    await inbox.close()
    assert (tmp_path / "inbox").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["inbox"]


async def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "inbox") as connection:
        connection.execute("PRAGMA user_version = 3")
    connection.close()
    with pytest.raises(InboxError, match="version 3"):
        await SqliteInbox(tmp_path / "inbox").put([entry(1)])
    assert list(tmp_path.glob("*.damaged-*")) == []


# -- versions ---------------------------------------------------------------------------------------------------


async def test_an_inbox_of_version_1_is_migrated_with_all_its_entries(tmp_path: Path) -> None:
    path, clock = tmp_path / "inbox", Clock(1_764_000_001.0)
    connection = sqlite3.connect(path)
    connection.executescript((HERE / "inbox_v1.sql").read_text())
    connection.close()
    inbox = SqliteInbox(path, clock=clock)
    status = await inbox.status()
    assert (status.waiting, status.failed, status.oldest_age) == (5, 1, 1.0)
    (failed,) = await inbox.failed()
    assert (failed.entry.ordering_key, failed.reason, failed.attempts) == ("product:given-up", "ValueError", 0)
    assert await claimed(inbox) == [("product:line", "1", 1)], "the delayed, the repeated and the leased one wait"
    clock.now += 2.0
    assert await claimed(inbox) == [("product:line", "2", 1), ("product:handled", "1", 1)]
    clock.now += 4.0
    assert await claimed(inbox) == [("product:delayed", "1", 1)]
    clock.now += 60.0
    assert await claimed(inbox) == [("product:in-hand", "1", 2)]
    assert await inbox.requeue_failed() == 1
    assert await claimed(inbox) == [("product:given-up", "1", 1)]
    await inbox.close()


async def claimed(inbox: SqliteInbox) -> list[tuple[str, str, int]]:
    claims = await inbox.claim([HANDLER], limit=10, lease=3600, wait=0)
    for claim in claims:
        await inbox.finish(claim)
    return [(claim.entry.ordering_key, claim.entry.dedup_key, claim.attempt) for claim in claims]


# -- no room ----------------------------------------------------------------------------------------------------


async def test_a_full_inbox_refuses_says_so_and_accepts_again_when_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = SqliteInbox(tmp_path / "inbox", max_bytes=200_000, survives_power_cut=False)
    receiver = WebhookReceiver(SECRET, inbox=inbox)
    receiver.on(StockUpdated, name=HANDLER)(print)
    statuses = [(await deliver(receiver, stock(f"p-{n}", padding="x" * 2000))).status for n in range(200)]
    accepted = statuses.count(200)
    assert 10 < accepted < 150
    assert statuses == [200] * accepted + [503] * (200 - accepted), "first there is room, then there is none"
    assert "is full" in (receiver.snapshot().inbox_problem or "")
    assert (await inbox.status()).is_full
    assert "is full" in caplog.text
    assert tmp_path.joinpath("inbox").stat().st_size < 400_000
    assert len(await claimed_all(inbox)) == accepted
    assert (await deliver(receiver, stock())).status == 200
    assert receiver.snapshot().inbox_problem is None
    await inbox.close()


async def claimed_all(inbox: SqliteInbox) -> list[tuple[str, str, int]]:
    found: list[tuple[str, str, int]] = []
    while more := await claimed(inbox):
        found += more
    return found


async def test_a_full_disk_refuses_and_leaves_room_to_handle_what_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 10**9
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=10**10, used=0, free=free))
    inbox = SqliteInbox(tmp_path / "inbox")
    assert await inbox.put([entry(1)]) == 1
    free = 1000
    with pytest.raises(InboxError, match=r"disk of the inbox .* is full"):
        await inbox.put([entry(2)])
    assert (tmp_path / "inbox-wal").stat().st_size == 0, "the log was cut"
    assert await claimed(inbox) == [("product:1", "k", 1)]
    free = 10**9
    assert await inbox.put([entry(2)]) == 1
    await inbox.close()


def connected(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / "inbox", isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


@pytest.mark.slow
def test_an_inbox_of_five_months_of_deliveries_stays_bounded_and_loses_nothing(tmp_path: Path) -> None:
    clock, connections = Clock(), [connected(tmp_path)]
    migrate(connections[0])
    came: Counter[str] = Counter()
    handled: Counter[str] = Counter()
    pages: list[int] = []
    for day in range(150):
        if day % 30 == 29:  # a restart of a process that had claimed entries
            SqliteTable(connections[-1], clock.now).claim([HANDLER], 3, 60.0)
            connections.append(connected(tmp_path))
            clock.now += 60.0
        connection = connections[-1]
        connection.execute("BEGIN")
        for hour in (0, 12):
            clock.now += 43_200.0 if (day, hour) != (100, 12) else -3600.0  # the host's clock is set back
            table = SqliteTable(connection, clock.now)
            texts = [f"{day}-{hour}-{product}" for product in range(10)]
            came.update(texts)
            entries = [entry(product, text.encode(), key=text) for product, text in enumerate(texts)]
            table.put(entries)
            for number, claim in enumerate(table.claim([HANDLER], 100, 60.0)):
                if number == 7:
                    table.give_up(claim, "ValueError", 30 * 86_400.0)
                else:
                    table.finish(claim, 2.0)
                handled[claim.entry.dedup_key] += 1
        pages.append(sizes(connection)[0])
        connection.execute("COMMIT")
    clock.now += 3600.0
    table = SqliteTable(connections[-1], clock.now)
    assert table.claim([HANDLER], 100, 60.0) == []
    assert handled == came
    assert len(table.failed(-1)) == 30 * 2
    assert max(pages) <= 1.5 * max(pages[:60]), "it does not grow after the first months"
    for connection in connections:
        connection.close()
