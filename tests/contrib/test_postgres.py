"""Tests with a real PostgreSQL: a dlt load that fails half-way, and the mirror of the how-to page after a kill."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from goedgepickt_async import NotFoundError, Order, OrderStatus
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.testing import serving
from tests.recipes.pages import block, module
from tests.support.waiting import until_in_thread
from tests.support.warm import Interpreter

dlt: Any = pytest.importorskip("dlt", reason="the dependency group contrib is not installed")
psycopg: Any = pytest.importorskip("psycopg", reason="the dependency group contrib is not installed")

from goedgepickt_async.contrib.dlt import load  # noqa: E402

BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARIES is None, reason="PostgreSQL is not installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # dlt's own
]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a server on this machine for these tests only. PostgreSQL refuses to run as root."""
    assert BINARIES is not None
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    data = str(folder / "data")
    subprocess.run([BINARIES / "initdb", "-D", data, "-U", "test", "-A", "trust", "-N"], check=True, **quiet, **user)
    options = ["-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F"]
    server = subprocess.Popen([BINARIES / "postgres", *options], **quiet, **user)
    try:
        ready: list[str | Path] = [BINARIES / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port), "-t", "1"]
        while subprocess.run(ready, check=False).returncode != 0:
            assert server.poll() is None, "PostgreSQL ended"
        yield f"postgresql://test:any@127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(server: str, request: pytest.FixtureRequest) -> str:
    """The URL of a database for this test only."""
    name = f"of_{request.node.name}"[:60]
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"create database {name}")
    return f"{server}/{name}"


def test_a_failed_load_into_postgres_continues_and_is_complete(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    pipeline = dlt.pipeline(
        "mirror",
        destination=dlt.destinations.postgres(database),
        dataset_name="goedgepickt",
        pipelines_dir=str(tmp_path / "pipelines"),
    )
    with serving(Sandbox(orders=210, products=1, limit=None)) as sandbox:
        monkeypatch.setenv("GOEDGEPICKT_API_KEY", sandbox.api_key)
        monkeypatch.setenv("GOEDGEPICKT_BASE_URL", sandbox.url)
        sandbox.fail("GET", "/orders", faults.Status(404), after=2)
        with pytest.raises(NotFoundError):
            load(pipeline, resources=["orders"])
        sandbox.clear_faults()
        sandbox.requests.clear()
        load(pipeline, resources=["orders"])
        assert int(sandbox.requests[0].query["page"]) > 1
        assert len(sandbox.requests) <= 4
    with psycopg.connect(database) as connection:
        query = "select count(*), count(distinct uuid) from goedgepickt.orders"
        assert connection.execute(query).fetchone() == (210, 210)


def run_mirror(warm: Interpreter, folder: Path, database: str, *, kill_at: int | None = None) -> int:
    """Run the program of the page, kill it after it has stored `kill_at` orders, and return its exit code."""
    program = block("incremental-mirror.md", "postgres") + "\n\nimport asyncio, sys\n\nasyncio.run(main(sys.argv[1]))\n"
    process = warm.start("-c", program, database, cwd=folder, env=os.environ, stdout=2, stderr=2)
    try:
        if kill_at is not None:
            with psycopg.connect(database, autocommit=True) as watching:
                until_in_thread(lambda: process.poll() is not None or rows_of(watching) >= kill_at)
            process.kill()
        return process.wait()
    finally:
        process.kill()


def count(database: str, where: str = "true") -> int:
    with psycopg.connect(database) as connection:
        return rows_of(connection, where)


def rows_of(connection: Any, where: str = "true") -> int:
    try:
        return int(connection.execute(f"select count(*) from orders where {where}").fetchone()[0])
    except psycopg.errors.UndefinedTable:
        return 0


def test_the_mirror_continues_after_a_kill_and_reads_new_orders_and_changes(
    warm: Interpreter, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(Sandbox(orders=510, products=1, limit=None)) as sandbox:
        monkeypatch.setenv("GOEDGEPICKT_API_KEY", sandbox.api_key)
        monkeypatch.setenv("GOEDGEPICKT_BASE_URL", sandbox.url)
        sandbox.fail("GET", "/orders", faults.NeverAnswer(), after=4)  # so that it does not end before it is killed
        assert run_mirror(warm, tmp_path, database, kill_at=300) == -signal.SIGKILL
        assert 300 <= count(database) < 510
        sandbox.clear_faults()
        sandbox.requests.clear()
        assert run_mirror(warm, tmp_path, database) == 0
        assert count(database) == 510
        assert int(sandbox.requests[0].query["page"]) > 3
        newest = max(str(order["createDate"]) for order in sandbox.world.orders)
        added = sandbox.world.add_order(createDate=newest)["uuid"]
        sandbox.requests.clear()
        assert run_mirror(warm, tmp_path, database) == 0
        assert count(database, f"uuid = '{added}' and data->>'uuid' = uuid") == 1
        assert len(sandbox.requests) <= 4
        assert all(request.query["createdAfter"] for request in sandbox.requests)
    mirror = module(tmp_path, "postgres", block("incremental-mirror.md", "postgres"))

    async def store(order: Order) -> list[str]:
        """Store an order as a webhook handler does, and then an older state of the order as a page does."""
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as db:
            now = await mirror.now(db)
            await mirror.save(db, [order], now)
            await mirror.save(db, [attrs.evolve(order, status=OrderStatus.OPEN)], now - timedelta(seconds=1))
            rows = await (await db.execute("select status from orders where uuid = %s", (order.uuid,))).fetchall()
        return [status for (status,) in rows]

    assert asyncio.run(store(Order(uuid=str(added), status=OrderStatus("brand_new")))) == ["brand_new"]
