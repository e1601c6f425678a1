// A list of any length: only the rows that are seen exist, and only their pages are asked for.
import { attempt, el } from "./dom.js";

const PAGE = 60;

export class Grid {
  // columns: [{ name, title, class, show(row) }]; load(offset, limit) -> { total, items }; open(row).
  constructor({ kind, label, columns, load, open }) {
    Object.assign(this, { kind, columns, load, open, total: 0, pages: new Map(), loading: new Set(), active: 0, version: 0 });
    this.count = el("span", { class: "count", role: "status" });
    this.head = el("div", { class: `grid-head ${kind}`, role: "row", "aria-rowindex": "1" },
      columns.map((column) => el("div", { role: "columnheader", class: `c-${column.name} ${column.class || ""}` }, column.title)));
    this.body = el("div", { class: "grid-body", role: "rowgroup" });
    this.empty = el("div", { class: "empty", hidden: true }, "Nothing here.");
    this.element = el("div", { class: "grid", role: "grid", "aria-label": label, tabindex: "-1", onscroll: () => this.draw(), onkeydown: (event) => this.key(event) },
      el("div", { role: "rowgroup" }, this.head), this.body, this.empty);
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  get height() { return parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row")) || 38; }

  // Asks again for what is seen; what is shown stays until the answer is there.
  async refresh({ top = false } = {}) {
    this.version += 1;
    if (top) { this.element.scrollTop = 0; this.active = 0; }
    this.stale = new Set(this.pages.keys());
    this.loading.clear();
    await this.draw(true);
  }

  async draw(force = false) {
    const height = this.height;
    const seen = Math.ceil((this.element.clientHeight || 400) / height) + 1;
    const first = Math.max(0, Math.floor(this.element.scrollTop / height) - 4);
    const last = first + seen + 8;
    for (let page = Math.floor(first / PAGE); page <= Math.floor(last / PAGE); page += 1) this.ask(page, force);
    this.render(first, last, height);
  }

  async ask(page, force) {
    const stale = this.stale && this.stale.has(page);
    if ((this.pages.has(page) && !stale) || this.loading.has(page)) return;
    if (page > 0 && page * PAGE >= this.total && !force) return;
    const version = this.version;
    this.loading.add(page);
    const answer = await attempt(() => this.load(page * PAGE, PAGE));
    if (version !== this.version) return;
    this.loading.delete(page);
    if (this.stale) this.stale.delete(page);
    if (!answer) return;
    if (answer.total !== this.total) this.total = answer.total;
    this.pages.set(page, answer.items);
    if (this.pages.size > 40) for (const key of this.pages.keys()) { if (Math.abs(key - page) > 20) this.pages.delete(key); }
    this.draw();
  }

  render(first, last, height) {
    this.count.textContent = this.total.toLocaleString("en-GB");
    this.element.setAttribute("aria-rowcount", this.total + 1);
    this.body.style.height = `${this.total * height}px`;
    this.empty.hidden = this.total > 0 || this.loading.size > 0;
    const focused = this.body.contains(document.activeElement) ? document.activeElement.dataset : null;
    const rows = [];
    for (let index = first; index < Math.min(last, this.total); index += 1) {
      const row = (this.pages.get(Math.floor(index / PAGE)) || [])[index % PAGE];
      const cells = row
        ? this.columns.map((column) => el("div", { role: "gridcell", class: `c-${column.name} ${column.class || ""}` }, column.show(row)))
        : [el("div", { role: "gridcell", class: "soft" }, "…")];
      const made = el("div", { class: `grid-row ${this.kind}`, role: "row", "aria-rowindex": index + 2, "data-index": index, tabindex: index === this.active ? "0" : "-1",
        onclick: (event) => { this.active = index; if (row && !event.target.closest("button")) this.open(row); } }, cells);
      made.style.top = `${index * height}px`;
      rows.push(made);
    }
    this.body.replaceChildren(...rows);
    if (focused) {
      const again = focused.action
        ? this.body.querySelector(`[data-uuid="${focused.uuid}"]`) || this.row(this.active)
        : this.row(Number(focused.index));
      if (again) again.focus({ preventScroll: true });
    }
    if (!this.row(this.active) && rows.length) rows[0].tabIndex = 0;
  }

  row(index) { return this.body.querySelector(`[data-index="${index}"]`); }

  key(event) {
    const at = event.target.closest(".grid-row");
    if (!at || event.target.tagName === "BUTTON") return;
    const page = Math.floor(this.element.clientHeight / this.height) - 1;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.total, End: this.total };
    const index = Number(at.dataset.index);
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); at.click(); return; }
    if (!(event.key in steps)) return;
    event.preventDefault();
    this.active = Math.max(0, Math.min(this.total - 1, index + steps[event.key]));
    const top = this.active * this.height;
    const view = this.element;
    if (top < view.scrollTop) view.scrollTop = top;
    if (top + 2 * this.height > view.scrollTop + view.clientHeight) view.scrollTop = top + 2 * this.height - view.clientHeight;
    this.draw();
    const row = this.row(this.active);
    if (row) row.focus({ preventScroll: true });
  }
}
