"""A small server with this API's lists that shares nothing with the sandbox: a probe that fits only the sandbox fails here.

Clean, it is as the tables of facts say. Each deviation is a name in `odd`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

KEY = "the-key-of-the-other-service"
LIMIT = 150
DUTCH = ZoneInfo("Europe/Amsterdam")
STATUSES = ("completed", "open", "backorder", "completed", "ready_for_picking")
DEVIATIONS: dict[str, set[str]] = {
    "head is refused": {"format.head"},
    "answers are gzipped": set(),
    "no counter headers": {"limit.headers"},
    "the counter stands still": {"limit.counts"},
    "a limit of 60": {"limit.number"},
    "totals as text": {"list.numbers"},
    "pages of 50 at most": {"list.largest-size"},
    "a size above 100 is refused": {"list.largest-size"},
    "pages count from 0": {"list.per-page"},
    "pages overlap": {"list.disjoint"},
    "dates as a Unix second": {"format.date-time", "format.date-style", "format.rows"},
    "dates with an offset": {"format.date-style"},
    "amounts as numbers": {"format.amount"},
    "newest first": {"list.order"},
    "orderBy is ignored": {"list.order-by"},
    "createdAfter leaves the day out": {"list.created-after"},
    "createdAfter is ignored": {"list.created-after", "list.future"},
    "days begin at midnight UTC": {"list.created-after-zone"},
    "more keys beside items": set(),
    "no pageInfo": {"list.page-info"},
    "rows under data": {"list.shape"},
    "the cursor starts again": {"list.cursor"},
    "the cursor skips a row": {"list.cursor"},
    "the cursor is refused": {"list.cursor"},
    "webshopUuid is ignored": {"filter.webshop"},
    "the search is ignored": {"filter.search", "filter.unknown"},
    "past the end is 404": {"list.past-the-end"},
    "past the end is the first page": {"list.past-the-end"},
    "totalItems one too many": {"list.total-items"},
    "single objects have a wrapper": {"format.single"},
    "unknown values": set(),
    "an unknown key is 403": {"error.key"},
    "an unknown uuid is 400": {"error.uuid"},
    "bad input is 400": {"error.input", "filter.unknown"},
    "errors are plain text": {"error.envelope"},
    "the other API takes the key too": {"key.kinds"},
    "success is 206": {"format.success"},
    "the default page has 25 rows": {"list.default-size"},
    "itemsPerPage is what was asked": {"list.items-per-page"},
}


class Service:
    """Answers as the tables say, but for what is odd."""

    def __init__(self, *odd: str) -> None:
        assert set(odd) <= DEVIATIONS.keys()
        self.odd = set(odd)
        self.asked = 0
        self.remaining = LIMIT
        self.shops = [
            {"uuid": _uuid(), "name": f"Shop {n}", "url": "https://a.test", "platform": "x"} for n in range(2)
        ]
        self.rows: dict[str, list[dict[str, Any]]] = {
            "webshops": self.shops,
            "webhooks": [],
            "picklocations": [{"uuid": _uuid(), "name": f"A-{n}"} for n in range(105)],
            "products": [self._product(n) for n in range(115)],
            "orders": [self._order(n) for n in range(115)],
            "shipments": [{"uuid": _uuid(), "createDate": self._moment(n), "status": "shipped"} for n in range(115)],
        }

    def _moment(self, number: int) -> Any:
        # Each third hour, so that some are between midnight in Amsterdam and midnight UTC.
        moment = datetime(2026, 7, 1, 1, 10, tzinfo=DUTCH) + timedelta(hours=3 * number)
        if "dates as a Unix second" in self.odd:
            return int(moment.timestamp())
        if "dates with an offset" in self.odd:
            return moment.isoformat()
        return moment.strftime("%Y-%m-%d %H:%M:%S")

    def _product(self, number: int) -> dict[str, Any]:
        price: Any = number + 0.5 if "amounts as numbers" in self.odd else f"{number}.50"
        stock = {"freeStock": number, "totalStock": number, "reservedStock": 0, "unlimitedStock": False}
        return {"uuid": _uuid(), "sku": f"S-{number}", "name": "x", "price": price, "stock": stock}

    def _order(self, number: int) -> dict[str, Any]:
        status = STATUSES[number % 5]
        if "unknown values" in self.odd and number % 2:
            status = "sent_to_the_moon"
        total: Any = number + 0.25 if "amounts as numbers" in self.odd else "12.25"
        row = {"uuid": _uuid(), "externalDisplayId": f"{number}", "status": status, "totalPaid": total, "products": []}
        return {**row, "createDate": self._moment(number), "attentionNeeded": 0}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        self.asked += 1
        body, status = self._answer(request)
        if status == 200 and "success is 206" in self.odd:
            status = 206
        is_text = status >= 400 and "errors are plain text" in self.odd
        reply = web.Response(text=str(body) if is_text else json.dumps(body), status=status)
        reply.content_type = "text/plain" if is_text else "application/json"
        if "no counter headers" not in self.odd:
            self.remaining -= "the counter stands still" not in self.odd
            reply.headers["X-RateLimit-Limit"] = "60" if "a limit of 60" in self.odd else str(LIMIT)
            reply.headers["X-RateLimit-Remaining"] = str(self.remaining)
        if "answers are gzipped" in self.odd:
            reply.enable_compression(web.ContentCoding.gzip)
        return reply

    def _answer(self, request: web.Request) -> tuple[Any, int]:
        base, _, path = request.path.partition("/v1/")
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return {"message": "Unauthenticated."}, 403 if "an unknown key is 403" in self.odd else 401
        if base != "/api" and "the other API takes the key too" not in self.odd:
            return {"message": "Unauthenticated."}, 401
        if request.method == "HEAD" and "head is refused" in self.odd:
            return {"message": "no"}, 405
        kind, _, rest = path.partition("/")
        if not rest:
            return self._list(kind, request.query)
        identifier, _, tail = rest.partition("/")
        found = next((row for row in self.rows[kind] if row["uuid"] == identifier), None)
        if found is None:
            return {"message": "no such thing"}, 400 if "an unknown uuid is 400" in self.odd else 404
        single = {"data": found} if "single objects have a wrapper" in self.odd else found
        return {"stockLocations": []} if tail else single, 200

    def _list(self, kind: str, query: Any) -> tuple[Any, int]:
        asked = int(query.get("perPage", 25 if "the default page has 25 rows" in self.odd else 15))
        largest = 50 if "pages of 50 at most" in self.odd else 100
        if asked > largest and "a size above 100 is refused" in self.odd:
            return {"message": "too large"}, 422
        size = min(asked, largest)
        try:
            rows = self._chosen(kind, query)
        except ValueError:
            return {"message": "bad input"}, 400 if "bad input is 400" in self.odd else 422
        page = int(query.get("page", 1)) - ("pages count from 0" not in self.odd and 1)
        if "pages count from 0" in self.odd and "page" not in query:
            page = 0
        start = max(0, page * size - (page > 0 and "pages overlap" in self.odd))
        if "cursor" in query:
            if "the cursor is refused" in self.odd:
                return {"message": "no"}, 422
            start = 0 if "the cursor starts again" in self.odd else int(query["cursor"])
            start += "the cursor skips a row" in self.odd
        items = rows[start : start + size]
        if not items and rows:
            if "past the end is 404" in self.odd:
                return {"message": "no page"}, 404
            if "past the end is the first page" in self.odd:
                items = rows[:size]
        return self._page(items, start, size, asked, len(rows)), 200

    def _page(self, items: list[Any], start: int, size: int, asked: int, total: int) -> dict[str, Any]:
        if "rows under data" in self.odd:
            return {"data": items}
        total += "totalItems one too many" in self.odd
        info: dict[str, Any] = {
            "totalItems": str(total) if "totals as text" in self.odd else total,
            "itemsPerPage": asked if "itemsPerPage is what was asked" in self.odd else size,
            "currentPage": start // size + 1,
            "lastPage": max(1, -(-total // size)),
        }
        if "totalItems one too many" in self.odd:
            info["lastPage"] = max(1, -(-(total - 1) // size))
        if start + size < total:
            info["cursor"] = str(start + size)
        more = {"links": {}, "requestId": "x"} if "more keys beside items" in self.odd else {}
        return {"items": items, **({} if "no pageInfo" in self.odd else {"pageInfo": info}), **more}

    def _chosen(self, kind: str, query: Any) -> list[dict[str, Any]]:
        rows = self.rows[kind]
        if "webshopUuid" in query and "webshopUuid is ignored" not in self.odd:
            rows = rows if query["webshopUuid"] in {shop["uuid"] for shop in self.shops} else []
        if "createdAfter" in query:
            rows = self._since(rows, query["createdAfter"])
        attribute = query.get("searchAttribute")
        if attribute and "the search is ignored" not in self.odd:
            if attribute not in {"sku", "status", "externalDisplayId"}:
                raise ValueError
            rows = [row for row in rows if row.get(attribute) == query["searchValue"]]
        if query.get("orderByDirection") == "desc" and "orderBy is ignored" not in self.odd:
            return rows[::-1]
        if "newest first" in self.odd and "orderBy" not in query:
            return rows[::-1]
        return rows

    def _since(self, rows: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
        zone = UTC if "days begin at midnight UTC" in self.odd else DUTCH
        start = datetime.fromisoformat(text).replace(tzinfo=zone)
        if "createdAfter leaves the day out" in self.odd:
            start += timedelta(days=1)
        if "createdAfter is ignored" in self.odd:
            return rows
        return [row for row in rows if _read(row["createDate"]) >= start]


def _read(moment: Any) -> datetime:
    if isinstance(moment, int):
        return datetime.fromtimestamp(moment, DUTCH)
    return datetime.fromisoformat(moment) if "+" in moment else datetime.fromisoformat(moment).replace(tzinfo=DUTCH)


def _uuid() -> str:
    return str(uuid.uuid4())


@asynccontextmanager
async def serve(service: Service) -> AsyncIterator[str]:
    """Its base URL, while it runs."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/api/v1"
    finally:
        await runner.cleanup()
