// Faults and quirks; and how to connect.
import { api, attempt, chip, el, say, snippet } from "./dom.js";

export function trouble() {
  const list = el("div", { class: "scroll" });
  const faults = el("div", {});
  const quirks = el("div", {});
  const kind = el("select", { "aria-label": "Fault" });
  const method = el("select", {}, ["*", "GET", "POST", "PUT"].map((name) => el("option", { value: name }, name)));
  const path = el("input", { type: "text", value: "/orders", size: 16 });
  const times = el("input", { type: "number", min: 0, value: "1" });
  const form = el("form", { class: "form", onsubmit: (event) => {
    event.preventDefault();
    attempt(async () => {
      const count = Number(times.value);
      await api("POST", "/faults", { fault: kind.value, method: method.value, path: path.value || "*", times: count || null });
      say(count ? "The fault will be played" : "The fault is played until it is removed");
      drawFaults();
    });
  } }, el("label", {}, "What goes wrong", kind), el("label", {}, "Method", method), el("label", {}, "Path, * for any", path), el("label", {}, "Times, 0 for ever", times), el("button", { class: "main" }, "Add"));
  const limit = el("input", { type: "number", min: 0, value: "150" });
  const period = el("input", { type: "number", min: 1, value: "60" });
  const throttle = el("form", { class: "form", onsubmit: (event) => {
    event.preventDefault();
    attempt(async () => { await api("PUT", "/throttle", { limit: Number(limit.value) || null, period: Number(period.value) }); say("The rate limit is set"); });
  } }, el("label", {}, "Requests, 0 for no limit", limit), el("label", {}, "Seconds", period), el("button", {}, "Set"),
  el("button", { type: "button", onclick: () => attempt(async () => { await api("POST", "/throttle/reset"); say("The window is open again"); }) }, "Reset the window"));
  const rate = el("input", { type: "number", min: 0, max: 6000, value: "0" });
  const lively = el("form", { class: "form", onsubmit: (event) => {
    event.preventDefault();
    attempt(async () => { await api("PUT", "/lively", { per_minute: Number(rate.value) || null }); say(Number(rate.value) ? "Orders move by themselves" : "Nothing happens by itself"); });
  } }, el("label", {}, "Events a minute, 0 for none", rate), el("button", {}, "Set"));
  const reset = el("button", { type: "button", class: "danger", onclick: () => { if (confirm("Start over? Orders, requests, subscriptions, faults and quirks go back to the seed's.")) attempt(async () => { await api("POST", "/reset", {}); say("Started over"); }); } }, "Start over");
  list.append(el("fieldset", {}, el("legend", {}, "Faults"), form, faults), el("fieldset", {}, el("legend", {}, "Rate limit"), throttle),
    el("fieldset", {}, el("legend", {}, "A life of its own"), lively), el("fieldset", {}, el("legend", {}, "Quirks"), quirks), el("fieldset", {}, el("legend", {}, "World"), reset));

  async function drawFaults() {
    const answer = await attempt(() => api("GET", "/faults"));
    if (!answer) return;
    if (!kind.options.length) kind.append(...["500", "503", "429", "404"].map((name) => el("option", { value: name }, `answer ${name}`)), ...answer.known.map((one) => el("option", { value: one.name }, one.name, ": ", one.text.replace(/: slow=.*/, ", one second"))));
    faults.replaceChildren(answer.items.length ? el("div", { class: "wide" }, el("table", {}, el("tbody", {}, answer.items.map((one) => el("tr", {}, el("td", {}, chip(one.fault, "warn")), el("td", { class: "mono" }, `${one.method} ${one.path}`), el("td", {}, one.times === null ? "for ever" : `${one.times - one.played} left`), el("td", {}, one.played ? `played ${one.played}` : ""),
      el("td", {}, el("div", { class: "row-actions" }, el("button", { type: "button", "aria-label": `Remove the fault ${one.fault}`, onclick: () => attempt(async () => { await api("DELETE", `/faults/${one.number}`); drawFaults(); }) }, "Remove")))))))) : el("p", { class: "soft" }, "None: everything goes well."));
  }
  async function drawQuirks() {
    const answer = await attempt(() => api("GET", "/quirks"));
    if (!answer || quirks.contains(document.activeElement)) return;
    const set = (name, value) => attempt(async () => { await api("PATCH", "/quirks", { [name]: value }); say(`${name} is ${value}`); document.activeElement.blur(); drawQuirks(); });
    quirks.replaceChildren(...answer.known.map((one) => {
      const value = answer.values[one.name];
      const id = `quirk-${one.name}`;
      const input = one.kind === "integer" ? el("input", { id, type: "number", min: 0, value: value === null ? "" : value, placeholder: "true value", onchange: (event) => set(one.name, event.target.value === "" ? null : Number(event.target.value)) })
        : el("select", { id, onchange: (event) => set(one.name, JSON.parse(event.target.value)) }, (one.kind === "boolean" ? [false, true] : one.choices).map((choice) => el("option", { value: JSON.stringify(choice), selected: choice === value }, one.kind === "boolean" ? (choice ? "on" : "off") : String(choice))));
      return el("div", { class: "quirk" }, el("label", { for: id, class: value === one.default ? "mono" : "mono changed" }, one.name), input, el("span", { class: "soft text" }, one.text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part))));
    }));
  }
  return {
    elements: [list],
    refresh: async () => {
      const state = await attempt(() => api("GET", "/"));
      if (state) { limit.value = state.throttle.limit ?? 0; period.value = state.throttle.period ?? 60; rate.value = state.lively ?? 0; }
      drawFaults();
      drawQuirks();
    },
    changed: (kinds) => {
      if (["fault", "request", "reset"].some((name) => kinds.has(name))) drawFaults();
      if (kinds.has("quirk") || kinds.has("reset")) drawQuirks();
    },
  };
}

export function connect() {
  const list = el("div", { class: "scroll" });
  async function draw() {
    const state = await attempt(() => api("GET", "/"));
    if (!state) return;
    const key = state.keys.fulfilment;
    const { fulfilment, account } = state.urls;
    const names = Object.entries(state.environment);
    const count = (number) => number.toLocaleString("en-GB");
    list.replaceChildren(
      el("fieldset", {}, el("legend", {}, "Fulfilment API"), snippet(fulfilment), el("h3", {}, "Key"), snippet(key), state.keys.any ? el("p", { class: "soft" }, "Any other key of 8 or more visible characters will do too.") : null),
      el("fieldset", {}, el("legend", {}, "Account API"), snippet(account), state.keys.account === key ? el("p", { class: "soft" }, "With the same key.") : snippet(state.keys.account)),
      el("fieldset", {}, el("legend", {}, "Environment"), el("h3", {}, "Shell"), snippet(names.map(([name, value]) => `export ${name}='${value}'`).join("\n")),
        el("h3", {}, "PowerShell"), snippet(names.map(([name, value]) => `$env:${name} = '${value}'`).join("\n")), el("h3", {}, ".env"), snippet(names.map(([name, value]) => `${name}=${value}`).join("\n"))),
      el("fieldset", {}, el("legend", {}, "curl"), snippet(`curl -H 'Accept: application/json' -H 'Authorization: Bearer ${key}' '${fulfilment}/orders?perPage=1'`),
        el("h3", {}, "Ship an order, from any language"), snippet(`curl -X POST '${state.urls.page}_sandbox/orders/UUID/ship'`)),
      el("fieldset", {}, el("legend", {}, "Python"), snippet(`from goedgepickt_async import GoedGepickt\n\nasync with GoedGepickt("${key}", base_url="${fulfilment}") as gg:\n    async for order in gg.orders.list():\n        print(order.display_id, order.status)`)),
      el("fieldset", {}, el("legend", {}, "PHP"), snippet(`$orders = Http::withToken('${key}')->acceptJson()\n    ->get('${fulfilment}/orders', ['perPage' => 100])->json('items');`)),
      el("fieldset", {}, el("legend", {}, "What is in it"), el("p", {}, `${count(state.world.orders)} orders, ${count(state.world.products)} products, ${count(state.world.shipments)} shipments, ${state.world.webshops.length} webshops; seed ${state.world.seed}.`),
        el("p", {}, Object.entries(state.world.statuses).flatMap(([name, number]) => [chip(`${name} ${count(number)}`), " "])),
        el("p", {}, el("a", { href: "/_sandbox/openapi.json" }, "Control API as OpenAPI"), ", ", el("a", { href: "/openapi" }, "API reference"))),
    );
  }
  return { elements: [list], refresh: draw, changed: (kinds) => { if (kinds.has("reset")) draw(); } };
}
