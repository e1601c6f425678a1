"""The probe: checks open facts at the real service, with reads only, and makes a report.

It makes at most 100 requests, on the bulk lane of the client's budget, which leaves slots to other work. A step is a
few requests for some facts; after each one the state can be saved, and a later run continues from it.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, time, timedelta
from typing import Any, Final

import attrs

from goedgepickt_async import models
from goedgepickt_async.client import GoedGepickt
from goedgepickt_async.contract.collector import Collector, Report, Verdict, kind_of
from goedgepickt_async.convert.hooks import Mismatch, as_list, parse_datetime
from goedgepickt_async.endpoints import ENDPOINTS
from goedgepickt_async.errors import APIError, AuthenticationError, DecodeError, RateLimitedError, TransportError
from goedgepickt_async.models.base import AMSTERDAM
from goedgepickt_async.settings import RetryPolicy

__all__ = ["AT_MOST", "Probe", "Step"]

AT_MOST: Final = 100
"""The largest number of requests of a probe."""

_TWICE: Final = RetryPolicy(max_attempts=2)
_WIRE_ATTEMPTS: Final = 2 * _TWICE.max_attempts
"""Requests of one call at most: an attempt whose pooled connection was closed is sent again."""
_REACH: Final = 10_000
_FAR: Final = 1_000_000
_LARGE: Final = 250
_ODD: Final = 97
"""A size at which the last page is hardly ever full, so that it is seen to be the last."""
_SMALL: Final = 5
_NUMBERS: Final = ("totalItems", "itemsPerPage", "currentPage", "lastPage")
_LISTS: Final = {
    "/products": models.Product,
    "/orders": models.Order,
    "/shipments": models.Shipment,
    "/picklocations": models.PickLocation,
    "/webshops": models.Webshop,
    "/webhooks": models.Webhook,
}
_LONG: Final = ("/products", "/orders", "/shipments", "/picklocations")
_BASES: Final = ("/api/fulfilment/v1", "/api/v1")
_OLDEST_FIRST: Final[dict[str, Any]] = dict(ENDPOINTS["orders.list"].query)
_JUNK_KEY: Final = "no-such-key"
_TEXT_KEYS: Final = ("message", "error", "errorMessage")


@attrs.frozen
class Step:
    """A step of the probe: some requests for some facts.

    Attributes:
        name: The name of the step.
        asks: The question, in one line.
        requests: The largest number of its requests.
    """

    name: str
    asks: str
    requests: int
    run: Callable[[Probe], Awaitable[None]] = attrs.field(repr=False)


@attrs.frozen
class _Answer:
    status: int
    json: Any = attrs.field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether it is a success; that any other than 200 is none of the service's, one fact says."""
        return 200 <= self.status < 300

    @property
    def info(self) -> Mapping[str, Any] | None:
        """`pageInfo`, where there is one."""
        found = self.json.get("pageInfo") if isinstance(self.json, Mapping) else None
        return found if isinstance(found, Mapping) else None

    @property
    def rows(self) -> list[Any] | None:
        """The items: a list, or PHP's object with numeric keys; None if the answer has no items."""
        return as_list(self.json.get("items")) if isinstance(self.json, Mapping) else None

    def values(self, key: str) -> list[Any]:
        """The values of a field in the rows."""
        return [row.get(key) for row in self.rows or () if isinstance(row, Mapping)]

    def said(self, name: str) -> int | None:
        """A number of `pageInfo`."""
        value = (self.info or {}).get(name)
        return int(value) if isinstance(value, int | str) and str(value).isdecimal() else None


class _LimitReachedError(Exception):
    """The largest number of requests is reached."""


class Probe:
    """Checks the open facts of the API with one client.

    Args:
        client: The client with the key. The probe only reads, and does not close the client.
        state: The result of `state()` of an earlier run, whose steps are not repeated.

    Raises:
        ValueError: The state is not from a probe.
    """

    def __init__(self, client: GoedGepickt, state: Mapping[str, Any] | None = None) -> None:
        self._client = client.with_options(lane="bulk", retry=_TWICE)
        self._done: list[str] = [str(name) for name in state.get("done", ())] if state else []
        self._numbers: dict[str, int] = dict(state.get("numbers", {})) if state else {}
        self.collector: Collector = Collector.from_state(state["collector"]) if state else Collector()
        self._remaining: int | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """The remaining steps."""
        return tuple(step for step in _STEPS if step.name not in self._done)

    def state(self) -> dict[str, Any]:
        """Return the state for a later run, as values for `json.dumps`: counts and classes, no values."""
        return {"done": self._done, "numbers": self._numbers, "collector": self.collector.to_state()}

    def report(self) -> Report:
        """Return the report so far."""
        return self.collector.report()

    async def run(self) -> AsyncIterator[Step]:
        """Run the remaining steps, and yield each finished step.

        Raises:
            AuthenticationError: The key is refused.
            TransportError: There is no response; `state()` has the finished steps.
            GoedGepicktError: Any other error of the package.
        """
        for step in self.steps:
            try:
                await step.run(self)
            except _LimitReachedError:
                return
            self._done.append(step.name)
            yield step

    # -- asking -------------------------------------------------------------------------------------------------------

    async def get(
        self,
        path: str,
        route: str | None = None,
        *,
        client: GoedGepickt | None = None,
        method: str = "GET",
        **query: Any,
    ) -> _Answer:
        """One read; a refusal is an answer too."""
        if self.collector.requests + _WIRE_ATTEMPTS > AT_MOST:
            raise _LimitReachedError
        route = route or path
        try:
            response = await (client or self._client).request(method, path, query=query, route=route)
        except (DecodeError, APIError, TransportError) as error:
            self.collector.requests += error.attempts
            if isinstance(error, DecodeError):
                self.note("format.success", "refuted", f"{method} {route}: a success that is not JSON")
                return _Answer(200, None)
            if not isinstance(error, APIError):
                raise
            self.collector.status(f"{method} {route}", error.status or 0)
            self._remaining = None  # a refusal of the key is not counted
            is_refused = isinstance(error, AuthenticationError) and client is None
            if not error.status or is_refused or isinstance(error, RateLimitedError):
                raise
            return _Answer(error.status, error.body)
        self.collector.requests += response.attempts
        self.collector.status(f"{method} {route}", response.status)
        self.note("format.success", "confirmed" if response.status == 200 else "refuted", f"HTTP {response.status}")
        if client is None:
            self._headers(response.headers, response.attempts)
        return _Answer(response.status, response.json)

    def note(self, fact: str, verdict: Verdict, detail: str = "") -> None:
        """Note what was found."""
        self.collector.note(fact, verdict, detail)

    def check(self, fact: str, *, holds: bool, detail: str = "") -> None:
        """Note whether it holds."""
        self.collector.note(fact, "confirmed" if holds else "refuted", "" if holds else detail)

    def _headers(self, headers: Mapping[str, str], attempts: int) -> None:
        self.collector.headers(headers)
        limit, remaining = (_whole(headers.get(f"X-RateLimit-{name}")) for name in ("Limit", "Remaining"))
        missing = [name for name, said in (("Limit", limit), ("Remaining", remaining)) if said is None]
        self.check(
            "limit.headers",
            holds=not missing,
            detail=f"missing: {', '.join(f'X-RateLimit-{name}' for name in missing)}",
        )
        if limit is not None:
            self.check("limit.number", holds=limit == 150, detail=f"X-RateLimit-Limit is {limit}")
        if remaining is not None and self._remaining is not None and attempts == 1 and remaining >= self._remaining:
            # A window that began between the two has more left; a count that stays as it is counts nothing.
            if remaining == self._remaining:
                self.note("limit.counts", "refuted", "X-RateLimit-Remaining stayed the same")
        elif remaining is not None and self._remaining is not None:
            self.note("limit.counts", "confirmed")
        self._remaining = remaining

    # -- steps --------------------------------------------------------------------------------------------------------

    async def other_api(self) -> None:
        """The same key at the other API, and a key that is none."""
        settings = self._client.settings
        here = next((end for end in _BASES if settings.base_url.endswith(end)), None)
        if here is not None:
            there = settings.base_url.removesuffix(here) + next(end for end in _BASES if end != here)
            async with self._elsewhere(settings.api_key, there) as other:
                status = (await self.get("/webshops", "/webshops (other API)", client=other)).status
            self.check("key.kinds", holds=status >= 400, detail="the other API takes the key too")
            if status >= 400:
                self.check("key.wrong-kind", holds=status == 401, detail=f"HTTP {status}")
        async with self._elsewhere(_JUNK_KEY, settings.base_url) as other:
            answer = await self.get("/webshops", "/webshops (unknown key)", client=other)
        self.check("error.key", holds=answer.status == 401, detail=f"HTTP {answer.status}")
        self._envelope(answer, "an unknown key")

    def _elsewhere(self, key: str, url: str) -> GoedGepickt:
        return GoedGepickt(key, base_url=url, budget=self._client.budget, lane="bulk", retry=_TWICE)

    async def small_lists(self) -> None:
        """Webshops and webhooks: their shape and fields."""
        for path in ("/webshops", "/webhooks"):
            self._shape(path, await self.get(path, perPage=100))

    async def sizes(self) -> None:
        """How large pages are, of each long list."""
        for path in _LONG:
            await self._sizes_of(path)

    async def _sizes_of(self, path: str) -> None:
        default = await self.get(path)
        if self._shape(path, default, sample=False):
            self._default_size(path, default)
        few = await self.get(path, perPage=_SMALL)
        many = await self.get(path, perPage=100, page=1)
        obeys = self._per_page(path, few, many)
        if not self._shape(path, many):
            return
        rows = len(many.rows or ())
        following = await self.get(path, perPage=100, page=2)
        self._disjoint(path, many, following)
        self._numbers[f"size {path}"] = rows
        self._numbers[f"more {path}"] = int(bool(following.rows) and following.rows != many.rows)
        if obeys and self._numbers[f"more {path}"]:
            await self._largest(path, many)

    def _default_size(self, path: str, answer: _Answer) -> None:
        rows, said = len(answer.rows or ()), answer.said("itemsPerPage")
        size = rows if rows > 15 else said if said is not None and said >= rows else None
        if size is not None and (rows >= 15 or said is not None):
            self.check("list.default-size", holds=size == 15, detail=f"{path}: {_about(size)}")

    def _disjoint(self, path: str, many: _Answer, following: _Answer) -> None:
        ids = [{identifier for row in answer.rows or () if (identifier := _id(row))} for answer in (many, following)]
        # Pages that are equal are one page again: another fact.
        if ids[1] and following.rows != many.rows:
            self.check("list.disjoint", holds=not ids[0] & ids[1], detail=f"{path}: rows are on two pages")

    def _per_page(self, path: str, few: _Answer, many: _Answer) -> bool:
        rows = len(few.rows or ())
        first = [[_id(row) for row in answer.rows or ()][:_SMALL] for answer in (few, many)]
        if not few.ok:
            self.note("list.per-page", "refuted", f"{path}: HTTP {few.status}")
        elif many.ok and first[0] != first[1] and len(first[0]) == _SMALL:
            self.note("list.per-page", "refuted", f"{path}: page 1 is not the first page")
        elif rows >= _SMALL:
            self.check(
                "list.per-page", holds=rows == _SMALL, detail=f"{path}: {_about(rows)} rows for perPage={_SMALL}"
            )
            self._items_per_page(path, few, rows)
        return few.ok and rows == _SMALL

    async def _largest(self, path: str, many: _Answer) -> None:
        """A page of 100 is followed by another: does a larger `perPage` give more?"""
        rows = len(many.rows or ())
        large = await self.get(path, perPage=_LARGE)
        if not large.ok:
            self.note("list.largest-size", "refuted", f"{path}: perPage={_LARGE} is refused with HTTP {large.status}")
            return
        given = len(large.rows or ())
        told = "more than 100" if given > 100 else _about(given)
        self.check("list.largest-size", holds=rows == given == 100, detail=f"{path}: {told} rows for perPage={_LARGE}")
        if given <= rows or given == _LARGE:  # else it is the whole list
            self._items_per_page(path, large, given)

    def _items_per_page(self, path: str, answer: _Answer, rows: int) -> None:
        said = answer.said("itemsPerPage")
        if said is not None:
            self.check(
                "list.items-per-page", holds=said == rows, detail=f"{path}: says {_about(said)}, gives {_about(rows)}"
            )

    def _shape(self, path: str, answer: _Answer, *, sample: bool = True) -> bool:
        """Whether it is a list; its rows are looked at."""
        if answer.ok and answer.info is not None and "items" not in answer.json:
            self.note("list.empty-items", "refuted", f"{path}: no items")
            return False
        if not answer.ok or answer.rows is None:
            why = f"HTTP {answer.status}" if not answer.ok else "no items"
            self.note("list.shape", "refuted", f"{path}: {why}")
            return False
        self.note("list.shape", "confirmed")
        self.collector.envelope(answer.json)
        self.check("list.page-info", holds=answer.info is not None, detail=f"{path}: none")
        numbers = [(answer.info or {}).get(name) for name in _NUMBERS]
        kinds = {kind_of(number) for number in numbers} - {"null", "0 or 1", "whole number"}
        if answer.info is not None:
            self.check("list.numbers", holds=not kinds, detail=f"{path}: {', '.join(sorted(kinds))}")
        if sample:
            self.collector.rows(_LISTS[path], answer.rows)
            self.collector.rows(models.PageInfo, [answer.info] if answer.info is not None else [])
        return True

    async def ends(self) -> None:
        """What lies past the end of each list."""
        for path in _LISTS:
            answer = await self.get(path, perPage=100, page=_FAR)
            fine = answer.ok and not answer.rows
            self.check("list.past-the-end", holds=fine, detail=f"{path}: {_rows_or_status(answer)}")
            if fine and isinstance(answer.json, Mapping) and (answer.info or not answer.json.keys() - {"items"}):
                self.check("list.empty-items", holds="items" in answer.json, detail=f"{path}: no items")
            self._numbers[f"ends {path}"] = int(fine)

    @property
    def _pages_are_sound(self) -> bool:
        """Whether page numbers say which rows come; else nothing follows from them."""
        return "refuted" not in {self.collector.verdict_of(fact) for fact in ("list.per-page", "list.disjoint")}

    async def totals(self) -> None:
        """Whether `totalItems` and `lastPage` are true."""
        for path in _LONG if self._pages_are_sound else ():
            size = self._numbers.get(f"size {path}", 0)
            if size and self._numbers.get(f"ends {path}"):
                await self._totals_of(path, size)

    async def _totals_of(self, path: str, size: int) -> None:
        size = min(size, _ODD)
        cap = _REACH // size
        last, answer = await self._last_page(path, cap)
        if answer is None or last == cap:
            return
        true = {"totalItems": (last - 1) * size + len(answer.rows or ()), "lastPage": last}
        if (answer.info or {}).get("cursor") and (answer.said("totalItems") or 0) > true["totalItems"]:
            self.note(
                "list.reach",
                "refuted",
                f"{path}: page numbers end at about {last * size:,} results, and a cursor leads further",
            )
            return
        for name, fact in (("totalItems", "list.total-items"), ("lastPage", "list.last-page")):
            said = answer.said(name)
            if said is not None:
                self.check(
                    fact, holds=said == true[name], detail=f"{path}: too {'many' if said > true[name] else 'few'}"
                )

    async def _last_page(self, path: str, cap: int) -> tuple[int, _Answer | None]:
        """The last page with rows as far as numbers reach, and its answer."""
        low, high, found = 0, cap + 1, None
        guess = 1
        while high - low > 1:
            answer = await self.get(path, perPage=_ODD, page=guess)
            if answer.rows:
                low, found = guess, answer
                said = answer.said("lastPage") or 0
                guess = said if low < said < high else low + 1 if low == said else (low + high) // 2
            else:
                high = guess
                guess = (low + high) // 2
        return low, found

    async def reach(self) -> None:
        """How far page numbers reach, where a list is long enough."""
        for path in ("/orders", "/products"):
            size = self._numbers.get(f"size {path}", 0)
            if not size or not self._numbers.get(f"more {path}") or not self._numbers.get(f"ends {path}"):
                continue
            cap = _REACH // size
            last = await self.get(path, perPage=100, page=cap)
            if last.rows:
                beyond = await self.get(path, perPage=100, page=cap + 1)
                more = len(last.rows) == size
                if beyond.rows:
                    self.note("list.reach", "refuted", f"{path}: further than 10,000 results")
                elif more and (last.info or {}).get("cursor"):
                    self.note("list.reach", "confirmed")
                return

    async def cursor(self) -> None:
        """Where the cursor of a page leads."""
        path = "/orders" if self._numbers.get("more /orders") else "/products"
        if not self._pages_are_sound:
            return
        first = await self.get(path, perPage=_SMALL)
        token = (first.info or {}).get("cursor")
        if not isinstance(token, str) or not first.rows:
            return
        second = await self.get(path, perPage=_SMALL, page=2)
        by_cursor = await self.get(path, perPage=_SMALL, cursor=token)
        if not by_cursor.ok or not by_cursor.rows or not second.rows:
            self.note("list.cursor", "refuted", f"{path}: {_rows_or_status(by_cursor)}")
            return
        same = [_id(row) for row in by_cursor.rows] == [_id(row) for row in second.rows]
        self.check("list.cursor", holds=same, detail=f"{path}: not the rows of the next page")
        if (by_cursor.info or {}).get("cursor") == token:
            self.note("list.cursor", "refuted", f"{path}: the next cursor is the same again")

    async def order(self) -> None:
        """In which order rows come, and what `orderBy` and `createdAfter` do."""
        sample = await self.get("/orders", perPage=100)
        self._ascending("/orders", sample)
        self._ascending("/shipments", await self.get("/shipments", perPage=100))
        newest = await self.get("/orders", perPage=100, **{**_OLDEST_FIRST, "orderByDirection": "desc"})
        moments, oldest = _moments(newest), _moments(sample)
        if len(set(moments)) > 1 and oldest:
            fine = moments == sorted(moments, reverse=True) and moments[0] >= oldest[-1]
            self.check("list.order-by", holds=fine, detail="/orders: descending is not newest first")
        elif not newest.ok:
            self.note("list.order-by", "refuted", f"/orders: HTTP {newest.status}")
        await self._created_after(sample)

    def _ascending(self, path: str, answer: _Answer) -> None:
        moments = _moments(answer)
        if len(set(moments)) > 1:
            self.check("list.order", holds=moments == sorted(moments), detail=f"{path}: not oldest first")

    async def _created_after(self, sample: _Answer) -> None:
        moments = sorted(_moments(sample))
        if not moments:
            return
        # A row of a night tells a Dutch day from one of UTC; else any row in the middle will do.
        night = [moment for moment in moments[1:] if moment.date() != _utc(moment).date()]
        day = (night or moments[len(moments) // 2 :])[0].date()
        start = datetime.combine(day, time(), AMSTERDAM)
        answer = await self.get("/orders", perPage=100, createdAfter=day.isoformat(), **_OLDEST_FIRST)
        given = _moments(answer)
        first = next(moment for moment in moments if moment.date() == day)
        if not answer.ok or not given:
            self.note("list.created-after", "refuted", f"/orders: {_rows_or_status(answer)}")
        elif given[0] < start - timedelta(hours=14):
            self.note("list.created-after", "refuted", "/orders: rows of earlier days come too")
        elif given[0].date() > day:
            self.note("list.created-after", "refuted", "/orders: the day itself is left out")
        else:
            self.note("list.created-after", "confirmed")
            if night or given[0] < start:
                fine = given[0] == first
                self.check("list.created-after-zone", holds=fine, detail="/orders: the day begins at another hour")
        coming = (datetime.now(AMSTERDAM) + timedelta(days=366)).date()
        future = await self.get("/orders", perPage=_SMALL, createdAfter=coming.isoformat())
        self.check("list.future", holds=future.ok and not future.rows, detail=f"/orders: {_rows_or_status(future)}")

    async def filters(self) -> None:
        """Whether filters let only through what they are asked for."""
        unknown = str(uuid.uuid4())
        for path in ("/products", "/orders"):
            if self._numbers.get(f"size {path}"):
                answer = await self.get(path, perPage=100, webshopUuid=unknown)
                refused = answer.status in {404, 422}
                self.check(
                    "filter.webshop", holds=refused or not answer.rows, detail=f"{path}: an unknown one is ignored"
                )
        sample = await self.get("/orders", perPage=100)
        by_status = Counter(status for status in sample.values("status") if isinstance(status, str) and status)
        if len(by_status) > 1:
            await self._status_filters(by_status)
        await self._sku_filter()
        odd = await self.get(
            "/orders", perPage=_SMALL, searchAttribute="noSuchThing", searchDelimiter="=", searchValue="x"
        )
        self.check("filter.unknown", holds=odd.status == 422, detail=f"/orders: HTTP {odd.status}")
        other = await self._search("/orders", "externalDisplayId", "no-such-order")
        self.check("filter.others", holds=other.ok, detail=f"/orders: HTTP {other.status}")

    async def _status_filters(self, by_status: Counter[str]) -> None:
        rarest = min(by_status, key=by_status.__getitem__)
        found = await self._search("/orders", "status", rarest)
        self._pure("/orders by status", found, "status", rarest)
        # Most orders were open once: where the filter looks at the past, they are in.
        leaky = await self.get("/orders", perPage=100, orderstatus="open")
        values = leaky.values("status")
        others = by_status.total() - by_status["open"]
        if leaky.ok and any(value != "open" for value in values):
            everything = values.count("open") == by_status["open"] and len(values) == by_status.total()
            detail = "/orders: the rows are those without a filter; it may be ignored" if everything else ""
            self.note("filter.orderstatus", "confirmed", detail)
        elif leaky.ok and others >= _SMALL:
            self.note("filter.orderstatus", "refuted", "/orders: only rows of that status came")

    async def _sku_filter(self) -> None:
        products = await self.get("/products", perPage=_SMALL)
        sku = next((text for text in products.values("sku") if isinstance(text, str) and text), None)
        if sku is not None:
            self._pure("/products by sku", await self._search("/products", "sku", sku), "sku", sku)

    async def _search(self, path: str, attribute: str, value: str) -> _Answer:
        return await self.get(path, perPage=100, searchAttribute=attribute, searchDelimiter="=", searchValue=value)

    def _pure(self, what: str, answer: _Answer, key: str, value: str) -> None:
        values = answer.values(key)
        fine = answer.ok and bool(values) and all(str(found) == value for found in values)
        why = "others come too" if values else _rows_or_status(answer)
        self.check("filter.search", holds=fine, detail=f"{what}: {why}")

    async def singles(self) -> None:
        """One order, one product, and its stock."""
        for path, cls in (("/orders", models.Order), ("/products", models.Product)):
            listed = await self.get(path, perPage=_SMALL)
            identifier = next((found for row in listed.rows or () if (found := _id(row))), None)
            if identifier is None:
                continue
            answer = await self.get(f"{path}/{identifier}", f"{path}/{{uuid}}")
            fine = answer.ok and _id(answer.json) == identifier
            self.check("format.single", holds=fine, detail=f"{path}/{{uuid}}: {_rows_or_status(answer)}")
            self.collector.rows(cls, [answer.json] if fine else [])
            if path == "/products":
                stock = await self.get(f"/products/{identifier}/stock", "/products/{uuid}/stock")
                places = stock.json.get("stockLocations") if isinstance(stock.json, Mapping) else None
                self.collector.rows(models.StockLocation, places if isinstance(places, list) else [])

    async def errors(self) -> None:
        """What refusals look like."""
        unknown = await self.get(f"/orders/{uuid.uuid4()}", "/orders/{unknown uuid}")
        self.check("error.uuid", holds=unknown.status == 404, detail=f"HTTP {unknown.status}")
        self._envelope(unknown, "an unknown uuid")
        unfit = await self.get("/orders", "/orders (no date)", perPage=_SMALL, createdAfter="no-date")
        self.check(
            "error.input", holds=unfit.status == 422, detail=f"createdAfter that is not a date: HTTP {unfit.status}"
        )
        self._envelope(unfit, "refused input")
        head = await self.get("/webshops", method="HEAD", perPage=_SMALL)
        self.check("format.head", holds=head.ok and not head.json, detail=f"HTTP {head.status}")

    def _envelope(self, answer: _Answer, what: str) -> None:
        if answer.status >= 400:
            fine = isinstance(answer.json, Mapping) and any(isinstance(answer.json.get(key), str) for key in _TEXT_KEYS)
            self.check("error.envelope", holds=fine, detail=f"{what}: none of {', '.join(_TEXT_KEYS)}")


_STEPS: Final = (
    Step("small-lists", "webshops and webhooks: shape and fields", 2, Probe.small_lists),
    Step("other-api", "this key at the other API, and an unknown key here", 2, Probe.other_api),
    Step("sizes", "sizes of pages: default, small, 100, larger", 20, Probe.sizes),
    Step("ends", "a page past the end of each list", 6, Probe.ends),
    Step("order", "the order of rows, orderBy, createdAfter", 5, Probe.order),
    Step("filters", "webshopUuid, status, sku, an unknown attribute", 9, Probe.filters),
    Step("singles", "one order, one product, its stock", 5, Probe.singles),
    Step("errors", "an unknown uuid, a date that is none, HEAD", 3, Probe.errors),
    Step("cursor", "where the cursor of a page leads", 3, Probe.cursor),
    Step("reach", "whether page numbers end at 10,000 results", 4, Probe.reach),
    Step("totals", "whether totalItems and lastPage are true", 40, Probe.totals),
)


def _about(rows: int) -> str:
    """A count, rounded unless it is a likely size of a page: an exact count may be the length of the whole list."""
    return (
        str(rows)
        if rows <= _SMALL or rows in {10, 15, 20, 25, 30, 40, 50, 75, 100, 250}
        else f"about {round(rows, -1)}"
    )


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None


def _rows_or_status(answer: _Answer) -> str:
    if not answer.ok:
        return f"HTTP {answer.status}"
    return "no items" if answer.rows is None else "rows" if answer.rows else "no rows"


def _id(row: Any) -> str | None:
    found = (row.get("uuid") or row.get("orderUuid")) if isinstance(row, Mapping) else None
    return found if isinstance(found, str) and found else None


def _moments(answer: _Answer) -> list[datetime]:
    moments: list[datetime] = []
    for text in answer.values("createDate"):
        with suppress(Mismatch, OverflowError):
            moments.append(parse_datetime(text).astimezone(AMSTERDAM))
    return moments


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None) - (moment.utcoffset() or timedelta())
