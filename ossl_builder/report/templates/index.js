// The table of films: search, filters, order, pages. Only the rows of one page are in it.
"use strict";
(() => {
  const table = document.getElementById("film-table");
  if (!table) return;
  const SIZE = 25;
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows].map((row) => ({
    row,
    text: `${row.cells[0].textContent} ${row.dataset.id} ${row.cells[1].textContent}`.toLowerCase(),
    kinds: row.dataset.kinds.split(" "),
    split: row.cells[6].textContent,
  }));
  const find = (id) => document.getElementById(id);
  const search = find("search"), kind = find("kind"), split = find("split");
  let column = -1, down = false, page = 0;

  const value = (row, at) => row.cells[at].dataset.v ?? row.cells[at].textContent;
  const compare = new Intl.Collator("en", { numeric: true, sensitivity: "base" }).compare;

  function ordered(found) {
    if (column < 0) return found;
    const numeric = heads[column].firstElementChild.dataset.kind === "number";
    const keyed = found.map((one) => {
      const text = value(one.row, column);
      return [one, numeric ? Number(text || 0) : text];
    });
    keyed.sort(([, a], [, b]) => (numeric ? a - b : compare(a, b)) * (down ? -1 : 1));
    return keyed.map(([one]) => one);
  }

  function show() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = ordered(rows.filter((one) =>
      words.every((word) => one.text.includes(word))
      && (!kind?.value || one.kinds.includes(kind.value))
      && (!split?.value || one.split === split.value)));
    const pages = Math.max(1, Math.ceil(found.length / SIZE));
    page = Math.min(page, pages - 1);
    const first = page * SIZE;
    const part = found.slice(first, first + SIZE);
    body.replaceChildren(...part.map((one) => one.row));
    find("shown").textContent = part.length
      ? `${first + 1} to ${first + part.length} of ${found.length} ${found.length === 1 ? "film" : "films"}`
      : "No film matches.";
    find("before").disabled = page === 0;
    find("after").disabled = page === pages - 1;
    find("before").hidden = find("after").hidden = pages === 1;
  }

  function afresh() { page = 0; show(); }

  heads.forEach((head, at) => head.querySelector("button")?.addEventListener("click", (event) => {
    const numeric = event.currentTarget.dataset.kind === "number";
    down = column === at ? !down : numeric;
    column = at;
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    afresh();
  }));
  search.form.addEventListener("submit", (event) => event.preventDefault());
  search.addEventListener("input", afresh);
  kind?.addEventListener("change", afresh);
  split?.addEventListener("change", afresh);
  find("before").addEventListener("click", () => { page -= 1; show(); });
  find("after").addEventListener("click", () => { page += 1; show(); });
  document.querySelectorAll("[data-show]").forEach((button) => button.addEventListener("click", () => {
    kind.value = button.dataset.show;
    afresh();
    kind.focus();
    find("films").scrollIntoView();
  }));
  show();
})();
