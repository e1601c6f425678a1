"""The contract of the API: the known facts as data, an OpenAPI document, and a probe of the open facts."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from goedgepickt_async.contract.collector import Collector, Finding, Observer, Report
    from goedgepickt_async.contract.document import openapi
    from goedgepickt_async.contract.facts import FACTS, Fact
    from goedgepickt_async.contract.probe import Probe, Step

__all__ = ["FACTS", "Collector", "Fact", "Finding", "Observer", "Probe", "Report", "Step", "openapi"]

_HOMES: Final = {
    "FACTS": "facts",
    "Fact": "facts",
    "Collector": "collector",
    "Finding": "collector",
    "Observer": "collector",
    "Report": "collector",
    "Probe": "probe",
    "Step": "probe",
    "openapi": "document",
}


def __getattr__(name: str) -> Any:
    """Each name on its first use: `python -m goedgepickt_async.contract.facts` runs a module that is not loaded yet."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found  # also where a module has the same name
    return found
