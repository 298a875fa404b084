"use strict";
(async () => {
  const NONE = -1, ANY = -2;
  const UNDECIDED = 0, ACCEPTED = 1, REJECTED = 2, RELABELLED = 3, REMOVED = 4;
  const STATUS_NAMES = ["undecided", "accepted", "rejected", "relabelled", "removed"];
  const COLUMNS = ["row_id", "split", "given", "proposed", "score", "diagnoses", "reason", "action", "source_sha256"];
  const ITEM_HEIGHT = 60, OVERSCAN = 6, PREVIEW = 200, SEARCH_WAIT_MS = 80, PAGE = 8;
  const $ = (id) => document.getElementById(id);

  function make(name, className, text) {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  const block = $("review-data");
  if (!("DecompressionStream" in window)) {
    $("note").textContent = "This browser is too old to unpack the rows: open the page in Chrome or Edge 80, Firefox 113, Safari 16.4, or later.";
    $("note").hidden = false;
    return;
  }
  const bytes = Uint8Array.from(atob(block.textContent), (character) => character.charCodeAt(0));
  const data = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  block.remove();  // the rows are in memory now; their text need not be there a second time
  const { labels, rows } = data;
  const n = rows.row_ids.length;
  const splitNames = [...new Set(rows.splits)];
  const splitNumbers = new Map(splitNames.map((name, i) => [name, i]));
  const split = Int32Array.from(rows.splits, (name) => splitNumbers.get(name));
  const given = Int32Array.from(rows.given), proposed = Int32Array.from(rows.proposed);
  const score = Float64Array.from(rows.scores, (value) => value ?? 2);  // rows without a score come behind all others

  const status = new Uint8Array(n), chosen = new Int32Array(n).fill(NONE);
  const labelName = (label) => (label === NONE ? "no label" : labels[label]);
  const rowName = (row) => "row " + rows.row_ids[row] + " of " + rows.splits[row];
  const thousands = new Intl.NumberFormat("en");
  const count = (number, noun) => thousands.format(number) + (noun ? " " + noun + (number === 1 ? "" : "s") : "");
  const short = (text, length) => text.slice(0, length).replace(/\s+/g, " ");
  const announce = (text) => { $("announcement").textContent = text; };

  // ---- which rows are in the list, and in which order

  const list = $("list"), runway = $("runway"), search = $("search");
  const wanted = { split: ANY, given: ANY, proposed: ANY, diagnosis: ANY, status: ANY, flagged: false };
  const shown = new Int32Array(n), place = new Int32Array(n).fill(NONE);  // position -> row, row -> position
  let shownCount = 0, selected = NONE, sort = "score";
  let found = null, folded = null;  // rows that the search finds; lower-case texts, made at the first search

  const byName = labels.map((_, label) => label).sort((a, b) => labels[a].localeCompare(labels[b]));
  const rank = new Int32Array(labels.length);
  byName.forEach((label, i) => { rank[label] = i; });
  const rankOf = (label) => (label === NONE ? labels.length : rank[label]);
  const comparisons = {
    score: (a, b) => score[a] - score[b] || a - b,
    row: (a, b) => split[a] - split[b] || rows.row_ids[a] - rows.row_ids[b],
    given: (a, b) => rankOf(given[a]) - rankOf(given[b]) || score[a] - score[b] || a - b,
  };
  const orders = {};
  const order = () => (orders[sort] ??= Int32Array.from(given.keys()).sort(comparisons[sort]));

  function find(text) {
    const typed = text.trim().toLowerCase();
    if (!typed) return null;
    folded ??= rows.texts.map((first, row) => [first, rows.pairs?.[row] ?? "", rows.reasons[row]].join("\n").toLowerCase());
    return Uint8Array.from(folded, (one) => (one.includes(typed) ? 1 : 0));
  }

  function passes(row) {
    return (!wanted.flagged || rows.flagged[row])
      && (wanted.split === ANY || split[row] === wanted.split)
      && (wanted.given === ANY || given[row] === wanted.given)
      && (wanted.proposed === ANY || proposed[row] === wanted.proposed)
      && (wanted.diagnosis === ANY || rows.diagnoses[row].includes(wanted.diagnosis))
      && (found === null || found[row] === 1);
  }

  // The counter counts the rows of all filters but that for the status: what is decided would always be none or all of it.
  function filter() {
    let total = 0, decided = 0, corrections = 0;
    shownCount = 0;
    place.fill(NONE);
    for (const row of order()) {
      if (isChange(row)) corrections += 1;
      if (!passes(row)) continue;
      total += 1;
      if (status[row] !== UNDECIDED) decided += 1;
      if (wanted.status !== ANY && status[row] !== wanted.status) continue;
      place[row] = shownCount;
      shown[shownCount] = row;
      shownCount += 1;
    }
    $("counter").textContent = count(decided) + " of " + count(total) + " decided";
    $("progress").style.width = (total ? (100 * decided) / total : 0) + "%";
    $("corrections").textContent = count(corrections, "correction");
    $("shown").textContent = (shownCount === n ? "" : count(shownCount) + " of ") + count(n, "row");
    $("clear").hidden = shownCount === n;
    $("empty").hidden = shownCount > 0;
    runway.style.height = shownCount * ITEM_HEIGHT + "px";
  }

  function refilter() {
    filter();
    map?.draw();
    select(selected !== NONE && place[selected] !== NONE ? selected : shownCount ? shown[0] : NONE);
  }

  // ---- the list: only the rows in view have an element

  const items = [];

  function newItem() {
    const item = runway.appendChild(make("div", "item"));
    item.setAttribute("role", "option");
    const parts = { item };
    for (const name of ["number", "change", "state", "preview"]) parts[name] = item.appendChild(make("span", name));
    return parts;
  }

  // What becomes of the label, or would if the proposal were accepted.
  function changeText(row) {
    const open = status[row] === UNDECIDED || status[row] === ACCEPTED;
    const label = status[row] === RELABELLED ? chosen[row] : open && proposed[row] !== NONE ? proposed[row] : given[row];
    return labelName(given[row]) + (label === given[row] ? "" : " → " + labelName(label));
  }

  function fillItem(parts, position) {
    const row = shown[position], { item } = parts;
    item.id = "item-" + position;
    item.style.top = position * ITEM_HEIGHT + "px";
    item.dataset.row = row;
    item.dataset.status = STATUS_NAMES[status[row]];
    item.setAttribute("aria-posinset", position + 1);
    item.setAttribute("aria-setsize", shownCount);
    item.setAttribute("aria-selected", row === selected);
    item.classList.toggle("flagged", Boolean(rows.flagged[row]));
    parts.number.textContent = (splitNames.length > 1 ? rows.splits[row] + " " : "") + rows.row_ids[row];
    parts.change.textContent = changeText(row);
    parts.state.textContent = status[row] === UNDECIDED ? (score[row] > 1 ? "" : score[row].toFixed(3)) : STATUS_NAMES[status[row]];
    parts.preview.textContent = short(rows.texts[row], PREVIEW);
  }

  function drawList() {
    const first = Math.max(0, Math.floor(list.scrollTop / ITEM_HEIGHT) - OVERSCAN);
    const end = Math.min(shownCount, Math.ceil((list.scrollTop + list.clientHeight) / ITEM_HEIGHT) + OVERSCAN);
    while (items.length < end - first) items.push(newItem());
    items.forEach((parts, i) => {
      parts.item.hidden = first + i >= end;
      if (parts.item.hidden) parts.item.removeAttribute("id");
      else fillItem(parts, first + i);
    });
    if (selected === NONE) list.removeAttribute("aria-activedescendant");
    else list.setAttribute("aria-activedescendant", "item-" + place[selected]);
  }

  function bringIntoView(position) {
    const top = position * ITEM_HEIGHT;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ITEM_HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = top + ITEM_HEIGHT - list.clientHeight;
  }

  // ---- the selected row

  function drawRow() {
    const row = selected;
    $("row").hidden = row === NONE;
    for (const button of document.querySelectorAll(".actions button")) button.setAttribute("aria-disabled", !canDo(button.dataset.do));
    if (row === NONE) return;
    $("row-title").textContent = "Row " + rows.row_ids[row] + " of " + rows.splits[row];
    $("row-status").textContent = STATUS_NAMES[status[row]];
    $("row-status").dataset.status = STATUS_NAMES[status[row]];
    $("row-given").textContent = labelName(given[row]);
    $("row-proposed").textContent = proposed[row] === NONE ? "no proposal" : labelName(proposed[row]);
    $("row-chosen").textContent = status[row] === RELABELLED ? labelName(chosen[row]) : "";
    $("row-chosen").parentElement.hidden = status[row] !== RELABELLED;
    $("row-score").textContent = score[row] > 1 ? "–" : score[row].toFixed(3);
    $("row-reason").textContent = rows.reasons[row];
    $("row-diagnoses").replaceChildren(...rows.diagnoses[row].map((one) => make("li", "", data.diagnosis_names[one].replaceAll("_", " "))));
    $("row-text").textContent = rows.texts[row];
    if (rows.pairs) $("row-pair").textContent = rows.pairs[row];
    $("row-training").textContent = isMapped(row) ? trainingText(row) : "";
    $("row").scrollTop = 0;
  }

  function select(row) {
    selected = row;
    if (row !== NONE) bringIntoView(place[row]);
    drawList();
    drawRow();
    map?.ring(row);
  }

  function move(by) {
    if (!shownCount) return;
    const position = selected === NONE ? 0 : place[selected] + by;
    select(shown[Math.max(0, Math.min(shownCount - 1, position))]);
    announce(rowName(selected) + ": " + changeText(selected) + ". " + short(rows.texts[selected], PREVIEW));
  }

  // ---- decisions

  const done = [], undone = [];  // { row, from, to }, each state [status, chosen label]
  const isChange = (row) => status[row] === REMOVED || status[row] === RELABELLED || (status[row] === ACCEPTED && proposed[row] !== given[row]);

  function put(row, [newStatus, label]) {
    status[row] = newStatus;
    chosen[row] = label;
    keep(row);
    filter();
    if (wanted.status !== ANY) map?.draw();  // else the list holds the same rows as before, and so does the map
  }

  function nextUndecided(row) {
    const start = place[row];
    for (let step = 1; step < shownCount; step += 1) {
      const other = shown[(start + step) % shownCount];
      if (status[other] === UNDECIDED) return other;
    }
    return NONE;
  }

  function decide(newStatus, label = NONE) {
    const row = selected, to = [newStatus, label], from = [status[row], chosen[row]];
    const position = place[row], next = nextUndecided(row);
    if (from[0] !== to[0] || from[1] !== to[1]) {
      done.push({ row, from, to });
      undone.length = 0;
      put(row, to);
    }
    const fallback = place[row] !== NONE ? row : shownCount ? shown[Math.min(position, shownCount - 1)] : NONE;
    select(next !== NONE && place[next] !== NONE ? next : fallback);
    announce(STATUS_NAMES[newStatus] + ": " + rowName(row) + (next === NONE ? ". Every row in the list is decided." : ". Now " + rowName(next) + "."));
  }

  // A label chosen by hand that is the proposal or the given one means what accepting or rejecting means.
  function meaning(row, label) {
    if (label === proposed[row]) return [ACCEPTED, NONE];
    return label === given[row] ? [REJECTED, NONE] : [RELABELLED, label];
  }

  function step(taken, other, state, word) {
    const change = taken.pop();
    if (!change) return announce("Nothing to " + word + ".");
    other.push(change);
    put(change.row, change[state]);
    if (place[change.row] !== NONE) select(change.row);
    else refilter();
    announce(word + ": " + rowName(change.row) + " is " + STATUS_NAMES[status[change.row]] + " again");
  }

  function canDo(command) {
    if (command === "undo") return done.length > 0;
    if (command === "redo") return undone.length > 0;
    if (selected === NONE) return false;
    return command !== "accept" || proposed[selected] !== NONE;
  }

  // ---- what is kept in the browser: row -> ["relabel", label], ["keep"] or ["remove"]
  // Labels are kept by name, so that they are right after another diagnosis, with its labels in another order.

  const identity = (row) => rows.splits[row] + ":" + rows.row_ids[row];
  const kept = keptDecisions("tunesmith-review:" + data.source_sha256, () => {
    $("note").textContent = "This browser cannot store decisions: download the corrections before you close the page.";
    $("note").hidden = false;
    addEventListener("beforeunload", (event) => { if (done.length) event.preventDefault(); });
  });

  function keep(row) {
    const label = status[row] === ACCEPTED ? proposed[row] : chosen[row];
    kept.put(identity(row), [undefined, ["relabel", labels[label]], ["keep"], ["relabel", labels[label]], ["remove"]][status[row]]);
  }

  function restore() {
    const numbers = new Map(labels.map((name, label) => [name, label]));
    for (let row = 0; row < n; row += 1) {
      const value = kept.get(identity(row));
      const [action, name] = Array.isArray(value) ? value : [];
      if (action === "remove") status[row] = REMOVED;
      else if (action === "keep") status[row] = REJECTED;
      else if (action === "relabel" && numbers.has(name)) [status[row], chosen[row]] = meaning(row, numbers.get(name));
    }
  }

  // ---- the file of corrections

  // A text that a spreadsheet would run as a formula gets a quote before it; tunesmith apply takes it off again.
  const inert = (cell) => (/^'*[=+\-@\t\r]/.test(cell) && !(cell.trim() && Number.isFinite(Number(cell))) ? "'" + cell : cell);
  const quoted = (cell) => (/[",\r\n]/.test(cell) ? '"' + cell.replaceAll('"', '""') + '"' : cell);

  function correction(row) {
    const label = status[row] === REMOVED ? NONE : status[row] === ACCEPTED ? proposed[row] : chosen[row];
    return [
      String(rows.row_ids[row]), rows.splits[row], given[row] === NONE ? "" : labels[given[row]], label === NONE ? "" : labels[label],
      rows.scores[row] === null ? "" : String(rows.scores[row]), rows.diagnoses[row].map((one) => data.diagnosis_names[one]).join("|"),
      rows.reasons[row], status[row] === REMOVED ? "remove" : "relabel", data.source_sha256,
    ];
  }

  function download() {
    const changed = [...given.keys()].filter(isChange);
    if (!changed.length) return announce("There is no correction to download yet.");
    const lines = [COLUMNS, ...changed.map(correction)].map((cells) => cells.map(inert).map(quoted).join(",") + "\r\n");
    const link = make("a");
    link.href = URL.createObjectURL(new Blob(lines, { type: "text/csv;charset=utf-8" }));
    link.download = "corrections.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    announce("Downloaded corrections.csv with " + count(changed.length, "row") + ".");
  }

  // ---- keys and buttons

  const picker = labelPicker($("picker"), labels, byName, (label) => decide(...meaning(selected, label)));
  function relabel() {
    picker.open("Relabel " + rowName(selected), new Map([[given[selected], "given"], [proposed[selected], "proposed"]]));
  }

  const COMMANDS = {
    next: () => move(1), previous: () => move(-1),
    accept: () => (canDo("accept") ? decide(ACCEPTED) : announce("This row has no proposal: relabel, reject or remove it.")),
    reject: () => decide(REJECTED), remove: () => decide(REMOVED), relabel,
    undo: () => step(done, undone, "from", "undo"), redo: () => step(undone, done, "to", "redo"),
    search: () => { search.focus(); search.select(); }, keys: () => $("keys").showModal(), download,
  };
  const NEEDS_ROW = new Set(["accept", "reject", "remove", "relabel"]);
  const KEYS = new Map(Object.entries({
    j: "next", arrowdown: "next", k: "previous", arrowup: "previous", a: "accept", r: "reject", l: "relabel", x: "remove",
    u: "undo", "/": "search", "?": "keys", d: "download",
  }));
  const LEAPS = new Map(Object.entries({ PageDown: PAGE, PageUp: -PAGE, Home: -Infinity, End: Infinity }));

  function run(command) {
    if (!NEEDS_ROW.has(command) || selected !== NONE) COMMANDS[command]();
  }

  function commandOf(event) {
    const key = event.key.toLowerCase();
    if (event.altKey) return undefined;
    if (event.ctrlKey || event.metaKey) return key === "z" ? (event.shiftKey ? "redo" : "undo") : undefined;
    return key === "u" && event.shiftKey ? "redo" : KEYS.get(key);
  }

  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (event.target.closest?.("select, input:not([type=checkbox])")) {
      if (event.key !== "Escape" && (event.key !== "Enter" || event.target !== search)) return;
      applySearch();
      list.focus();
      return event.preventDefault();
    }
    const leap = document.activeElement === list ? LEAPS.get(event.key) : undefined;
    const command = commandOf(event);
    if (leap === undefined && !command) return;
    event.preventDefault();
    // A key held down goes through the list, but never decides on one row after the other.
    if (leap !== undefined) move(leap);
    else if (!event.repeat || command === "next" || command === "previous") run(command);
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do], [data-close]");
    if (button?.dataset.do) run(button.dataset.do);
    if (button?.dataset.close) $(button.dataset.close).close();
  });
  runway.addEventListener("click", (event) => {
    const item = event.target.closest(".item");
    if (item) select(Number(item.dataset.row));
  });

  // ---- filters

  function fillSelect(name, values, nameOf, ids) {
    const counts = new Map();
    for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
    const options = ids.filter((id) => counts.has(id) || name === "status").map((id) => {
      const option = make("option", "", nameOf(id) + (counts.has(id) ? " (" + counts.get(id) + ")" : ""));
      option.value = id;
      return option;
    });
    const any = make("option", "", "any");
    any.value = ANY;
    $("filter-" + name).replaceChildren(any, ...options);
    $("choose-" + name).hidden = options.length < 2 && name !== "diagnosis";
    $("filter-" + name).addEventListener("change", (event) => {
      wanted[name] = Number(event.target.value);
      refilter();
    });
  }

  let searching = 0;
  function applySearch() {
    clearTimeout(searching);
    found = find(search.value);
    refilter();
  }

  function clearFilters() {
    for (const name of ["split", "given", "proposed", "diagnosis", "status"]) {
      wanted[name] = ANY;
      $("filter-" + name).value = ANY;
    }
    $("flagged").checked = wanted.flagged = false;
    search.value = "";
    applySearch();
  }

  fillSelect("split", split, (id) => splitNames[id], splitNames.map((_, id) => id));
  fillSelect("given", given, labelName, [...byName, NONE]);
  fillSelect("proposed", proposed, (id) => (id === NONE ? "no proposal" : labels[id]), [...byName, NONE]);
  fillSelect("diagnosis", rows.diagnoses.flat(), (id) => data.diagnosis_names[id].replaceAll("_", " "), data.diagnosis_names.map((_, id) => id));
  fillSelect("status", [], (id) => STATUS_NAMES[id], STATUS_NAMES.map((_, id) => id));
  search.addEventListener("input", () => {
    clearTimeout(searching);
    searching = setTimeout(applySearch, SEARCH_WAIT_MS);
  });
  $("sort").addEventListener("change", (event) => { sort = event.target.value; refilter(); });
  $("flagged").addEventListener("change", (event) => { wanted.flagged = event.target.checked; refilter(); });
  $("clear").addEventListener("click", clearFilters);

  // ---- the data map

  const numbersOf = (column) => Float64Array.from(column, (value) => value ?? NaN);
  const confidence = rows.confidence && numbersOf(rows.confidence), variability = rows.variability && numbersOf(rows.variability);
  const isMapped = (row) => Boolean(confidence) && !Number.isNaN(confidence[row]) && !Number.isNaN(variability[row]);
  const trainingText = (row) => "In training: confidence " + confidence[row].toFixed(2) + ", variability " + variability[row].toFixed(2)
    + ", given label predicted in " + count(rows.correctness[row], "epoch");
  const map = confidence && dataMap($("map"), {
    x: variability, y: confidence, correct: Int32Array.from(rows.correctness), isShown: (row) => place[row] !== NONE,
    describe: (row) => [rowName(row) + ": " + changeText(row), short(rows.texts[row], 90), trainingText(row)],
  }, (row) => select(row));

  let drawing = false;
  function drawListSoon() {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => { drawing = false; drawList(); });
  }
  list.addEventListener("scroll", drawListSoon, { passive: true });
  new ResizeObserver(drawListSoon).observe(list);

  list.style.setProperty("--item-height", ITEM_HEIGHT + "px");
  $("filters").open = matchMedia("(min-width: 1001px)").matches;
  wanted.flagged = $("flagged").checked = rows.flagged.some(Boolean);
  restore();
  refilter();
  requestAnimationFrame(() => setTimeout(() => performance.mark("review-ready")));
})();
