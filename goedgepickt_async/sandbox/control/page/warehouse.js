// Orders and products.
import { api, attempt, chip, details, el, open, say } from "./dom.js";
import { Grid } from "./grid.js";

const STATUSES = ["open", "ready_for_picking", "backorder", "on_hold", "completed", "cancelled", "awaiting_prescription"];
const NEXT = ["ship", "restock", "reserve", "deliver"];
const KINDS = { completed: "good", backorder: "warn", cancelled: "bad", on_hold: "warn" };

function delayed(work, milliseconds = 250) {
  let timer;
  return () => { clearTimeout(timer); timer = setTimeout(work, milliseconds); };
}

async function act(uuid, action) {
  const answer = await attempt(() => api("POST", `/orders/${uuid}/${action}`));
  if (answer) say(`${answer.order.externalDisplayId}: ${action} done, now ${answer.order.status}`);
}

export function orders() {
  const search = el("input", { type: "search", placeholder: "Number, uuid, name, city, SKU", "aria-label": "Search orders", oninput: delayed(() => grid.refresh({ top: true })) });
  const status = el("select", { "aria-label": "Status", onchange: () => grid.refresh({ top: true }) },
    el("option", { value: "" }, "Any status"), STATUSES.map((name) => el("option", { value: name }, name)));
  const order = el("select", { "aria-label": "Order", onchange: () => grid.refresh({ top: true }) },
    el("option", { value: "desc" }, "Newest first"), el("option", { value: "asc" }, "Oldest first"));
  const grid = new Grid({
    kind: "orders",
    label: "Orders",
    columns: [
      { name: "number", title: "Number", show: (row) => row.number },
      { name: "status", title: "Status", show: (row) => chip(row.status, KINDS[row.status]) },
      { name: "created", title: "Created", class: "soft", show: (row) => row.created },
      { name: "customer", title: "Customer", show: (row) => row.customer || "–" },
      { name: "city", title: "City", class: "soft", show: (row) => [row.city, row.country].filter(Boolean).join(", ") },
      { name: "lines", title: "Lines", class: "num", show: (row) => row.lines },
      { name: "total", title: "Total", class: "num", show: (row) => row.total || "–" },
      { name: "actions", title: "Next", class: "row-actions", show: (row) => {
        const next = NEXT.find((name) => row.actions.includes(name));
        return next ? el("button", { type: "button", "data-action": next, "data-uuid": row.uuid, "aria-label": `${next} order ${row.number}`, onclick: () => act(row.uuid, next) }, next) : "";
      } },
    ],
    load: (offset, limit) => api("GET", `/orders?${new URLSearchParams({ offset, limit, order: order.value, search: search.value, status: status.value })}`),
    open: (row) => openOrder(row.uuid),
  });
  const arrive = el("button", { type: "button", class: "main", onclick: async () => {
    const answer = await attempt(() => api("POST", "/orders", {}));
    if (answer) { say(`Order ${answer.order.externalDisplayId} arrived`); openOrder(answer.order.uuid); }
  } }, "New order");
  return {
    elements: [el("div", { class: "bar" }, search, status, order, arrive, grid.count), grid.element],
    refresh: () => grid.refresh(),
    changed: (kinds) => { if ([...kinds].some((kind) => /^(order|shipment|reset|product\.stock|quirk)/.test(kind))) grid.refresh(); },
  };
}

export function openOrder(uuid) { open(`order ${uuid}`, () => orderDetail(uuid)); }

async function orderDetail(uuid) {
  const { order, actions, stage, missing, shipments } = await api("GET", `/orders/${uuid}`);
  const buttons = actions.map(({ name, text }) => el("button", {
    type: "button", title: text, "data-action": name, class: name === "ship" ? "main" : ["cancel", "return"].includes(name) ? "danger" : "",
    onclick: () => act(uuid, name).then(() => open(`order ${uuid}`, () => orderDetail(uuid))),
  }, name));
  return orderElements({ order, stage, missing, shipments, buttons });
}

function orderElements({ order, stage, missing, shipments, buttons }) {
  const address = (side) => [
    [order[`${side}FirstName`], order[`${side}LastName`]].filter(Boolean).join(" "),
    [order[`${side}Address`], order[`${side}HouseNumber`], order[`${side}HousenumberAddition`]].filter(Boolean).join(" "),
    [order[`${side}Zipcode`], order[`${side}City`], order[`${side}Country`]].filter(Boolean).join(" "),
  ].filter(Boolean).join(", ");
  const short = new Map(missing.map((one) => [one.productUuid, one.missing]));
  return [`Order ${order.externalDisplayId}`, [
    el("div", {}, chip(order.status, KINDS[order.status]), " ", el("span", { class: "soft" }, stage === order.status ? "" : stage.replace("_", " "))),
    buttons.length ? el("div", { class: "actions", role: "group", "aria-label": "Actions" }, buttons) : el("p", { class: "soft" }, "Nothing more can be done to it."),
    details([["uuid", el("span", { class: "mono" }, order.uuid)], ["Webshop", order.webshopName], ["Created", order.createDate], ["Finished", order.finishDate],
      ["Shipped", order.shippedDate], ["Paid", order.totalPaid], ["Attention", [1, "1", true].includes(order.attentionNeeded) ? "needed" : ""], ["To", address("shipping")], ["Note", order.customerNote]]),
    el("h3", {}, "Lines"),
    el("div", { class: "wide" }, el("table", {}, el("thead", {}, el("tr", {}, el("th", {}, "SKU"), el("th", {}, "Name"), el("th", { class: "num" }, "Ordered"), el("th", { class: "num" }, "Picked"), el("th", { class: "num" }, "Missing"))),
      el("tbody", {}, order.products.map((line) => el("tr", {}, el("td", { class: "mono" }, line.sku || "–", line.type === "normal" ? "" : ` (${line.type})`), el("td", {}, line.productName || "–"),
        el("td", { class: "num" }, line.productQuantity), el("td", { class: "num" }, line.pickedQuantity), el("td", { class: "num" }, short.get(line.productUuid) || "")))))),
    shipments.length ? el("h3", {}, "Shipments") : null,
    shipments.length ? el("div", { class: "wide" }, el("table", {}, el("tbody", {}, shipments.map((one) => el("tr", {}, el("td", {}, chip(one.status || "(empty)")), el("td", {}, one.shippingMethod), el("td", { class: "mono" }, one.trackTraceCode), el("td", {}, one.createDate), el("td", {}, one.deliveredDate ? `delivered ${one.deliveredDate}` : "")))))) : null,
    el("details", {}, el("summary", {}, "As the API serves it"), el("pre", { tabindex: "0" }, JSON.stringify(order, null, 2))),
  ].filter(Boolean)];
}

export function products() {
  const search = el("input", { type: "search", placeholder: "SKU, name or uuid", "aria-label": "Search products", oninput: delayed(() => grid.refresh({ top: true })) });
  const sort = el("select", { "aria-label": "Sort by", onchange: () => grid.refresh({ top: true }) },
    [["", "Oldest first"], ["sku", "SKU"], ["name", "Name"], ["free", "Least free"], ["reserved", "Least reserved"]].map(([value, text]) => el("option", { value }, text)));
  const stock = (row, name) => (row.stock ? (row.stock.unlimitedStock ? "∞" : row.stock[name]) : "–");
  const grid = new Grid({
    kind: "products",
    label: "Products",
    columns: [
      { name: "sku", title: "SKU", class: "mono", show: (row) => row.sku || "(none)" },
      { name: "name", title: "Name", show: (row) => row.name || "–" },
      { name: "price", title: "Price", class: "num", show: (row) => row.price || "–" },
      { name: "total", title: "Total", class: "num", show: (row) => stock(row, "totalStock") },
      { name: "reserved", title: "Reserved", class: "num", show: (row) => stock(row, "reservedStock") },
      { name: "free", title: "Free", class: "num", show: (row) => (row.stock && row.stock.freeStock < 0 && !row.stock.unlimitedStock ? chip(row.stock.freeStock, "bad") : stock(row, "freeStock")) },
    ],
    load: (offset, limit) => api("GET", `/products?${new URLSearchParams({ offset, limit, search: search.value, sort: sort.value })}`),
    open: (row) => openProduct(row.uuid),
  });
  return {
    elements: [el("div", { class: "bar" }, search, sort, grid.count), grid.element],
    refresh: () => grid.refresh(),
    changed: (kinds) => { if ([...kinds].some((kind) => /^(product|reset|order)/.test(kind))) grid.refresh(); },
  };
}

let delta = "10";
function openProduct(uuid) {
  open(`product ${uuid}`, async () => {
    const { product, locations, reserved_by: reserved, reserved_by_total: total } = await api("GET", `/products/${uuid}`);
    const amount = el("input", { type: "number", value: delta, "aria-label": "Pieces", oninput: () => { delta = amount.value; } });
    const change = (sign) => attempt(async () => {
      await api("POST", `/products/${uuid}/stock`, { mutation: sign * Number(amount.value) });
      say(`Stock of ${product.sku || product.uuid} changed`);
    });
    const stock = product.stock || {};
    return [product.name || product.sku || "Product", [
      details([["SKU", product.sku || "(none)"], ["uuid", el("span", { class: "mono" }, product.uuid)], ["Price", product.price], ["Type", product.type],
        ["Stock", product.stock ? `${stock.totalStock} in all, ${stock.reservedStock} reserved, ${stock.freeStock} free${stock.unlimitedStock ? " (unlimited)" : ""}` : "none is kept"]]),
      el("div", { class: "actions" }, amount, el("button", { type: "button", "data-action": "add", onclick: () => change(1) }, "Add"), el("button", { type: "button", "data-action": "take", onclick: () => change(-1) }, "Take")),
      el("h3", {}, "Where it lies"),
      locations.length ? el("table", {}, el("tbody", {}, locations.map((one) => el("tr", {}, el("td", {}, one.picklocationName), el("td", { class: "num" }, one.stockQuantity))))) : el("p", { class: "soft" }, "Nowhere."),
      el("h3", {}, `Reserved by ${total} orders`),
      el("div", { class: "actions" }, reserved.slice(0, 20).map((one) => el("button", { type: "button", onclick: () => openOrder(one.uuid) }, `${one.quantity} pcs${one.covered ? "" : ", waits"}`))),
      el("details", {}, el("summary", {}, "As the API serves it"), el("pre", { tabindex: "0" }, JSON.stringify(product, null, 2))),
    ]];
  });
}
