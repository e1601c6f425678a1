"""The web application: `uvicorn app:app --workers 4`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from goedgepickt_async import BudgetExhaustedError, GoedGepickt


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with GoedGepickt() as gg:
        app.state.gg = gg.with_options(timeout=3, max_wait=1, deadline=5)
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/stock/{sku}")
async def stock(sku: str) -> dict[str, object]:
    product = await app.state.gg.products.find_by_sku(sku)
    return {"sku": sku, "free": product.stock.free_stock if product and product.stock else None}


@app.exception_handler(BudgetExhaustedError)
async def busy(_request: object, error: BudgetExhaustedError) -> JSONResponse:
    return JSONResponse({"error": "busy"}, 503, {"Retry-After": str(round(error.wait) + 1)})
