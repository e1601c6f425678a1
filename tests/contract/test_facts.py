"""What is known of the API is data: each part has a confidence and a source, and the reference is made from it."""

from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async import models
from goedgepickt_async.contract.facts import FACTS, enumerations, event_facts, field_facts, reference_page
from goedgepickt_async.endpoints import ENDPOINTS
from goedgepickt_async.models import OpenEnum
from goedgepickt_async.webhooks.events import EVENTS

LETTERS = {"A", "A/B", "B", "B/C", "C"}
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api-facts.md"
MODELS = [
    cls
    for name in models.__all__
    if isinstance(cls := getattr(models, name), type)
    and hasattr(cls, "__attrs_attrs__")
    and any(True for _ in cls.__attrs_attrs__ if _.metadata)
]


def test_every_endpoint_and_filter_has_confidence_and_source() -> None:
    for endpoint in ENDPOINTS.values():
        assert endpoint.confidence in LETTERS
        assert endpoint.source
        for by in endpoint.filters:
            assert by.confidence in LETTERS, by
            assert by.source, by


@pytest.mark.parametrize("cls", [*MODELS, *EVENTS.values()], ids=lambda cls: cls.__name__)
def test_every_field_has_confidence_and_source(cls: Any) -> None:
    facts = list(field_facts(cls))
    assert facts
    for fact in facts:
        assert fact.confidence in LETTERS, fact
        assert fact.source, fact


def test_every_event_enumeration_and_general_fact_has_confidence_and_source() -> None:
    assert {fact.id for fact in event_facts()} == {f"event.{name}" for name in EVENTS}
    for fact in (*FACTS.values(), *event_facts()):
        assert fact.confidence in LETTERS, fact
        assert fact.source, fact
    named = {
        name for name in models.__all__ if isinstance(cls := getattr(models, name), type) and issubclass(cls, OpenEnum)
    }
    assert set(enumerations()) == named - {"OpenEnum"}


def test_the_reference_is_what_the_tables_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference_page(), "run python -m goedgepickt_async.contract.facts"
