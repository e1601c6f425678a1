// Small helpers: elements, the control API, and messages.
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (name === "value") made.value = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export async function api(method, path, body) {
  const response = await fetch(`/_sandbox${path}`, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await response.json().catch(() => ({ message: response.statusText }));
  if (!response.ok) throw new Error(answer.message || response.statusText);
  return answer;
}

let hiding;
export function say(text, bad = false) {
  const said = document.getElementById("said");
  said.textContent = text;
  said.className = bad ? "on bad" : "on";
  clearTimeout(hiding);
  hiding = setTimeout(() => { said.className = ""; }, bad ? 8000 : 3000);
}

// Do something that can fail, and say so if it does.
export async function attempt(work) {
  try { return await work(); } catch (error) { say(error.message, true); return undefined; }
}

export async function copy(text) {
  await attempt(async () => { await navigator.clipboard.writeText(text); say("Copied"); });
}

export function snippet(text) {
  return el("div", { class: "copy" }, el("pre", { tabindex: "0" }, text), el("button", { type: "button", onclick: () => copy(text) }, "Copy"));
}

export function chip(text, kind = "") { return el("span", { class: `chip ${kind}` }, text); }

export function status(code, fault) {
  const kind = code === null ? "bad" : code < 300 ? "good" : code < 500 && code !== 429 ? "warn" : "bad";
  return chip(code === null ? (fault ? "none" : "…") : String(code), kind);
}

export function details(pairs) {
  return el("dl", {}, pairs.flatMap(([name, value]) => value === null || value === undefined || value === "" ? [] : [el("dt", {}, name), el("dd", {}, value)]));
}

export function time(seconds) { return new Date(seconds * 1000).toLocaleTimeString("en-GB"); }

const dialog = () => document.getElementById("detail");
let shown = null;
// Shows something in the dialog; `render` returns [title, elements] and is called again when something changes.
export async function open(key, render) {
  shown = { key, render };
  await refreshDetail();
  if (!dialog().open && shown) dialog().showModal();
}
export async function refreshDetail() {
  const present = shown;
  if (!present) return;
  const answer = await attempt(present.render);
  if (!answer || shown !== present) { if (!answer) close(); return; }
  const active = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.action : undefined;
  document.getElementById("detail-title").textContent = answer[0];
  document.getElementById("detail-body").replaceChildren(...answer[1]);
  if (active) (document.querySelector(`#detail-body [data-action="${active}"]`) || document.querySelector("#detail-body button") || document.getElementById("detail-close")).focus();
}
export function close() { shown = null; if (dialog().open) dialog().close(); }
document.getElementById("detail-close")?.addEventListener("click", close);
dialog()?.addEventListener("close", () => { shown = null; });
dialog()?.addEventListener("click", (event) => { if (event.target === dialog()) close(); });
