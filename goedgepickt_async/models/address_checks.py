"""The checkers of addresses and countries that are sent."""

from __future__ import annotations

from typing import Any

import attrs

from goedgepickt_async.models.address import Address
from goedgepickt_async.models.checks import any_text, house_number
from goedgepickt_async.models.countries import COUNTRY_CODES
from goedgepickt_async.models.refusal import Refused, describe
from goedgepickt_async.models.unset import UNSET, Unset

__all__ = ["optional_address", "optional_country"]


def country(value: str) -> str:
    """An ISO 3166-1 alpha-2 code, made upper-case as the API wants it (A)."""
    code = any_text(value).upper()
    if code not in COUNTRY_CODES:
        raise Refused("must be a country code of ISO 3166-1 alpha-2, such as 'NL'")
    return code


def optional_country(value: str | Unset) -> str | Unset:
    """`country`, or UNSET. An empty text, as forms have it, says as much as UNSET."""
    return UNSET if value is UNSET or value == "" else country(value)


def optional_address(value: Address | Unset) -> Address | Unset:
    """A copy of an address that is fit to be sent, or UNSET. What is None in it is not sent, nor is an empty country."""
    if value is UNSET:
        return UNSET
    if not isinstance(value, Address):
        raise Refused(f"must be an Address, not {describe(value)}")
    kept: dict[str, str] = {}
    problems: dict[str, str] = {}
    for name, part in attrs.asdict(value, recurse=False).items():
        try:
            checked = UNSET if part is None else _CHECKS.get(name, any_text)(part)
            if checked is not UNSET:
                kept[name] = checked
        except Refused as refused:
            problems.update(refused.below(name))
    if problems:
        raise Refused(problems)
    return Address(**kept)


_CHECKS: dict[str, Any] = {
    "country": optional_country,
    "house_number": house_number,
    "house_number_addition": house_number,
}
