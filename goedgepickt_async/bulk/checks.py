"""What looks like one mistake in many rows of a plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from goedgepickt_async.bulk.plan import Plan
from goedgepickt_async.bulk.values import Action, ConflictCode, PlannedWrite

__all__ = ["find_notices"]

_FACTORS: Final = {Decimal(10) ** power: power for power in (-3, -2, -1, 1, 2, 3)}
_LEAST_PRICES: Final = 3
_LEAST_ZEROES: Final = 5
_MANY: Final = 0.5
_MANY_ZEROES: Final = 0.2
_HUGE_LEVEL: Final = 1_000_000
_BARCODE_DIGITS: Final = frozenset({8, 12, 13, 14})


def find_notices(plan: Plan) -> tuple[str, ...]:
    """What looks like one mistake in many rows: a lost decimal sign, an empty stock column, a barcode as a level."""
    return (*_price_factors(plan), *_zeroes(plan), *_levels(plan), *_other_webshop(plan))


def _number(value: Any) -> Decimal | None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _price_factors(plan: Plan) -> Iterator[str]:
    pairs: list[tuple[Decimal, Decimal]] = []
    for write in plan.updates:
        for change in write.changes:
            before, after = _number(change.before), _number(change.after)
            if change.field == "price" and before and after:
                pairs.append((before, after))
    factors = Counter(factor for before, after in pairs for factor in _FACTORS if _is_about(after / before, factor))
    for factor, count in factors.most_common(1):
        if count >= _LEAST_PRICES and count >= _MANY * len(pairs):
            before, after = next(pair for pair in pairs if _is_about(pair[1] / pair[0], factor))
            becomes = f"{factor:f} times as high" if factor > 1 else f"{1 / factor:f} times as low"
            yield f"{count} of {len(pairs)} changed prices become {becomes} ({before:f} → {after:f}): is a decimal sign lost?"


def _is_about(ratio: Decimal, factor: Decimal) -> bool:
    """Whether a ratio is a factor, but for the rounding of cents."""
    return abs(ratio / factor - 1) < Decimal("0.005")


def _stock_changes(plan: Plan) -> Sequence[tuple[PlannedWrite, int, int]]:
    return [
        (write, change.before or 0, change.after)
        for write in plan.updates
        if write.action in {Action.SET, Action.MUTATE}
        for change in write.changes
    ]


def _zeroes(plan: Plan) -> Iterator[str]:
    zeroed = sum(before > 0 and after == 0 for _, before, after in _stock_changes(plan))
    looked = plan.requests + len(plan.unchanged)
    if zeroed >= _LEAST_ZEROES and zeroed >= _MANY_ZEROES * looked:
        yield f"{zeroed} of {looked} stocks become 0: is the column of levels empty?"


def _levels(plan: Plan) -> Iterator[str]:
    odd = [(write.key, after) for write, before, after in _stock_changes(plan) if _is_implausible(before, after)]
    if odd:
        key, level = odd[0]
        what = "a barcode" if _is_barcode(level) else "too high"
        rows = "1 level looks" if len(odd) == 1 else f"{len(odd)} levels look"
        yield f"{rows} like {what} rather than a number of pieces, such as {level} for {key}"


def _is_implausible(before: int, after: int) -> bool:
    return after > 100 * max(before, 1) and (after >= _HUGE_LEVEL or _is_barcode(after))


def _is_barcode(level: int) -> bool:
    """Whether it has the length and the check digit of an EAN or a UPC, or their length at least."""
    digits = str(level)
    if len(digits) not in _BARCODE_DIGITS:
        return False
    weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(digits)))
    return weighted % 10 == 0 or len(digits) > 8


def _other_webshop(plan: Plan) -> Iterator[str]:
    count = sum(len(each.indexes) for each in plan.conflicts if each.code is ConflictCode.OTHER_WEBSHOP)
    if count and count >= _MANY * plan.rows:
        rows = "1 row is" if count == 1 else f"{count:,} rows are"
        yield f"{rows} of another webshop, not of {plan.scope.webshop_text}: is this the right webshop?"
