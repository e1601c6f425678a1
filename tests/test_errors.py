"""Errors as values: they can be sent to another process, and are whole there."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from goedgepickt_async import errors
from goedgepickt_async.errors import Evidence, GoedGepicktError
from tests.support.tables import each_row

CONTEXT: dict[str, Any] = {"evidence": Evidence.UNKNOWN, "attempts": 3, "method": "POST", "path": "/orders"}
NEEDED: dict[str, dict[str, Any]] = {
    "BudgetExhaustedError": {"wait": 2.5},
    "BulkStoppedError": {"done": 5, "failed": 2},
    "ValidationError": {"status": 422, "fields": {"lines[0].sku": ["is empty"]}, "body": {"errors": {}}},
    "RateLimitedError": {"status": 429, "retry_after": 3.0},
    "MultipleFoundError": {"uuids": ["a", "b"]},
    "DecodeError": {"problems": ["$.items[3]: expected a number"]},
    "OutcomeUnknownError": {"body": {"orderId": "S-1"}},
}
KINDS = [kind for name in errors.__all__ if issubclass(kind := getattr(errors, name), GoedGepicktError)]
WAYS: list[Callable[[Any], Any]] = [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy]


@each_row("kind", KINDS)
@each_row("way", WAYS, ids=["pickle", "copy", "deepcopy"])
def test_an_error_is_whole_after_pickling_and_copying(kind: type[GoedGepicktError], way: Callable[[Any], Any]) -> None:
    error = kind("it failed", **CONTEXT, **NEEDED.get(kind.__name__, {}))
    error.resume = "a token"
    again = way(error)
    assert type(again) is kind
    assert vars(again) == vars(error)
    assert (str(again), again.args) == (str(error), ("it failed",))


def test_what_is_wrong_with_which_field_can_be_read_and_not_changed() -> None:
    error = errors.ValidationError("no", fields={"sku": ["is empty", "is not text"]})
    assert error.fields == {"sku": ("is empty", "is not text")}
    with pytest.raises(TypeError):
        error.fields["sku"] = ()  # type: ignore[index]
