"""The control API below `/_sandbox/`, and the page at `/` that uses it."""

from __future__ import annotations

from goedgepickt_async.sandbox.control.api import ControlPlane

__all__ = ["ControlPlane"]
