"""HTTP transport: private."""

from __future__ import annotations
