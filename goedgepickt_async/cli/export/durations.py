"""Durations and counts as people read them."""

from __future__ import annotations

__all__ = ["clock", "count", "duration"]


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `1 min 02 s`, `2 h 03 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def clock(seconds: float) -> str:
    """`0:42`, `12:05`, `2:03:00`."""
    whole = round(seconds)
    minutes = f"{whole % 3600 // 60}:{whole % 60:02}"
    return f"{whole // 3600}:{minutes:0>5}" if whole >= 3600 else minutes


def count(number: int, noun: str) -> str:
    """`1 order`, `25,000 orders`; the noun in the plural."""
    return f"{number:,} {noun.removesuffix('s') if number == 1 else noun}"
