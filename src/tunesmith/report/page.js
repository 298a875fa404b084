"use strict";
(() => {
  function printing(on) {
    document.documentElement.classList.toggle("printing", on);
    if (on) document.querySelectorAll("details").forEach((item) => { item.open = true; });
  }
  addEventListener("beforeprint", () => printing(true));
  addEventListener("afterprint", () => printing(false));

  function valueOf(row, column) {
    const cell = row.cells[column];
    const text = cell.dataset.sort ?? cell.textContent;
    const number = Number(text);
    return text.trim() !== "" && !Number.isNaN(number) ? number : text.toLowerCase();
  }
  function compare(a, b) {
    if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
    return typeof a === "number" ? -1 : 1;
  }
  function sortBy(head) {
    const table = head.closest("table");
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [valueOf(row, head.cellIndex), row]);
    rows.sort((a, b) => (down ? -1 : 1) * compare(a[0], b[0]));
    body.append(...rows.map(([, row]) => row));
  }
  for (const head of document.querySelectorAll("table.sortable thead th")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sortBy(head));
  }

  for (const input of document.querySelectorAll(".filter input")) {
    const rows = [...document.getElementById(input.getAttribute("aria-controls")).tBodies[0].rows];
    const status = input.closest(".filter").querySelector("[aria-live]");
    input.addEventListener("input", () => {
      const wanted = input.value.toLowerCase();
      let shown = 0;
      for (const row of rows) {
        row.hidden = !row.textContent.toLowerCase().includes(wanted);
        shown += row.hidden ? 0 : 1;
      }
      status.textContent = shown + " of " + rows.length + (rows.length === 1 ? " row" : " rows");
    });
  }
})();
