"""Requests use the proxy of the environment. The proxy of these tests is a separate process on this machine."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async import ConfigurationError, ConnectFailedError, GoedGepickt, RetryPolicy, Settings
from goedgepickt_async.cli import main
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.settings import environment_proxy
from goedgepickt_async.testing import serving
from tests.support.tables import each_row

Make = Callable[..., GoedGepickt]

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD")
NOWHERE = "goedgepickt.invalid"
"""A host name without an address: a request can arrive only through the proxy."""

_PROXY = r"""
import socket, sys, threading
server = int(sys.argv[1])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)

def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try: end.shutdown(socket.SHUT_RDWR)
        except OSError: pass

def serve(client):
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(65536)
    first, _, rest = head.partition(b"\r\n")
    method, target, _ = first.split(b" ", 2)
    wanted = [line for line in rest.lower().split(b"\r\n") if line.startswith(b"proxy-authorization:")]
    print(method.decode(), target.decode().split("?")[0], wanted[0].decode() if wanted else "-", flush=True)
    if method == b"CONNECT":
        client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        client.close()
        return
    path = b"/" + target.split(b"/", 3)[3]
    upstream = socket.create_connection(("127.0.0.1", server))
    upstream.sendall(b" ".join((method, path, b"HTTP/1.1")) + b"\r\n" + rest)
    threading.Thread(target=pump, args=(upstream, client), daemon=True).start()
    pump(client, upstream)

while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
"""


class Proxy:
    """A running proxy, with the requests that it received."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.port = int(process.stdout.readline())

    def requests(self) -> list[str]:
        """Stop the proxy and return the requests that it received."""
        self._process.terminate()
        out, _ = self._process.communicate(timeout=60)
        return out.splitlines()


@contextmanager
def proxy_to(sandbox: Sandbox) -> Iterator[Proxy]:
    port = sandbox.url.split(":")[2].split("/")[0]
    with subprocess.Popen([sys.executable, "-c", _PROXY, port], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Proxy(process)
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def _no_proxies_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def goedgepickt_sandbox_options() -> dict[str, Any]:
    return {"orders": 5, "products": 5, "hosts": [NOWHERE]}


def elsewhere(sandbox: Sandbox) -> str:
    return f"http://{NOWHERE}/{sandbox.url.split('/', 3)[3]}"


@pytest.mark.filterwarnings("ignore:base_url is http")
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
async def test_requests_use_the_proxy_of_the_environment(
    sandbox: Sandbox, make_client: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {NOWHERE} login somebody password s3cret\nmachine 127.0.0.1 login a password b\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with proxy_to(sandbox) as proxy:
        monkeypatch.setenv(variable, f"http://user:p%40ss@127.0.0.1:{proxy.port}")
        client = make_client(elsewhere(sandbox), sandbox.api_key)
        assert client.settings.proxy == f"http://127.0.0.1:{proxy.port}"
        assert len(await client.webshops.list().collect()) > 0
        assert (await client.request("GET", "/webshops")).status == 200
        assert all(line.endswith("proxy-authorization: basic dxnlcjpwqhnz") for line in proxy.requests())


async def test_requests_to_a_server_on_this_machine_use_no_proxy(
    sandbox: Sandbox, make_client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES[:3]:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await make_client(sandbox.url, sandbox.api_key).request("GET", "/webshops")).status == 200


@each_row(
    "no_proxy",
    [
        *(NOWHERE, ".invalid", "*", f"example.test,{NOWHERE}", f" {NOWHERE.upper()}. ", "*.invalid", f"{NOWHERE}:443"),
        *(f"example.test {NOWHERE}",),
    ],
)
def test_the_variable_no_proxy_excludes_a_host(monkeypatch: pytest.MonkeyPatch, no_proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert environment_proxy(f"https://{NOWHERE}/api") == "http://127.0.0.1:3128"
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert environment_proxy(f"https://{NOWHERE}/api") is None
    assert Settings(api_key="k", base_url=f"https://{NOWHERE}/api").proxy is None


@each_row(
    ("url", "no_proxy", "is_excluded"),
    [
        ("https://10.1.2.3/api", "10.0.0.0/8", True),
        ("https://11.1.2.3/api", "10.0.0.0/8", False),
        ("https://10.1.2.3/api", "10.1.2.3:443", True),
        ("https://10.1.2.3/api", "10.1.2.3:80", False),
        ("http://10.1.2.3:8080/api", "10.1.2.3:8080", True),
        ("https://[2001:db8::1]/api", "2001:db8::1", True),
        ("https://[2001:db8::1]:8443/api", "[2001:db8::1]:8443", True),
        ("https://[2001:db8::1]/api", "2001:db8::/32", True),
        ("https://[2001:db8::1]/api", "2001:db9::/32", False),
        ("https://badexample.test/api", "example.test", False),
        ("https://example.test/api", "a.example.test, ,:443,*.", False),
    ],
)
def test_the_variable_no_proxy_accepts_networks_ports_and_addresses(
    monkeypatch: pytest.MonkeyPatch, url: str, no_proxy: str, is_excluded: bool
) -> None:
    monkeypatch.setenv("ALL_PROXY", " http://127.0.0.1:3128 ")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert environment_proxy(url) == (None if is_excluded else "http://127.0.0.1:3128")


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        ("proxy.example.test:3128", "http://proxy.example.test:3128"),
        ("http://user:pw@proxy.example.test", "http://proxy.example.test"),
        ("https://[::1]:3128", "https://[::1]:3128"),
    ],
)
def test_the_proxy_is_shown_without_its_credentials(monkeypatch: pytest.MonkeyPatch, proxy: str, shown: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert Settings(api_key="k").proxy == shown


@pytest.mark.parametrize("proxy", ["socks5://user:pw@127.0.0.1:1080", "http://", "http://127.0.0.1:99999999"])
async def test_an_unusable_proxy_is_reported_at_the_first_call_without_its_credentials(
    make_client: Make, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigurationError, match="ALL_PROXY") as caught:
        await make_client(f"https://{NOWHERE}/api").request("GET", "/a")
    assert "pw" not in str(caught.value)


async def test_a_response_of_the_proxy_is_reported_and_the_request_counts_as_not_sent(
    sandbox: Sandbox, make_client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy_to(sandbox) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:s3cret@127.0.0.1:{proxy.port}")
        client = make_client(f"https://{NOWHERE}/api", retry=RetryPolicy(max_attempts=1))
        with pytest.raises(ConnectFailedError, match="407 Proxy Authentication Required") as caught:
            await client.request("POST", "/orders", json={})
        assert proxy.requests()[-1].startswith(f"CONNECT {NOWHERE}:443")
    assert caught.value.attempts == 0
    assert f"through the proxy http://127.0.0.1:{proxy.port}" in str(caught.value)
    assert "s3cret" not in f"{caught.value!r} {caught.value.__cause__!r}"


COMMANDS: dict[str, list[str]] = {
    "request": ["request", "GET", "/webshops"],
    "doctor": ["doctor"],
    "export": ["export", "webshops", "--output", "-"],
    "webhooks": ["webhooks", "list"],
    "plan": ["plan", "products", "new.csv", "--webshop", "{webshop}"],
    "apply": ["apply", "new.csv", "--kind", "products", "--webshop", "{webshop}", "--yes"],
}


@pytest.mark.filterwarnings("ignore:base_url is http")
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_uses_the_proxy_of_the_environment(
    goedgepickt_sandbox_options: dict[str, Any],
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "new.csv").write_text("sku,name,price\nNEW-1,Mok,9.95\n")
    monkeypatch.chdir(tmp_path)
    with serving(Sandbox(limit=None, **goedgepickt_sandbox_options)) as sandbox, proxy_to(sandbox) as proxy:
        environment = {
            "HTTP_PROXY": f"http://127.0.0.1:{proxy.port}",
            "GOEDGEPICKT_API_KEY": sandbox.api_key,
            "GOEDGEPICKT_BASE_URL": elsewhere(sandbox),
            "HOME": str(tmp_path),
            "XDG_RUNTIME_DIR": str(tmp_path),
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        code = main([part.format(webshop=sandbox.world.webshops[0]["uuid"]) for part in COMMANDS[command]])
        assert code == 0, capfd.readouterr().err
        assert any(NOWHERE in line for line in proxy.requests())
