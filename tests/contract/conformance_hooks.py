"""Hooks of schemathesis: a product that is created is a new one, for a second one with the same SKU is refused."""

import importlib
import uuid
from typing import Any


def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    """Give a new product a separate SKU."""
    sku = case.body.get("sku") if case.method == "POST" and isinstance(case.body, dict) else None
    if case.path == "/products" and isinstance(sku, str) and sku.strip():
        case.body["sku"] = f"{sku.strip()}-{uuid.uuid4()}"


importlib.import_module("schemathesis").hook(before_call)
