"use strict";
/**
 * The data map: every row a point on a canvas, variability across, confidence up, coloured by correctness.
 *
 * points: { x, y } Float64Array (NaN: not on the map), correct Int32Array, isShown(row), describe(row) -> lines of text.
 * Returns { draw(), ring(row) }. The ring has a canvas of its own, so that going through the list never draws the points again.
 */
function dataMap(figure, points, pick) {
  const MARGIN = { left: 46, right: 14, top: 12, bottom: 38 }, REACH = 16, SIDE = 4;
  const plane = figure.querySelector(".plane"), legend = figure.querySelector(".legend");
  const cloud = plane.appendChild(document.createElement("canvas")), overlay = plane.appendChild(document.createElement("canvas"));
  const tip = plane.appendChild(document.createElement("div"));
  tip.className = "tip";
  tip.hidden = true;

  const { x, y, correct } = points;
  const mapped = Int32Array.from(x.keys()).filter((row) => !Number.isNaN(x[row]) && !Number.isNaN(y[row]));
  const most = mapped.reduce((largest, row) => Math.max(largest, correct[row]), 1);
  const widest = mapped.reduce((largest, row) => Math.max(largest, x[row]), 0.05) * 1.04;
  mapped.sort((a, b) => correct[b] - correct[a] || a - b);  // what was never right lies on top
  let width = 0, height = 0, ringed = -1;

  const colorOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const across = (value) => MARGIN.left + (value / widest) * (width - MARGIN.left - MARGIN.right);
  const up = (value) => MARGIN.top + (1 - value) * (height - MARGIN.top - MARGIN.bottom);

  // From orange (never right) over purple to blue (always right): a scale that needs no difference between red and green.
  function mixed(share) {
    const channels = (name) => [1, 3, 5].map((at) => parseInt(colorOf(name).slice(at, at + 2), 16));
    const [from, to] = (share < 0.5 ? ["--second", "--fourth"] : ["--fourth", "--accent"]).map(channels);
    const part = share < 0.5 ? 2 * share : 2 * share - 1;
    return "rgb(" + from.map((channel, i) => Math.round(channel + (to[i] - channel) * part)).join(" ") + ")";
  }

  function fit(canvas) {
    const scale = devicePixelRatio || 1;
    const [columns, lines] = [Math.round(width * scale), Math.round(height * scale)];
    if (canvas.width !== columns || canvas.height !== lines) [canvas.width, canvas.height] = [columns, lines];
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = "12px " + getComputedStyle(document.body).fontFamily;
    return pen;
  }

  function drawAxes(pen) {
    pen.strokeStyle = colorOf("--line");
    pen.fillStyle = colorOf("--muted");
    pen.lineWidth = 1;
    const line = (fromX, fromY, toX, toY) => { pen.beginPath(); pen.moveTo(fromX, fromY); pen.lineTo(toX, toY); pen.stroke(); };
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const value of [0, 0.25, 0.5, 0.75, 1]) {
      line(MARGIN.left, Math.round(up(value)) + 0.5, width - MARGIN.right, Math.round(up(value)) + 0.5);
      pen.fillText(String(value), MARGIN.left - 6, up(value));
    }
    pen.textAlign = "center";
    pen.textBaseline = "top";
    const step = [0.01, 0.02, 0.05, 0.1, 0.2].find((size) => widest / size <= 6) ?? 0.5;
    for (let i = 0; i * step <= widest; i += 1) pen.fillText(String(Number((i * step).toFixed(2))), across(i * step), up(0) + 5);
    pen.fillText("variability", (MARGIN.left + width - MARGIN.right) / 2, height - 15);
    pen.save();
    pen.translate(3, (MARGIN.top + height - MARGIN.bottom) / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText("confidence", 0, 0);
    pen.restore();
  }

  function nameRegions(pen) {
    const names = [["easy to learn", 0, 1, "left", "top"], ["hard to learn", 0, 0, "left", "bottom"], ["ambiguous", widest, 0.5, "right", "middle"]];
    pen.lineWidth = 4;
    pen.lineJoin = "round";
    pen.strokeStyle = colorOf("--bg");
    pen.fillStyle = colorOf("--ink");
    for (const [name, atX, atY, align, baseline] of names) {
      pen.textAlign = align;
      pen.textBaseline = baseline;
      const [left, top] = [across(atX) + (align === "left" ? 8 : -4), up(atY) + { top: 6, bottom: -6, middle: 0 }[baseline]];
      pen.strokeText(name, left, top);
      pen.fillText(name, left, top);
    }
  }

  // First the rows that the filters hide, pale, then those in the list.
  function drawPoints(pen) {
    const square = (row) => pen.fillRect(across(x[row]) - SIDE / 2, up(y[row]) - SIDE / 2, SIDE, SIDE);
    pen.fillStyle = colorOf("--line");
    for (const row of mapped) if (!points.isShown(row)) square(row);
    pen.globalAlpha = 0.75;
    let drawn = -1;
    for (const row of mapped) {
      if (!points.isShown(row)) continue;
      if (correct[row] !== drawn) pen.fillStyle = mixed((drawn = correct[row]) / most);
      square(row);
    }
    pen.globalAlpha = 1;
  }

  function drawNow() {
    if (width < 120) return;
    const pen = fit(cloud);
    drawAxes(pen);
    drawPoints(pen);
    nameRegions(pen);
    ring(ringed);
  }

  // Several reasons to draw within one frame draw once.
  let waiting = false;
  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; drawNow(); });
  }

  function ring(row) {
    ringed = row;
    if (width < 120) return;
    const pen = fit(overlay);
    if (row < 0 || Number.isNaN(x[row]) || Number.isNaN(y[row])) return;
    for (const [color, thickness] of [["--bg", 6], ["--ink", 2.5]]) {
      pen.beginPath();
      pen.arc(across(x[row]), up(y[row]), 8, 0, 2 * Math.PI);
      pen.strokeStyle = colorOf(color);
      pen.lineWidth = thickness;
      pen.stroke();
    }
  }

  /** The row in the list nearest to a place on the plane, -1 where none is within reach pixels. */
  function nearest(event, reach) {
    const box = plane.getBoundingClientRect();
    const [left, top] = [event.clientX - box.left, event.clientY - box.top];
    let best = -1, least = reach * reach;
    for (const row of mapped) {
      const distance = (across(x[row]) - left) ** 2 + (up(y[row]) - top) ** 2;
      if (distance <= least && points.isShown(row)) [best, least] = [row, distance];
    }
    return best;
  }

  function explain(event) {
    const row = nearest(event, REACH);
    tip.hidden = row < 0;
    plane.style.cursor = row < 0 ? "" : "pointer";
    if (row < 0) return;
    tip.replaceChildren(...points.describe(row).map((text) => Object.assign(document.createElement("div"), { textContent: text })));
    const [left, top] = [across(x[row]), up(y[row])];
    tip.style.left = Math.max(0, Math.min(left + 12, width - tip.offsetWidth)) + "px";
    tip.style.top = (top > height / 2 ? top - tip.offsetHeight - 12 : top + 12) + "px";
  }

  function explainColors() {
    const stops = most <= 8 ? Array.from({ length: most + 1 }, (_, i) => i) : [0, Math.round(most / 2), most];
    const swatches = stops.map((stop) => {
      const entry = document.createElement("span"), swatch = document.createElement("i");
      swatch.style.background = mixed(stop / most);
      entry.append(swatch, String(stop));
      return entry;
    });
    legend.replaceChildren("given label predicted in ", ...swatches, " of " + most + (most === 1 ? " epoch" : " epochs"));
  }

  plane.addEventListener("pointermove", explain);
  plane.addEventListener("pointerleave", () => { tip.hidden = true; });
  plane.addEventListener("click", (event) => {
    const row = nearest(event, Infinity);
    if (row >= 0) pick(row);
  });
  new ResizeObserver(() => {
    [width, height] = [plane.clientWidth, plane.clientHeight];
    draw();
  }).observe(plane);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { explainColors(); draw(); });
  explainColors();
  return { draw, ring };
}
