"""Which controller answers which method and path."""

from __future__ import annotations

import re
from collections.abc import Callable

from goedgepickt_async.sandbox.answers import Answer, error
from goedgepickt_async.sandbox.incoming import Incoming

__all__ = ["Controller", "Router"]

Controller = Callable[[Incoming], Answer]
"""Answers one request; raises `Refusal` to end it otherwise."""


class Router:
    """A table of routes; `{}` in a path stands for one segment, which the controller gets as a positional argument."""

    def __init__(self) -> None:
        self._routes: list[tuple[re.Pattern[str], dict[str, Callable[..., Answer]]]] = []

    def add(self, path: str, **methods: Callable[..., Answer]) -> None:
        """Add the controllers of a path by HTTP method (`get=…`, `post=…`, `put=…`)."""
        pattern = re.compile(re.escape(path).replace(r"\{\}", "([^/]+)"))
        self._routes.append((pattern, {name.upper(): controller for name, controller in methods.items()}))

    def find(self, request: Incoming) -> Controller | Answer:
        """Return the controller of a request, or the answer to a request that has none."""
        for pattern, methods in self._routes:
            match = pattern.fullmatch(request.path)
            if match and request.base:
                return self._pick(methods, match.groups(), request)
        return self.not_found(request)

    def not_found(self, request: Incoming) -> Answer:
        """Return Laravel's answer to a path that it has no route for."""
        route = f"{_PREFIXES.get(request.base, '')}{request.path}".strip("/")
        return error(404, f"The route {route} could not be found.", wants_json=request.wants_json)

    def _pick(
        self, methods: dict[str, Callable[..., Answer]], segments: tuple[str, ...], request: Incoming
    ) -> Controller | Answer:
        controller = methods.get("GET" if request.method == "HEAD" else request.method)
        if controller is not None:
            return lambda incoming: controller(incoming, *segments)
        allowed = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))
        route = f"{_PREFIXES[request.base]}{request.path}".strip("/")
        text = f"The {request.method} method is not supported for route {route}. Supported methods: {allowed}."
        return error(405, text, wants_json=request.wants_json).with_headers({"Allow": allowed})


_PREFIXES = {"fulfilment": "/api/fulfilment/v1", "account": "/api/v1"}
