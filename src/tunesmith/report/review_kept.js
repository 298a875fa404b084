"use strict";
/**
 * Decisions kept in the browser under a key: name -> any plain value. Where the browser refuses, refused() is called once and
 * they last as long as the page.
 *
 * Returns { get(name), put(name, value) }; a value of undefined forgets. What other pages kept under the key stays.
 */
function keptDecisions(key, refused) {
  let isRefused = false;

  function write(text) {
    if (isRefused) return;
    try {
      localStorage.setItem(key, text);
    } catch {
      isRefused = true;
      refused();
    }
  }

  function read() {
    let text = null;
    try {
      text = localStorage.getItem(key);
    } catch {}  // then writing is refused too, and says so
    try {
      const value = JSON.parse(text ?? "{}");
      return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
    } catch {
      return {};
    }
  }

  const kept = read();
  write(JSON.stringify(kept));  // some browsers read and refuse to write: better known now than after the first decision

  function put(name, value) {
    if (value === undefined) delete kept[name];
    else kept[name] = value;
    write(JSON.stringify(kept));
  }
  return { get: (name) => kept[name], put };
}
