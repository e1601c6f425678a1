"""What is known about the API is data: each part has a confidence and a source, and the reference is made from it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import attrs

from goedgepickt_async import models
from goedgepickt_async.contract.facts import DOCUMENTS, FACTS, enumerations, event_facts, field_facts, reference_page
from goedgepickt_async.endpoints import ENDPOINTS
from goedgepickt_async.models import OpenEnum
from goedgepickt_async.models.base import Confidence, field_info
from goedgepickt_async.webhooks.events import EVENTS

LETTERS = set(get_args(Confidence))
NAMED = re.compile("|".join([*DOCUMENTS, "no document"]))
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api-facts.md"
CLASSES = [cls for name in models.__all__ if attrs.has(cls := getattr(models, name))]


def sourced() -> Iterator[tuple[str, str, str]]:
    """Each known thing: its name, confidence and source."""
    for endpoint in ENDPOINTS.values():
        yield endpoint.operation, endpoint.confidence, endpoint.source
        yield from ((f"{endpoint.operation}({by.name})", by.confidence, by.source) for by in endpoint.filters)
    for cls in (*CLASSES, *EVENTS.values()):
        yield from ((f"{fact.model}.{fact.name}", fact.confidence, fact.source) for fact in field_facts(cls))
    yield from ((fact.id, fact.confidence, fact.source) for fact in (*FACTS.values(), *event_facts()))
    yield from ((name, confidence, source) for name, (_, confidence, source) in enumerations().items())


def test_everything_that_is_known_has_a_confidence_and_names_a_document_as_its_source() -> None:
    for what, confidence, source in sourced():
        assert confidence in LETTERS, what
        assert NAMED.search(source), f"{what}: {source}"
        assert confidence != "A" or not source.startswith(("no document", "inference")), what


def test_every_field_event_and_enumeration_is_in_the_tables() -> None:
    for cls in (*CLASSES, *EVENTS.values()):
        known = [field for field in attrs.fields(cls) if field_info(field.metadata) is not None]
        assert len(known) == len(list(field_facts(cls))), cls
    assert {fact.id for fact in event_facts()} == {f"event.{name}" for name in EVENTS}
    named = {
        name for name in models.__all__ if isinstance(cls := getattr(models, name), type) and issubclass(cls, OpenEnum)
    }
    assert set(enumerations()) == named - {"OpenEnum"}


def test_the_reference_is_what_the_tables_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference_page(), "run python -m goedgepickt_async.contract.facts"
