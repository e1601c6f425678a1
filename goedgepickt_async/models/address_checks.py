"""The checkers of addresses and countries that are sent."""

from __future__ import annotations

from typing import Any

import attrs

from .address import Address
from .checks import any_text, house_number
from .countries import COUNTRY_CODES
from .refusal import Refused, describe
from .unset import UNSET, Unset

__all__ = ["optional_address", "optional_country"]


def country(value: str) -> str:
    """An ISO 3166-1 alpha-2 code, made upper-case as the API wants it (A)."""
    code = any_text(value).upper()
    if code not in COUNTRY_CODES:
        raise Refused("must be a country code of ISO 3166-1 alpha-2, such as 'NL'")
    return code


def optional_country(value: str | Unset) -> str | Unset:
    """`country`, or UNSET."""
    return UNSET if value is UNSET else country(value)


def optional_address(value: Address | Unset) -> Address | Unset:
    """A copy of an address that is fit to be sent, or UNSET. What is None in it is not sent."""
    if value is UNSET:
        return UNSET
    if not isinstance(value, Address):
        raise Refused(f"must be an Address, not {describe(value)}")
    kept: dict[str, str] = {}
    problems: dict[str, str] = {}
    for name, part in attrs.asdict(value, recurse=False).items():
        try:
            if part is not None:
                kept[name] = _CHECKS.get(name, any_text)(part)
        except Refused as refused:
            problems.update(refused.below(name))
    if problems:
        raise Refused(problems)
    return Address(**kept)


_CHECKS: dict[str, Any] = {"country": country, "house_number": house_number, "house_number_addition": house_number}
