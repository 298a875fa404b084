"use strict";
/**
 * The dialog that chooses a label: type to filter, arrows move, Enter or a click chooses, Escape leaves.
 *
 * names: label -> name; order: the labels as they are listed; choose(label) is called with the choice.
 * Returns { open(title, notes) }, with notes a Map label -> a word beside it.
 */
function labelPicker(dialog, names, order, choose) {
  const MOST = 100;
  const input = dialog.querySelector("input"), box = dialog.querySelector("[role=listbox]"), note = dialog.querySelector("[role=status]");
  let matches = [], active = 0, notes = new Map();

  function list() {
    const typed = input.value.trim().toLowerCase();
    const hits = order.filter((label) => names[label].toLowerCase().includes(typed));
    const starts = (label) => names[label].toLowerCase().startsWith(typed);
    matches = [...hits.filter(starts), ...hits.filter((label) => !starts(label))];
    const more = matches.length - MOST;
    note.textContent = more > 0 ? "and " + more + " more: type to narrow" : matches.length ? "" : "No label has this in its name.";
    box.replaceChildren(...matches.slice(0, MOST).map(option));
    activate(0);
  }

  function option(label, position) {
    const element = document.createElement("div");
    element.id = "picker-" + position;
    element.setAttribute("role", "option");
    element.textContent = names[label];
    if (notes.has(label)) element.appendChild(document.createElement("small")).textContent = notes.get(label);
    element.addEventListener("click", () => take(position));
    return element;
  }

  function activate(position) {
    const options = [...box.children];
    active = Math.max(0, Math.min(options.length - 1, position));
    options.forEach((element, i) => element.setAttribute("aria-selected", i === active));
    options[active]?.scrollIntoView({ block: "nearest" });
    if (options.length) input.setAttribute("aria-activedescendant", options[active].id);
    else input.removeAttribute("aria-activedescendant");
  }

  // The field gives up the focus first: left to the browser, it has it until the next frame and swallows the next key.
  function close() {
    input.blur();
    dialog.close();
  }

  function take(position) {
    if (position >= matches.length) return;
    close();
    choose(matches[position]);
  }

  input.addEventListener("input", list);
  dialog.addEventListener("keydown", (event) => {
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (move) activate(active + move);
    else if (event.key === "Escape") close();
    else if (event.key === "Enter" && event.target === input) take(active);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  function open(title, words) {
    dialog.querySelector("h2").textContent = title;
    input.value = "";
    notes = words;
    dialog.showModal();
    list();
    input.focus();
  }
  return { open };
}
