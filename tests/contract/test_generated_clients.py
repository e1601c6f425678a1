"""Clients that others' generators make of the OpenAPI document work against the sandbox, in Python and in TypeScript.

They run in `nox -s contract`, which installs the generators; elsewhere they are skipped.
"""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from goedgepickt_async.contract import openapi
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.testing import serving

NODE = Path(os.environ.get("GOEDGEPICKT_NODE_MODULES", "")).resolve()
"""A `node_modules` with openapi-typescript, openapi-fetch and typescript."""

PYTHON = """
import sys
from gg import AuthenticatedClient, models as m
from gg.api.orders import create_orders, get_orders, list_orders
from gg.api.pick_locations import list_pick_locations
from gg.api.products import create_products, list_products
from gg.api.shipments import list_shipments
from gg.api.stock import get_stock, mutate_stock
from gg.api.webhooks import create_webhooks, list_webhooks
from gg.api.webshops import list_webshops

client = AuthenticatedClient(sys.argv[1], sys.argv[2], headers={"Accept": "application/json"})
shop = list_webshops.sync(client=client).items[0].uuid
for listing in (list_products, list_orders, list_shipments, list_pick_locations):
    assert len(listing.sync(client=client, per_page=10).items) == 10
product = create_products.sync(client=client, body=m.NewProduct(webshop_uuid=shop, name="x", sku="GEN-1")).items[0]
found = list_products.sync(client=client, search_attribute="sku", search_delimiter="=", search_value="GEN-1").items
assert [one.uuid for one in found] == [product.uuid]
line = m.NewOrderLine(sku="GEN-1", product_name="x", product_quantity=1, tax_rate="21")
order = m.NewOrder(webshop_uuid=shop, order_id="GEN", order_status="open", order_items=[line], billing_country="NL")
made = create_orders.sync(client=client, body=order)
assert get_orders.sync(made.order_uuid, client=client).status == "backorder"
place = list_pick_locations.sync(client=client).items[0].uuid
mutate_stock.sync(product.uuid, client=client, body=m.MutateStockBody(mutation=3, pick_location_uuid=place))
assert get_stock.sync(product.uuid, client=client).stock_locations[0].stock_quantity == 3
hook = m.NewWebhook(webshop_uuid=shop, webhook_event="order.statusChanged", target_url="https://shop.example.test/hook")
assert create_webhooks.sync(client=client, body=hook).webhook_secret
assert len(list_webhooks.sync(client=client).items) == 1
refused = create_products.sync_detailed(client=client, body=m.NewProduct(webshop_uuid=shop, name="x", sku="GEN-1"))
assert refused.status_code == 422 and isinstance(refused.parsed, m.Error)
"""

TYPESCRIPT = """
import createClient from "openapi-fetch";
import type { components, paths } from "./gg";

const [url, key] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url!, headers: { Authorization: `Bearer ${key}`, Accept: "application/json" } });
const check = (fine: boolean, what: string) => { if (!fine) throw new Error(what); };

const main = async () => {
  const shop = (await client.GET("/webshops")).data!.items[0]!.uuid;
  const page = await client.GET("/orders", { params: { query: { perPage: 10, orderBy: "createDate" } } });
  check(page.data!.items.length === 10 && page.data!.pageInfo!.itemsPerPage === 10, "orders");
  const line: components["schemas"]["NewOrderLine"] = { sku: "none", productName: "x", productQuantity: 1, taxRate: "21" };
  const body = { webshopUuid: shop, orderId: "TS", orderStatus: "open", orderItems: [line], ignoreUnknownProductWarnings: true };
  const made = (await client.POST("/orders", { body })).data!;
  check("orderUuid" in made && typeof made.orderUuid === "string", "create");
  const uuid = (made as { orderUuid: string }).orderUuid;
  const order = (await client.GET("/orders/{uuid}", { params: { path: { uuid } } })).data!;
  check(order.externalDisplayId === "TS" && order.products!.length === 1, "get");
  const product = (await client.GET("/products", { params: { query: { perPage: 1 } } })).data!.items[0]!;
  const path = { uuid: product.uuid };
  check((await client.PUT("/products/{uuid}/stock-mutation", { params: { path }, body: { mutation: 2 } })).response.ok, "stock");
  const refused = await client.POST("/orders", { body: { ...body, orderItems: [] } });
  check(typeof refused.error === "object" && typeof refused.error.message === "string", "refused");
};
main().catch((error) => { console.error(error); process.exit(1); });
"""


def run(*command: str | Path, cwd: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ran = subprocess.run(
        command, cwd=cwd, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-4000:]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("openapi_python_client") is None, reason="openapi-python-client is not installed")
def test_a_client_of_openapi_python_client_works(tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(openapi()))
    (tmp_path / "names.yml").write_text("package_name_override: gg\nproject_name_override: gg\npost_hooks: []\n")
    options = ["--path", "openapi.json", "--config", "names.yml", "--meta", "none", "--fail-on-warning"]
    (tmp_path / "use.py").write_text(
        "from openapi_python_client.cli import app\n"
        f"assert not app({['generate', *options]}, standalone_mode=False), 'the generator warns'\n{PYTHON}"
    )
    with serving(Sandbox(orders=60, products=30, limit=None)) as sandbox:
        run(sys.executable, "use.py", sandbox.url, sandbox.api_key, cwd=tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None or not (NODE / "openapi-fetch").exists(), reason="no generator of npm")
def test_a_client_of_openapi_typescript_passes_the_type_check_and_works(tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(openapi()))
    (tmp_path / "use.ts").write_text("declare const process: any;\n" + TYPESCRIPT)
    (tmp_path / "node_modules").symlink_to(NODE, target_is_directory=True)
    run("node", NODE / "openapi-typescript" / "bin" / "cli.js", "openapi.json", "-o", "gg.d.ts", cwd=tmp_path)
    options = ["--strict", "--noUncheckedIndexedAccess", "--target", "es2022", "--module", "commonjs"]
    options += ["--moduleResolution", "node10", "--esModuleInterop", "--lib", "es2022,dom"]
    run("node", NODE / "typescript" / "bin" / "tsc", *options, "use.ts", cwd=tmp_path)
    with serving(Sandbox(orders=60, products=30, limit=None)) as sandbox:
        run("node", "use.js", sandbox.url, sandbox.api_key, cwd=tmp_path)
