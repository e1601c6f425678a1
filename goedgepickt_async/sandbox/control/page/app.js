// The page: sections, the live line, the gauge. Each section makes its elements and says what refreshes it.
import { refreshDetail } from "./dom.js";
import { orders, products } from "./warehouse.js";
import { requests, webhooks } from "./traffic.js";
import { connect, trouble } from "./settings.js";

const views = { orders, products, requests, webhooks, trouble, connect };
const main = document.getElementById("main");
const tabs = [...document.querySelectorAll("[role=tab]")];
const made = new Map();
let present = "";
let throttle = { limit: null, clients: [], refused: 0 };
let throttleAt = Date.now();

function show(name, focus = false) {
  if (!(name in views)) name = "orders";
  present = name;
  for (const tab of tabs) {
    const chosen = tab.dataset.view === name;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    if (chosen) { main.setAttribute("aria-labelledby", tab.id); tab.scrollIntoView({ block: "nearest", inline: "nearest" }); }
    if (chosen && focus) tab.focus();
  }
  if (!made.has(name)) made.set(name, views[name]());
  main.replaceChildren(...made.get(name).elements);
  made.get(name).refresh();
}

for (const tab of tabs) {
  tab.addEventListener("click", () => { location.hash = tab.dataset.view; });
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    next.focus();
    location.hash = next.dataset.view;
  });
}
window.addEventListener("hashchange", () => show(location.hash.slice(1)));

function drawGauge() {
  const text = document.getElementById("gauge-text");
  const meter = document.getElementById("gauge-meter");
  const gauge = document.getElementById("gauge");
  meter.hidden = throttle.limit === null;
  if (throttle.limit === null) { text.textContent = "no rate limit"; gauge.className = "gauge"; return; }
  const passed = (Date.now() - throttleAt) / 1000;
  const open = throttle.clients.filter((client) => client.resets_in - passed > 0);
  const busiest = open.sort((a, b) => b.used - a.used)[0] || { used: 0, resets_in: 0 };
  meter.max = throttle.limit;
  meter.high = throttle.limit * 0.8;
  meter.value = busiest.used;
  const resets = busiest.used ? `, resets in ${Math.max(0, Math.ceil(busiest.resets_in - passed))} s` : "";
  text.textContent = `${busiest.used} of ${throttle.limit}${resets}${throttle.refused ? `, ${throttle.refused} refused` : ""}`;
  gauge.className = busiest.used >= throttle.limit ? "gauge full" : "gauge";
}
setInterval(drawGauge, 1000);

// Refreshes at most twice a second, however much happens.
let waiting = new Set();
let timer;
function refreshSoon(kinds) {
  for (const kind of kinds) waiting.add(kind);
  if (timer) return;
  timer = setTimeout(() => {
    timer = undefined;
    const heard = waiting;
    waiting = new Set();
    made.get(present)?.changed(heard);
    refreshDetail();
  }, 400);
}

function listen() {
  const live = document.getElementById("live");
  const source = new EventSource("/_sandbox/events");
  source.onopen = () => { live.textContent = "live"; live.className = "live on"; };
  source.onerror = () => { live.textContent = "not connected"; live.className = "live off"; };
  source.onmessage = (event) => {
    const told = JSON.parse(event.data);
    throttle = told.throttle;
    throttleAt = Date.now();
    drawGauge();
    const kinds = new Set(told.changed);
    if (told.requests.length) kinds.add("request");
    if (kinds.size) refreshSoon(kinds);
  };
  window.addEventListener("pagehide", () => source.close());
}

show(location.hash.slice(1) || "orders");
listen();
