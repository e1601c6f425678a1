"""The settings of a client: frozen values, checked when they are made, from arguments and environment variables."""

from __future__ import annotations

import ipaddress
import os
import platform
import re
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypedDict
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies_environment

import attrs

from goedgepickt_async import __version__
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.text import MaskedStr, masked, safe_repr, shown

__all__ = [
    "BASE_URLS",
    "DEFAULT_PORTS",
    "LaneName",
    "Options",
    "RetryPolicy",
    "Settings",
    "environment_proxy",
    "is_loopback",
    "shown_proxy",
]

BASE_URLS: Mapping[str, str] = {
    "fulfilment": "https://account.goedgepickt.nl/api/fulfilment/v1",
    "account": "https://account.goedgepickt.nl/api/v1",
}
"""The two APIs (reference section 1): account, confidence A; the fulfilment path, confidence B."""

LaneName = Literal["interactive", "normal", "bulk"]
"""The name of a lane."""

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN_HEADERS: Final = frozenset(
    [
        "accept",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "proxy-authorization",
        "te",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    ]
)
"""Headers that the client or aiohttp sets."""


_LONGEST = 86_400 * 365
"""The longest duration in seconds. Where no limit is allowed, None means no limit."""


def _seconds(value: Any) -> Any:
    """A whole number as a float; `_duration` checks the range."""
    return float(value) if type(value) is int and 0 <= value <= _LONGEST else value


def _duration(_settings: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, float) or not 0 <= value <= _LONGEST:
        raise ConfigurationError(
            f"{attribute.name} must be a number of seconds, at most {_LONGEST}, not {shown(value)}"
        )


def _positive(_settings: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if value <= 0:
        raise ConfigurationError(f"{attribute.name} must be more than 0")


_MOST: Final = 10**9


def _count(_settings: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise ConfigurationError(f"{attribute.name} must be a whole number, 0 to {_MOST:,}, not {shown(value)}")


@safe_repr
@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often a failed call is retried, and after which pauses (in seconds).

    Attributes:
        max_attempts: The largest number of attempts for one call, without attempts that got a 429. 1 switches retries
            off.
        base: The longest first pause; it doubles with each attempt.
        cap: The longest pause.
        max_refusals: A call raises after this number of 429 responses. After each 429 all calls pause.
        max_retry_after: The longest `Retry-After` that is waited for; a longer one raises immediately.
        quota: The number of retries that all calls of a client share; each successful call adds a tenth of a retry.
    """

    max_attempts: int = attrs.field(default=4, validator=[_count, _positive])
    base: float = attrs.field(default=0.5, converter=_seconds, validator=_duration)
    cap: float = attrs.field(default=20.0, converter=_seconds, validator=_duration)
    max_refusals: int = attrs.field(default=10, validator=_count)
    max_retry_after: float = attrs.field(default=120.0, converter=_seconds, validator=_duration)
    quota: int = attrs.field(default=50, validator=_count)


class Options(TypedDict, total=False):
    """The settings that a client and `with_options` take as keyword arguments: see `Settings`."""

    webshop_uuid: str | None
    timeout: float
    connect_timeout: float
    max_wait: float | None
    deadline: float | None
    lane: Lane | LaneName | None
    retry: RetryPolicy
    max_body: int
    user_agent: str
    headers: Mapping[str, str]


_NOT_IN_KEYS: Final = frozenset(" \"'`<>,;\\")
"""Characters of a key that was copied with its surroundings, such as the quotes of an `.env` file."""


def _key(value: str | None) -> MaskedStr:
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"api_key must be text, not {type(value).__name__}")
    text = MaskedStr((value or "").strip())
    if not text:
        raise ConfigurationError(
            "the API key is missing: pass api_key=, or set GOEDGEPICKT_API_KEY (create one under Settings → "
            "GoedGepickt API)"
        )
    if not text.isascii() or not text.isprintable() or not _NOT_IN_KEYS.isdisjoint(text):
        raise ConfigurationError(
            "the API key has characters that are not allowed in a key: copy the whole key again, without quotes or "
            "spaces"
        )
    return text


_LONGEST_LABEL: Final = 63
"""The largest number of characters between two dots of a host (RFC 1035, 2.3.4)."""


def _base_url(value: Any) -> str:
    """The URL in one spelling, so that equal servers have equal URLs: without a slash at its end and the usual port.

    The error does not show a wrong URL, because it may be the key.
    """
    if not isinstance(value, str) or not value.strip().isprintable():
        raise ConfigurationError("base_url must be a str with a URL")
    text = value.strip()
    if " " in text or not text.isascii():
        raise ConfigurationError(
            "base_url (GOEDGEPICKT_BASE_URL) must be ASCII text without spaces: write the host in its xn-- form, and "
            "percent-encode the path"
        )
    host, port = "", None
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        parts = urlsplit("")
    is_host = all(0 < len(label) <= _LONGEST_LABEL for label in host.split("."))
    if parts.scheme not in DEFAULT_PORTS or not is_host or port == 0:
        raise ConfigurationError(
            "base_url (GOEDGEPICKT_BASE_URL) must be an http or https URL with a host, such as 'https://host/path'"
        )
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise ConfigurationError("base_url (GOEDGEPICKT_BASE_URL) must not contain a user, a query or a fragment")
    port = None if port == DEFAULT_PORTS[parts.scheme] else port
    return f"{parts.scheme}://{_with_port(host, port)}{parts.path}".rstrip("/")


def _with_port(host: str, port: int | None) -> str:
    """A host and its port as in a URL."""
    host = f"[{host}]" if ":" in host else host
    return host if port is None else f"{host}:{port}"


def _lane(value: Lane | str | None) -> Lane | None:
    if value is None or isinstance(value, Lane):
        return value
    try:
        return Lane[value.upper()]
    except (KeyError, AttributeError, TypeError):
        raise ConfigurationError(f"lane must be one of interactive, normal, bulk, not {shown(value)}") from None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable() or not value.isascii():
        raise ConfigurationError("webshop_uuid and user_agent must be printable ASCII text")
    return value


def _headers(value: Any) -> Mapping[str, str]:
    """A copy of further headers, after a check: the client sets some headers itself."""
    if not isinstance(value, Mapping):
        raise ConfigurationError("headers must be a mapping of header names to str values")
    kept: dict[str, str] = {}
    for name, text in value.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ConfigurationError("headers: a name is not a valid header name")
        if not isinstance(text, str) or not text.isprintable() or not text.isascii():
            raise ConfigurationError(f"headers: the value of {name} must be printable ASCII text")
        if name.lower() in _OWN_HEADERS:
            raise ConfigurationError(f"headers: the client sets {name} itself")
        kept[name] = text
    return MappingProxyType(kept)


def _bytes(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError("max_body must be a number of bytes, at least 1")
    return value


def is_loopback(host: str) -> bool:
    """Whether a host name or address belongs to this machine."""
    name = host.rstrip(".").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def environment_proxy(base_url: str) -> str | None:
    """The proxy for a server from the environment, with its credentials; None without a proxy.

    The variables are `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in upper or lower case. A server on this
    machine is reached without a proxy.

    Args:
        base_url: The URL of the server.

    Raises:
        ConfigurationError: The proxy's URL has a scheme other than http and https, or no host.
    """
    server = urlsplit(base_url)
    if is_loopback(server.hostname or ""):
        return None
    proxies = getproxies_environment()
    proxy = (proxies.get(server.scheme) or proxies.get("all") or "").strip()
    if not proxy or _is_excluded(server, proxies.get("no", "")):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if shown_proxy(proxy) is None:
        raise ConfigurationError(
            f"the proxy in {server.scheme.upper()}_PROXY or ALL_PROXY must be the URL of an http or https proxy. "
            "Correct it, list the server in NO_PROXY, or pass an aiohttp session with a connector for that proxy"
        )
    return proxy


DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def _is_excluded(server: SplitResult, no_proxy: str) -> bool:
    """Whether `NO_PROXY` names the server: `*`, a host or its domain, with or without port, an address or a network.

    The standard library knows no `*.example.test`, no `10.0.0.0/8`, and no `host:443` without a port in the URL.
    """
    host = (server.hostname or "").rstrip(".")
    port = str(server.port or DEFAULT_PORTS.get(server.scheme))
    for entry in no_proxy.lower().replace(",", " ").split():
        name = entry.removesuffix(f":{port}") if entry.count(":") == 1 or "]:" in entry else entry
        name = name.strip("[]").removeprefix("*").strip(".")
        try:
            if ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False):
                return True
        except ValueError:
            pass
        if entry == "*" or (name and f".{host}".endswith(f".{name}")):
            return True
    return False


def shown_proxy(proxy: str) -> str | None:
    """The proxy without its credentials; None if it cannot be used."""
    try:
        parts = urlsplit(proxy)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    return f"{parts.scheme}://{_with_port(parts.hostname, port)}"


def _policy(value: Any) -> RetryPolicy:
    if not isinstance(value, RetryPolicy):
        raise ConfigurationError("retry must be a RetryPolicy")
    return value


@safe_repr
@attrs.frozen(kw_only=True)
class Settings:
    """The settings of one client; durations in seconds.

    Attributes:
        api_key: The API key, from Settings → GoedGepickt API. Never shown.
        base_url: The URL of the API, without a slash at the end.
        webshop_uuid: The uuid of the webshop for writes that do not name one.
        timeout: The longest time of one attempt, in seconds: from its slot to the last byte of the response.
        connect_timeout: The longest time to connect, in seconds, with the TLS handshake.
        max_wait: The longest wait for the rate limit, in seconds; a longer one raises immediately. None: no limit.
        deadline: The longest time of a whole call, in seconds, with waits and retries. None: no limit.
        lane: The priority. None: interactive, and normal for a list's pages after the first.
        retry: When a failed call is retried.
        max_body: The largest size of a response in bytes, after decompression.
        user_agent: The value of the `User-Agent` header.
        headers: Further headers for each request, such as a trace id. Their values are never shown.
    """

    api_key: str = attrs.field(converter=_key, repr=False)  # its own repr is masked too
    base_url: str = attrs.field(converter=_base_url, default=BASE_URLS["fulfilment"])
    webshop_uuid: str | None = attrs.field(default=None, converter=attrs.converters.optional(_text))
    timeout: float = attrs.field(default=30.0, converter=_seconds, validator=[_duration, _positive])
    connect_timeout: float = attrs.field(default=10.0, converter=_seconds, validator=[_duration, _positive])
    max_wait: float | None = attrs.field(
        default=None, converter=_seconds, validator=attrs.validators.optional(_duration)
    )
    deadline: float | None = attrs.field(
        default=None, converter=_seconds, validator=attrs.validators.optional(_duration)
    )
    lane: Lane | None = attrs.field(default=None, converter=_lane)
    retry: RetryPolicy = attrs.field(factory=RetryPolicy, converter=_policy)
    max_body: int = attrs.field(default=16 * 1024 * 1024, converter=_bytes)
    user_agent: str = attrs.field(
        default=f"goedgepickt-async/{__version__} Python/{platform.python_version()}", converter=_text
    )

    headers: Mapping[str, str] = attrs.field(factory=dict, converter=_headers, repr=False)

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine, such as a sandbox."""
        return is_loopback(urlsplit(self.base_url).hostname or "")

    @property
    def proxy(self) -> str | None:
        """The proxy of the environment, without its credentials; None without a proxy.

        Raises:
            ConfigurationError: The environment names a proxy that cannot be used.
        """
        proxy = environment_proxy(self.base_url)
        return None if proxy is None else shown_proxy(proxy)

    @property
    def server(self) -> str:
        """The identity of this API.

        It has no port for a sandbox on this machine, because the port changes at each start.
        """
        parts = urlsplit(self.base_url)
        host = "localhost" if is_loopback(parts.hostname or "") else parts.netloc
        return host + parts.path

    @classmethod
    def of(cls, api_key: str | None, *, api: str | None, base_url: str | None, **others: Any) -> Settings:
        """Return settings from arguments, and from environment variables where an argument is None.

        Args:
            api_key: The key. Default: `GOEDGEPICKT_API_KEY`.
            api: `"fulfilment"` or `"account"`. Default: `GOEDGEPICKT_API`, or else fulfilment.
            base_url: The URL of the API, which replaces `api`. Default: `GOEDGEPICKT_BASE_URL`; then `api` must be
                None.
            others: Further fields; a `webshop_uuid` of None is read from `GOEDGEPICKT_WEBSHOP_UUID`.

        Raises:
            ConfigurationError: There is no key, the API is unknown, or the URL is not valid.
        """
        url = base_url or _from_environment("GOEDGEPICKT_BASE_URL")
        if api and url and not base_url:
            raise ConfigurationError(
                "GOEDGEPICKT_BASE_URL is set, and api= would go past it: pass base_url=, or unset the variable"
            )
        api_key = masked(_from_environment("GOEDGEPICKT_API_KEY") if api_key is None else api_key)
        api = api or _from_environment("GOEDGEPICKT_API") or "fulfilment"
        if not isinstance(api, str) or api not in BASE_URLS:  # reported with any base_url
            raise ConfigurationError(f"api (GOEDGEPICKT_API) must be 'fulfilment' or 'account', not {shown(api)}")
        if others.get("webshop_uuid") is None:
            others["webshop_uuid"] = _from_environment("GOEDGEPICKT_WEBSHOP_UUID")
        settings = cls(api_key=_key(api_key), base_url=url or BASE_URLS[api], **others)
        if settings.base_url.startswith("http:") and not settings.is_local:
            warnings.warn(
                "base_url is http:// and its host is not this machine: the API key travels unencrypted; use https://",
                UserWarning,
                stacklevel=3,
            )
        return settings

    @classmethod
    def from_env(cls, **others: Any) -> Settings:
        """Settings from the environment: `GOEDGEPICKT_API_KEY`, `_API`, `_BASE_URL`, `_WEBSHOP_UUID`."""
        return cls.of(None, api=None, base_url=None, **others)


def _from_environment(name: str) -> str | None:
    return os.environ.get(name, "").strip() or None
