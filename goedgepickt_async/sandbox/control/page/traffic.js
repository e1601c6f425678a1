// Requests that arrive, and webhooks that leave.
import { api, attempt, chip, details, el, open, say, snippet, status, time } from "./dom.js";
import { Grid } from "./grid.js";

export function requests() {
  const search = el("input", { type: "search", placeholder: "Method, path, status or fault", "aria-label": "Filter requests", oninput: () => grid.refresh({ top: true }) });
  const grid = new Grid({
    kind: "requests",
    label: "Requests",
    columns: [
      { name: "status", title: "Status", show: (row) => status(row.status, row.fault) },
      { name: "method", title: "Method", class: "mono", show: (row) => row.method },
      { name: "path", title: "Path", class: "mono", show: (row) => row.path + (row.query.length ? `?${row.query.map((pair) => pair.join("=")).join("&")}` : "") },
      { name: "time", title: "ms", class: "num soft", show: (row) => (row.seconds === null ? "" : Math.round(row.seconds * 1000)) },
      { name: "at", title: "At", class: "soft", show: (row) => time(row.at) },
      { name: "fault", title: "Fault", show: (row) => (row.throttled ? chip("rate limit", "bad") : row.fault ? chip(row.fault, "warn") : row.base === "account" ? chip("account") : "") },
    ],
    load: (offset, limit) => api("GET", `/requests?${new URLSearchParams({ offset, limit, search: search.value })}`),
    open: (row) => open(`request ${row.number}`, async () => {
      const one = await api("GET", `/requests/${row.number}`);
      return [`${one.method} ${one.path}`, [
        details([["Status", status(one.status, one.fault)], ["At", time(one.at)], ["Took", one.seconds === null ? "" : `${Math.round(one.seconds * 1000)} ms`], ["API", one.base || "neither"],
          ["Fault", one.fault], ["Rate limit", one.throttled ? "refused" : ""], ["Carried out", one.applied ? "yes" : "no"], ["Connection", one.connection]]),
        one.query.length ? el("h3", {}, "Query") : null,
        one.query.length ? details(one.query) : null,
        el("h3", {}, "Headers"),
        details(one.headers),
        one.raw ? el("h3", {}, "Body") : null,
        one.raw ? el("pre", { tabindex: "0" }, one.body && typeof one.body === "object" ? JSON.stringify(one.body, null, 2) : one.raw) : null,
      ].filter(Boolean)];
    }),
  });
  const clear = el("button", { type: "button", onclick: () => attempt(() => api("DELETE", "/requests")) }, "Clear");
  return {
    elements: [el("div", { class: "bar" }, search, clear, grid.count), grid.element],
    refresh: () => grid.refresh(),
    changed: (kinds) => { if (kinds.has("request") || kinds.has("reset")) grid.refresh(); },
  };
}

const STATES = { delivered: "good", failed: "bad", refused: "bad", dropped: "bad", held: "warn", under_way: "warn" };

export function webhooks() {
  const list = el("div", { class: "scroll" });
  const url = el("input", { type: "url", required: true, placeholder: "http://127.0.0.1:8000/webhook", "aria-label": "Target URL" });
  const event = el("select", { "aria-label": "Event" }, ["order.statusChanged", "product.stockChanged"].map((name) => el("option", { value: name }, name)));
  const shop = el("select", { "aria-label": "Webshop" });
  const form = el("form", { class: "form", onsubmit: (submitted) => {
    submitted.preventDefault();
    attempt(async () => {
      await api("POST", "/webhooks", { webhookEvent: event.value, targetUrl: url.value, webshopUuid: shop.value });
      say("Subscribed");
      draw();
    });
  } }, el("label", {}, "Event", event), el("label", {}, "Webshop", shop), el("label", { class: "grow" }, "URL on this machine", url), el("button", { class: "main" }, "Subscribe"));
  const hooks = el("div", {});
  const log = el("div", {});
  list.append(el("fieldset", {}, el("legend", {}, "Subscriptions"), form, hooks), el("fieldset", {}, el("legend", {}, "Deliveries"), log));

  async function draw() {
    const answers = await attempt(() => Promise.all([api("GET", "/webhooks"), api("GET", "/deliveries?limit=100"), api("GET", "/")]));
    if (!answers) return;
    const [subscriptions, deliveries, state] = answers;
    if (shop.options.length !== state.world.webshops.length) shop.replaceChildren(...state.world.webshops.map((one) => el("option", { value: one.uuid }, one.name)));
    hooks.replaceChildren(subscriptions.items.length ? el("div", { class: "wide" }, el("table", {}, el("tbody", {}, subscriptions.items.map((hook) => el("tr", {},
      el("td", {}, hook.webhookEvent, el("br"), el("span", { class: "soft" }, hook.webshopName)), el("td", { class: "mono" }, hook.targetUrl), el("td", {}, hook.disabled ? chip("given up", "bad") : chip("active", "good")),
      el("td", {}, el("details", {}, el("summary", {}, "Secret"), snippet(hook.webhookSecret))),
      el("td", {}, el("div", { class: "row-actions" }, hook.disabled ? el("button", { type: "button", onclick: () => attempt(() => api("POST", `/webhooks/${hook.webhookUuid}/enable`)) }, "Enable") : null,
        el("button", { type: "button", class: "danger", "aria-label": `Delete the subscription of ${hook.targetUrl}`, onclick: () => attempt(() => api("DELETE", `/webhooks/${hook.webhookUuid}`)) }, "Delete")))))))) : el("p", { class: "soft" }, "None yet. A client subscribes with POST /webhooks; or use the form."));
    log.replaceChildren(deliveries.items.length ? el("div", { class: "wide" }, el("table", { id: "deliveries" }, el("thead", {}, el("tr", {}, ["State", "Event", "What", "Attempts", ""].map((title) => el("th", {}, title)))),
      el("tbody", {}, deliveries.items.map((one) => el("tr", {},
        el("td", {}, chip(one.state, STATES[one.state])), el("td", {}, one.event), el("td", {}, one.payload.newStatus ? `${one.payload.orderNumber}: ${one.payload.newStatus}` : `${one.payload.productSku}: ${one.payload.newStock}`),
        el("td", {}, one.attempts.length ? one.attempts.map((attempt) => attempt.status || attempt.problem).slice(-3).join(", ") + (one.attempts.length > 3 ? ` (${one.attempts.length})` : "") : "–"),
        el("td", {}, el("div", { class: "row-actions" }, el("button", { type: "button", "aria-label": `Details of delivery ${one.number}`, onclick: () => openDelivery(one.number) }, "Details"),
          el("button", { type: "button", "aria-label": `Resend delivery ${one.number}`, onclick: () => attempt(async () => { await api("POST", `/deliveries/${one.number}/resend`); say("Sent again"); }) }, "Resend")))))))) : el("p", { class: "soft" }, "None yet. Ship an order, or change a product's stock."));
    if (deliveries.total > 100) log.append(el("p", { class: "soft" }, `The newest 100 of ${deliveries.total}.`));
  }
  return {
    elements: [list],
    refresh: draw,
    changed: (kinds) => { if ([...kinds].some((kind) => /^(delivery|webhook|reset)/.test(kind))) draw(); },
  };
}

function openDelivery(number) {
  open(`delivery ${number}`, async () => {
    const one = await api("GET", `/deliveries/${number}`);
    return [`Delivery ${number}`, [
      details([["State", chip(one.state, STATES[one.state])], ["To", one.targetUrl], ["Event", one.event], ["Signature", el("span", { class: "mono" }, one.signature)]]),
      el("h3", {}, "Body, as it is signed"),
      snippet(one.body),
      el("h3", {}, "Attempts"),
      one.attempts.length ? el("table", {}, el("tbody", {}, one.attempts.map((attempt) => el("tr", {}, el("td", {}, time(attempt.at)), el("td", {}, attempt.status ? String(attempt.status) : attempt.problem), el("td", { class: "num" }, `${Math.round(attempt.seconds * 1000)} ms`))))) : el("p", { class: "soft" }, "None yet."),
    ]];
  });
}
