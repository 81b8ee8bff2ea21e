"use strict";

/* Small charts as inline SVG. All sizes are CSS pixels, so that text is as large as elsewhere. */

const MINUS = "\u2212";

/* Make an element. Its text is set as text, so that a neuron's name is never read as markup. */
function make(tag, attributes = {}, ...children) {
  const isSvg = /^(svg|g|path|line|rect|circle|ellipse|polyline|text|image|title)$/.test(tag);
  const element = isSvg
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/* Format a number with the wanted digits and a true minus sign. */
function inWords(value, digits = 3) {
  if (value === null || !Number.isFinite(value)) return "\u2013";
  if (value === 0) return "0";
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(decimals, 6)).replace("-", MINUS);
}

/* About n round numbers between two values, and never too few for a scale. */
function roundTicks(low, high, n) {
  for (let more = Math.max(2, n); more < n + 12; more += 1) {
    const ticks = ticksOf(low, high, more);
    if (ticks.length > 2) return ticks;
  }
  return ticksOf(low, high, n);
}

function ticksOf(low, high, n) {
  const raw = (high - low) / Math.max(1, n);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 2.5, 5, 10].find((m) => m * power >= raw * 0.999);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k += 1) {
    ticks.push(k * step);
  }
  const decimals = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
  const isHalf = Math.abs(step * 10 ** decimals - Math.round(step * 10 ** decimals)) > 1e-6;
  const words = (tick) => tick.toFixed(decimals + isHalf).replace(/^-/, MINUS);
  return ticks.map((tick) => [tick, words(Math.abs(tick) < step / 1e6 ? 0 : tick)]);
}

/* Smallest and largest of the known numbers in some lists, with a margin. */
function extent(lists, margin = 0.06) {
  const known = lists.flat().filter((value) => value !== null && Number.isFinite(value));
  if (!known.length) return [0, 1];
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const room = margin * (high - low || Math.abs(high) || 1);
  return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
}

/* An empty chart with named axes.
   Returns its root, where x and y values lie, and a function that adds marks. */
function newChart({ width, height, x, y, xLabel, yLabel, title = "", label, top = 10 }) {
  const yTicks = roundTicks(...y, Math.max(2, height / 42));
  const widest = Math.max(...yTicks.map(([, words]) => words.length), 1);
  const inner = {
    left: 24 + 6.6 * widest,
    right: width - 10,
    top: top + (title ? 18 : 0),
    bottom: height - 38,
  };
  const across = (value) =>
    inner.left + ((value - x[0]) / (x[1] - x[0])) * (inner.right - inner.left);
  const up = (value) => inner.bottom - ((value - y[0]) / (y[1] - y[0])) * (inner.bottom - inner.top);
  const root = make("svg", {
    class: "chart",
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "img",
    "aria-label": label,
  });
  const text = (attributes, words) => root.append(make("text", attributes, words));
  for (const [tick, words] of yTicks) {
    root.append(
      make("line", { class: "grid", x1: inner.left, x2: inner.right, y1: up(tick), y2: up(tick) }),
    );
    text({ class: "tick", x: inner.left - 6, y: up(tick) + 4, "text-anchor": "end" }, words);
  }
  const bottom = inner.bottom;
  root.append(make("line", { class: "axis", x1: inner.left, x2: inner.right, y1: bottom, y2: bottom }));
  for (const [tick, words] of roundTicks(...x, Math.max(2, (inner.right - inner.left) / 62))) {
    const place = across(tick);
    root.append(make("line", { class: "axis", x1: place, x2: place, y1: bottom, y2: bottom + 3 }));
    text({ class: "tick", x: place, y: bottom + 15, "text-anchor": "middle" }, words);
  }
  const middle = (inner.left + inner.right) / 2;
  text({ class: "name", x: middle, y: height - 6, "text-anchor": "middle" }, xLabel);
  if (yLabel) {
    const center = (inner.top + bottom) / 2;
    text(
      { class: "name", transform: `translate(11 ${center}) rotate(-90)`, "text-anchor": "middle" },
      yLabel,
    );
  }
  if (title) text({ class: "title", x: inner.left, y: 13 }, title);
  return {
    root,
    inner,
    across,
    up,
    add: (tag, attributes, ...children) => {
      const mark = make(tag, attributes, ...children);
      root.append(mark);
      return mark;
    },
  };
}

/* A line through points; it breaks where a value is missing. */
function linePath(xs, ys, chart) {
  let path = "";
  let isDown = false;
  xs.forEach((x, i) => {
    if (x === null || ys[i] === null || !Number.isFinite(ys[i])) {
      isDown = false;
      return;
    }
    path += `${isDown ? "L" : "M"}${chart.across(x).toFixed(1)} ${chart.up(ys[i]).toFixed(1)}`;
    isDown = true;
  });
  return path;
}

/* The area between this line and zero. */
function areaPath(xs, ys, chart) {
  const base = chart.up(0).toFixed(1);
  const points = xs.map((x, i) => `L${chart.across(x).toFixed(1)} ${chart.up(ys[i]).toFixed(1)}`);
  const [first, last] = [xs[0], xs[xs.length - 1]].map((x) => chart.across(x).toFixed(1));
  return `M${first} ${base}${points.join("")}L${last} ${base}Z`;
}

/* Legend of the marks: [class of the sample, words], ... */
function legend(...entries) {
  const items = entries.map(([kind, words]) =>
    make("span", {}, make("i", { class: `sample sample--${kind}`, "aria-hidden": "true" }), words),
  );
  return make("p", { class: "legend" }, ...items);
}
