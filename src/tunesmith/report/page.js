"use strict";
(() => {
  const style = getComputedStyle(document.documentElement);
  const colorOf = (name) => style.getPropertyValue("--" + name.slice(1)).trim();
  const isColorKey = (key) => /color$|colorscale$/.test(key);

  // Colours in a figure are names of this page's custom properties ("@accent"), so that both schemes share one specification.
  function colored(node, key) {
    if (typeof node === "string") return isColorKey(key) && node.startsWith("@") ? colorOf(node) : node;
    if (Array.isArray(node)) return node.map((item) => colored(item, key));
    if (node === null || typeof node !== "object") return node;
    return Object.fromEntries(Object.entries(node).map(([name, item]) => [name, colored(item, name)]));
  }

  function base() {
    const axis = { gridcolor: "@line", linecolor: "@line", zerolinecolor: "@line", tickcolor: "@line", automargin: true, title: { standoff: 8 } };
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: "@ink", size: 12, family: getComputedStyle(document.body).fontFamily },
      margin: { l: 48, r: 14, t: 14, b: 44 }, xaxis: axis, yaxis: axis, hovermode: "x unified",
      hoverlabel: { bgcolor: "@panel", bordercolor: "@line", font: { color: "@ink" } },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } },
    };
  }

  const plots = [...document.querySelectorAll(".plot")].map((box) => ({ box, spec: JSON.parse(box.querySelector("script").textContent) }));
  function draw() {
    for (const { box, spec } of plots) {
      const { data, layout } = colored({ data: spec.data, layout: { ...spec.layout, template: { layout: base() } } }, "");
      Plotly.react(box, data, layout, { responsive: true, displaylogo: false, displayModeBar: false });
    }
  }
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  function printing(on) {
    document.documentElement.classList.toggle("printing", on);
    if (on) document.querySelectorAll("details").forEach((item) => { item.open = true; });
    draw();
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
      status.textContent = shown + " of " + rows.length + " rows";
    });
  }
})();
