"""The dlt source with a real PostgreSQL: a load that fails half-way keeps what was read, and ends whole."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async import NotFoundError
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.testing import serving

dlt: Any = pytest.importorskip("dlt", reason="the dependency group contrib is not installed")
psycopg: Any = pytest.importorskip("psycopg", reason="the dependency group contrib is not installed")

from goedgepickt_async.contrib.dlt import load  # noqa: E402

BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARIES is None, reason="PostgreSQL is not installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # dlt's own
]


@pytest.fixture
def database() -> Iterator[str]:
    """The URL of a database of this test alone, on this machine. PostgreSQL refuses to run as root."""
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
        yield f"postgresql://test:any@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_failed_load_into_postgres_goes_on_and_ends_whole(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    pipeline = dlt.pipeline(
        "mirror",
        destination=dlt.destinations.postgres(database),
        dataset_name="goedgepickt",
        pipelines_dir=str(tmp_path / "pipelines"),
    )
    with serving(Sandbox(orders=1200, products=1, limit=None)) as sandbox:
        monkeypatch.setenv("GOEDGEPICKT_API_KEY", sandbox.api_key)
        monkeypatch.setenv("GOEDGEPICKT_BASE_URL", sandbox.url)
        sandbox.fail("GET", "/orders", faults.Status(404), after=7)
        with pytest.raises(NotFoundError):
            load(pipeline, resources=["orders"])
        sandbox.clear_faults()
        sandbox.requests.clear()
        load(pipeline, resources=["orders"])
        assert int(sandbox.requests[0].query["page"]) > 5
        assert len(sandbox.requests) <= 10
    with psycopg.connect(database) as connection:
        query = "select count(*), count(distinct uuid) from goedgepickt.orders"
        assert connection.execute(query).fetchone() == (1200, 1200)
