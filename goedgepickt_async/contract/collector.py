"""Collects facts about the API: verdicts, classes of values, rounded counts. It keeps no values, names or ids.

The probe fills a `Collector` with its own requests. An `Observer` fills one from normal traffic, through a client's
hooks.
"""

from __future__ import annotations

import re
import typing
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final, Literal

import attrs
from cattrs import Converter

from goedgepickt_async import __version__, models
from goedgepickt_async.contract.facts import FACTS, described, field_facts
from goedgepickt_async.convert import decode
from goedgepickt_async.errors import DecodeError
from goedgepickt_async.hooks import DriftDetected, Hooks, PageRead, ResponseReceived
from goedgepickt_async.models import Address, OpenEnum

__all__ = ["Collector", "Finding", "Observer", "Report", "Verdict", "kind_of"]

Verdict = Literal["confirmed", "refuted", "could not tell"]

_WEIGHT: Final[dict[Verdict, int]] = {"could not tell": 0, "confirmed": 1, "refuted": 2}
_KEY: Final = re.compile(r"[a-z][A-Za-z0-9_]{0,39}", re.ASCII)
_VALUE: Final = re.compile(r"[a-z]+(_[a-z]+)*", re.ASCII)
_NOT_BY_READS: Final = {
    "writes": "only writes show it",
    "throttling": "only a limit that is exceeded shows it",
    "deliveries": "only deliveries of webhooks show it",
    "-": "no answer shows it",
}
_MADE_BY: Final = {"probe": ", reads only", "traffic": " of ordinary traffic; a probe tells more"}
_UNTOLD: Final = {"probe": "nothing that was read shows it", "traffic": "hooks do not show it; a probe does"}
_SHOWN_HEADERS: Final = {
    name.lower(): name
    for name in (
        "Cache-Control", "Connection", "Content-Encoding", "ETag", "Keep-Alive", "Last-Modified", "Retry-After", "Vary",
        "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset",
    )
}  # fmt: skip
_MOST: Final = 200
"""Unknown keys and values that are kept, of a server that makes up new ones in each row."""


@attrs.frozen
class Finding:
    """The finding about one fact.

    Attributes:
        fact: The fact's id.
        verdict: Whether the fact is true.
        details: The reasons, one for each list or endpoint, without values.
    """

    fact: str
    verdict: Verdict
    details: tuple[str, ...] = ()


@attrs.frozen
class Report:
    """The report, which can be published: it has no values, names or ids.

    Attributes:
        findings: The findings in the order of the table of facts.
        fields: Model -> field -> classes of values, with their rounded counts.
        unknown: Fields by model and values by enumeration that are not in the tables.
        statuses: Route -> HTTP status -> rounded count.
        headers: The names of well-known headers in responses.
        requests: The number of requests.
        origin: The origin of the requests: a probe, or the normal traffic of a client.
    """

    findings: tuple[Finding, ...]
    fields: Mapping[str, Mapping[str, str]]
    unknown: Mapping[str, tuple[str, ...]]
    statuses: Mapping[str, Mapping[str, str]]
    headers: tuple[str, ...]
    requests: int
    origin: Literal["probe", "traffic"] = "probe"

    @property
    def deviations(self) -> tuple[Finding, ...]:
        """The findings that differ from the tables."""
        return tuple(finding for finding in self.findings if finding.verdict == "refuted")

    def to_dict(self) -> dict[str, Any]:
        """Return the report as values for `json.dumps`."""
        return {"goedgepickt-async": __version__, **attrs.asdict(self)}

    def to_markdown(self) -> str:
        """Return the report as Markdown."""
        return "\n".join(self._lines()) + "\n"

    def diff(self) -> str:
        """Return the differences to the tables, one per line."""
        lines = []
        for finding in self.findings:
            known = _confidence_of(finding.fact)
            if finding.verdict == "confirmed" and known != "A":
                lines.append(f"~ {finding.fact}: {known} -> A")
            elif finding.verdict == "refuted":
                lines.append(f"- {finding.fact}: {'; '.join(finding.details)}")
        lines += [f"+ {owner}: {', '.join(names)}" for owner, names in self.unknown.items()]
        return "".join(f"{line}\n" for line in lines)

    def _lines(self) -> Iterator[str]:
        counts = Counter(finding.verdict for finding in self.findings)
        yield "# What GoedGepickt answered\n"
        yield (
            f"goedgepickt-async {__version__}, {self.requests} requests{_MADE_BY[self.origin]}. "
            + ", ".join(f"{counts[verdict]} {verdict}" for verdict in _WEIGHT)
            + ". No values, names or ids are in this report.\n"
        )
        yield "| fact | known as | verdict | why |\n|---|---|---|---|"
        for finding in self.findings:
            if finding.fact in FACTS:
                known, why = FACTS[finding.fact], "; ".join(finding.details)
                yield f"| {known.statement} (`{known.id}`) | {known.confidence} | {finding.verdict} | {why} |"
        yield "\n## Fields that are known less surely than A\n"
        for verdict in _WEIGHT:
            found = [one.fact for one in self.findings if one.verdict == verdict and one.fact not in FACTS]
            if found:
                yield f"- {verdict}: {', '.join(name.removeprefix('field.') for name in found)}"
        for title, rows in (("Not in the tables", self.unknown), ("Statuses", self.statuses), ("Fields", self.fields)):
            if rows:
                yield f"\n## {title}\n"
            for owner, told in rows.items():
                parts = [f"{name}: {text}" for name, text in told.items()] if isinstance(told, Mapping) else list(told)
                yield f"- {owner}: {'; '.join(parts)}"
        if self.headers:
            yield f"\n## Headers\n\n- {', '.join(self.headers)}"
        yield "\nPlease paste it into an issue of goedgepickt-async, so that the tables can be corrected."


def _confidence_of(fact: str) -> str:
    return FACTS[fact].confidence if fact in FACTS else _field_confidences()[fact]


@cache
def _field_confidences() -> dict[str, str]:
    found: dict[str, str] = {}
    for owner in READ_MODELS:
        for fact in field_facts(owner):
            found[f"field.{fact.model}.{fact.name}"] = fact.confidence
    return found


READ_MODELS: Final[tuple[type[Any], ...]] = (
    models.Webshop,
    models.PickLocation,
    models.Product,
    models.ProductStock,
    models.Supplier,
    models.StockLocation,
    models.Order,
    models.OrderLine,
    models.OrderShipment,
    models.Shipment,
    models.LinkedOrder,
    models.Webhook,
    models.PageInfo,
)
"""The models of answers."""

_TOP: Final = frozenset(READ_MODELS) - {models.PageInfo, models.OrderLine, models.ProductStock, models.Supplier}
"""The models of rows; the others are read within them."""


def _places(error: DecodeError) -> str:
    """Where in a row the problems are; keys alone."""
    places = (_INDEX.sub("[]", problem.partition(":")[0]) for problem in error.problems)
    return ", ".join(dict.fromkeys(place for place in places if _PLACE.fullmatch(place))) or "it cannot be read"


_INDEX: Final = re.compile(r"\[\d+\]", re.ASCII)
_PLACE: Final = re.compile(r"\$?[A-Za-z.\[\]]{1,60}", re.ASCII)


@attrs.define
class Collector:
    """Gathers what is seen, without keeping any of it: verdicts, classes of values, counts.

    Attributes:
        requests: How many requests it was gathered from.
        origin: What made them: a probe, by reads alone, or the ordinary traffic of a client, as its hooks show it.
    """

    requests: int = 0
    origin: Literal["probe", "traffic"] = "probe"
    _verdicts: dict[str, list[tuple[Verdict, str]]] = attrs.field(factory=dict)
    _rows: Counter[str] = attrs.field(factory=Counter)
    _kinds: dict[str, Counter[str]] = attrs.field(factory=dict)
    _keys: Counter[str] = attrs.field(factory=Counter)
    _values: Counter[str] = attrs.field(factory=Counter)
    _statuses: Counter[str] = attrs.field(factory=Counter)
    _headers: set[str] = attrs.field(factory=set)

    def note(self, fact: str, verdict: Verdict, detail: str = "") -> None:
        """Record a finding about a fact.

        A refutation has priority over a confirmation. Details must not identify a person or shop.
        """
        if (verdict, detail) not in (known := self._verdicts.setdefault(fact, [])) and len(known) < _MOST:
            known.append((verdict, detail))

    def verdict_of(self, fact: str) -> Verdict:
        """The finding so far."""
        return _weightiest([verdict for verdict, _ in self._verdicts.get(fact, ())])

    def status(self, route: str, status: int) -> None:
        """Count an answer."""
        self._statuses[f"{route} {status}"] += 1

    def headers(self, names: Iterable[str]) -> None:
        """Note which of the well-known headers an answer has."""
        self._headers.update(shown for name in names if (shown := _SHOWN_HEADERS.get(name.lower())))

    def envelope(self, answer: Mapping[str, Any]) -> None:
        """Note which keys a list has in addition to `items` and `pageInfo`."""
        self._rows["List"] += 1
        self._unknown_keys("List", answer, {"items", "pageInfo"})

    def rows(self, cls: type[Any], rows: Iterable[Any]) -> None:
        """Look at rows as they came: kinds of values of known fields, and unknown fields."""
        known = _KNOWN[cls]
        for row in rows:
            if not isinstance(row, Mapping):
                self.note("format.rows", "refuted", f"{cls.__name__}: {kind_of(row)} instead of an object")
                continue
            self._rows[cls.__name__] += 1
            if cls in _TOP:
                self._try_to_read(cls, row)
            for key in row.keys() & known.keys():
                self._field(cls, *known[key], row[key])
            self._unknown_keys(cls.__name__, row, known)

    def _unknown_keys(self, owner: str, found: Mapping[str, Any], known: Container[str]) -> None:
        for key in found:
            if key not in known and len(self._keys) < _MOST:
                self._keys[f"{owner}.{key if _KEY.fullmatch(key) else '?'}"] += 1

    def _try_to_read(self, cls: type[Any], row: Mapping[str, Any]) -> None:
        try:
            decode(dict(row), cls)
        except DecodeError as error:
            self.note("format.rows", "refuted", f"{cls.__name__}: {_places(error)}")
        else:
            self.note("format.rows", "confirmed")

    def _field(self, cls: type[Any], name: str, kind: Any, value: Any) -> None:
        found = kind_of(value)
        if found == "0 or 1" and bool not in _parts(kind):
            found = "whole number"
        path = f"{cls.__name__}.{name}"
        if path not in self._kinds:
            self._kinds[path] = Counter()
        self._kinds[path][found] += 1
        inner, enum = _model_in(kind), _enum_in(kind)
        if inner is not None and isinstance(value, Mapping | list):
            self.rows(inner, value if isinstance(value, list) else [value])
        if enum is not None and isinstance(value, str) and not enum(value).is_known and len(self._values) < _MOST:
            self._values[f"{enum.__name__}.{value if _is_plain(value) else '?'}"] += 1

    def drift(self, seen: DriftDetected) -> None:
        """Note what a client noticed while it read."""
        name = seen.value if seen.kind in {"value", "event"} else seen.field
        shown = name if (_is_plain(name) or (seen.kind != "value" and _KEY.fullmatch(name))) else "?"
        (self._values if seen.kind in {"value", "event"} else self._keys)[f"{seen.model}.{shown}"] += 2

    def report(self) -> Report:
        """What was found until now."""
        verdicts = {**self._verdicts}
        for fact, found in (*self._format_verdicts(), *self._field_verdicts()):
            verdicts[fact] = [*verdicts.get(fact, ()), found]
        for known in FACTS.values():
            if known.id not in verdicts:
                verdicts[known.id] = [("could not tell", _NOT_BY_READS.get(known.shown_by, _UNTOLD[self.origin]))]
        ordered = [*FACTS, *(fact for fact in verdicts if fact not in FACTS)]
        return Report(
            findings=tuple(_finding(fact, verdicts.get(fact, [])) for fact in ordered),
            fields=self._fields(),
            unknown=self._unknown(),
            statuses=_by_owner(self._statuses, " "),
            headers=tuple(sorted(self._headers)),
            requests=self.requests,
            origin=self.origin,
        )

    def _unknown(self) -> dict[str, tuple[str, ...]]:
        """Names that came in several rows: a name that came once may be personal, so it is not shown."""
        found: dict[str, set[str]] = {}
        for counts in (self._keys, self._values):
            for path, times in counts.items():
                owner, _, name = path.partition(".")
                often = times >= max(2, self._rows[owner] // 5 if counts is self._keys else 2)
                found.setdefault(owner, set()).add(name if often and name != "?" else "(not shown)")
        return {owner: tuple(sorted(names)) for owner, names in sorted(found.items())}

    def _fields(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for cls in READ_MODELS:
            rows = self._rows[cls.__name__]
            for name in dict.fromkeys(name for name, _ in _KNOWN[cls].values()):
                kinds = self._kinds.get(f"{cls.__name__}.{name}", Counter())
                if rows:
                    told = ", ".join(f"{kind} {_share(times, rows)}" for kind, times in kinds.most_common())
                    found.setdefault(cls.__name__, {})[name] = told or "never came"
        return found

    def _format_verdicts(self) -> Iterator[tuple[str, tuple[Verdict, str]]]:
        """The formats of dates, amounts and flags, and whether all fields and values are known."""
        if not self._rows:
            return
        for fact, of_type, fields, fit in _FORMATS:
            seen: Counter[str] = Counter()
            for cls in READ_MODELS:
                for name, kind in _KNOWN[cls].values():
                    path = f"{cls.__name__}.{name}"
                    if of_type in _parts(kind) and (not fields or path in fields):
                        seen.update({f"{path}: {kind}": n for kind, n in self._kinds.get(path, Counter()).items()})
            unfit = sorted(text for text in seen if text.partition(": ")[2] not in fit)
            told = [text for text in seen if not text.endswith((": null", ": empty text"))]
            yield fact, ("refuted", ", ".join(unfit)) if unfit else ("confirmed" if told else "could not tell", "")
        for fact, counts in (("fields.open", self._keys), ("values.open", self._values)):
            owners = sorted({path.partition(".")[0] for path in counts})
            yield fact, ("confirmed", f"in {', '.join(owners)}") if owners else ("could not tell", "none came")

    def _field_verdicts(self) -> Iterator[tuple[str, tuple[Verdict, str]]]:
        """The fields that are not sure: whether they came."""
        for fact, confidence in _field_confidences().items():
            kinds = self._kinds.get(fact.removeprefix("field."), Counter())
            if confidence != "A" and not fact.endswith("*"):
                came = sum(times for kind, times in kinds.items() if kind != "null")
                seen = self._rows[fact.split(".")[1]]
                why = "came as null only" if kinds else "never came" if seen else _UNTOLD[self.origin]
                yield fact, ("confirmed", "") if came else ("could not tell", why)

    def to_state(self) -> dict[str, Any]:
        """The state for a later run, ready for `json.dumps`; like the report, it has no values."""
        state = {**attrs.asdict(self, recurse=False), "_headers": sorted(self._headers)}
        for name in ("_keys", "_values"):
            named: Counter[str] = Counter()
            for path, times in state[name].items():
                named[path if times > 1 else f"{path.partition('.')[0]}.?"] += times
            state[name] = named
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Collector:
        """The opposite of `to_state`.

        Raises:
            ValueError: The data is not the state of a probe.
        """
        try:
            parts = {field.name: state[field.name] for field in attrs.fields(cls)}
            return _CONVERTER.structure(parts, cls)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("the data is not the state of a probe") from error


_CONVERTER: Final = Converter(detailed_validation=False)


class Observer:
    """Collects the same facts from normal traffic through hooks, without requests.

    ```python
    observer = Observer()
    gg = GoedGepickt(hooks=Hooks.combined(my_hooks, observer.hooks))
    ...
    print(observer.report().to_markdown())
    ```

    It uses the data of hooks: statuses, page sizes, 429s and drift. Its report lists the same facts as
    the report of a probe, and says which facts only a probe can check.
    """

    def __init__(self) -> None:
        self._collector = Collector(origin="traffic")
        self.hooks: Final = Hooks(
            response=self._on_response, page=self._on_page, throttled=self._on_throttled, drift=self._collector.drift
        )

    def report(self) -> Report:
        """Return the report so far."""
        return self._collector.report()

    def _on_response(self, event: ResponseReceived) -> None:
        self._collector.requests += 1
        self._collector.status(f"{event.method} {event.route}", event.status)
        if event.status < 300:
            self._collector.note(
                "format.success", "confirmed" if event.status == 200 else "refuted", f"HTTP {event.status}"
            )

    def _on_page(self, event: PageRead) -> None:
        self._collector.note("list.shape", "confirmed")
        if event.rows >= 100:
            verdict: Verdict = "confirmed" if event.rows == 100 else "refuted"
            self._collector.note("list.largest-size", verdict, f"{event.route}: {event.rows} rows")

    def _on_throttled(self, event: ResponseReceived) -> None:
        self._collector.note("limit.number", "refuted", f"HTTP 429 at {event.route} within the budget")


_DATE_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
_TEXTS: Final = (
    ("empty text", re.compile(r"")),
    ("whole number as text", re.compile(r"-?\d+", re.ASCII)),
    ("decimal as text", re.compile(r"-?\d+\.\d+", re.ASCII)),
    ("date", re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)),
)


def kind_of(value: Any) -> str:
    """The class of a JSON value, and nothing of the value."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, int):
        return "0 or 1" if value in {0, 1} else "whole number"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        if found := _DATE_TIME.fullmatch(value):
            zone = "Z" if found[3] == "Z" else "offset" if found[3] else "no offset"
            return f"date-time ({'T' if 'T' in value else 'space'}, {zone})"
        return next((name for name, pattern in _TEXTS if pattern.fullmatch(value)), "text")
    return "list" if isinstance(value, list) else "object"


_MOMENTS: Final = {
    f"date-time ({joint}, {zone})" for joint in ("T", "space") for zone in ("Z", "offset", "no offset")
} | {"null", "empty text"}
_PLAIN_MOMENT: Final = {"date-time (space, no offset)", "null", "empty text"}
_AMOUNTS: Final = {"decimal as text", "whole number as text", "null", "empty text"}
_FLAGS: Final = {"boolean", "0 or 1", "null", "whole number as text"}
_AMOUNT_FIELDS: Final = frozenset({"Order.totalPaid", "Product.price", "Product.costPrice", "Product.taxRate"})
_FORMATS: Final[tuple[tuple[str, type, frozenset[str], set[str]], ...]] = (
    ("format.date-time", datetime, frozenset(), _MOMENTS),
    ("format.date-style", datetime, frozenset(), _PLAIN_MOMENT),
    ("format.amount", Decimal, _AMOUNT_FIELDS, _AMOUNTS),
    ("format.flag", bool, frozenset(), _FLAGS),
)


def _is_plain(value: str) -> bool:
    return bool(_VALUE.fullmatch(value)) and len(value) <= 40


@cache
def _parts(kind: Any) -> tuple[Any, ...]:
    """The types in a union or a tuple; else the type alone."""
    return typing.get_args(kind) or (kind,)


@cache
def _model_in(kind: Any) -> type[Any] | None:
    return next((part for part in _parts(kind) if part in READ_MODELS), None)


@cache
def _enum_in(kind: Any) -> type[OpenEnum] | None:
    return next((part for part in _parts(kind) if isinstance(part, type) and issubclass(part, OpenEnum)), None)


def _fields_of(cls: Any) -> dict[str, tuple[str, Any]]:
    """Key on the wire -> the field's first name and type; each part of an address is a separate field."""
    known: dict[str, tuple[str, Any]] = {}
    for field, info in described(cls):
        if info.is_flat:
            for part, inner in described(Address):
                for name in (inner.name, *inner.aliases):
                    known[info.name + name] = (info.name + inner.name, part.type)
        else:
            known.update(dict.fromkeys((info.name, *info.aliases), (info.name, field.type)))
    return known


def _weightiest(verdicts: list[Verdict]) -> Verdict:
    return max(verdicts, key=lambda verdict: _WEIGHT[verdict]) if verdicts else "could not tell"


def _finding(fact: str, found: list[tuple[Verdict, str]]) -> Finding:
    verdict = _weightiest([verdict for verdict, _ in found])
    details = dict.fromkeys(detail for said, detail in found if said == verdict and detail)
    return Finding(fact, verdict, tuple(details))


def _share(times: int, rows: int) -> str:
    """A share in tens of percent: exact counts say how large a shop is."""
    percent = 100 * times / max(rows, times)
    return "all" if times >= rows else "under 5 %" if percent < 5 else f"about {max(1, round(percent / 10))}0 %"


def _by_owner(counts: Counter[str], joint: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for path, times in sorted(counts.items()):
        owner, _, name = path.rpartition(joint)
        found.setdefault(owner, {})[name] = "once" if times == 1 else f"about {float(f'{times:.1g}'):,.0f} times"
    return found


_KNOWN: Final[dict[type[Any], dict[str, tuple[str, Any]]]] = {cls: _fields_of(cls) for cls in READ_MODELS}
"""The known fields of each model."""
