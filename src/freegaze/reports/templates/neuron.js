"use strict";

/* The page of one neuron: the list, the address (#neuron=UNIT), and what is shown. */

const list = document.querySelector(".neuron-list tbody");
const detail = document.getElementById("neuron-detail");
const rows = [...list.rows];
const counter = document.getElementById("neuron-count");
const nameFilter = document.getElementById("neuron-filter");
const classFilter = document.getElementById("neuron-class");
const NARROW = window.matchMedia("(max-width: 60rem)");
let chosen = null;

const linkOf = (row) => row.querySelector("a");
const addressOf = (link) => link.getAttribute("href") ?? link.getAttribute("xlink:href");
const inOrder = () => [...list.rows].filter((row) => !row.hidden);

/* Data of a neuron, parsed when it is first shown. */
function valuesOf(row) {
  return JSON.parse(document.getElementById(`neuron-data-${row.dataset.neuron}`).textContent);
}

/* Neuron that an address names; null if it names none. */
function asked(hash) {
  const found = {};
  for (const part of hash.replace(/^#/, "").split("&")) {
    const at = part.indexOf("=");
    if (at < 0) continue;
    let value = part.slice(at + 1);
    try {
      value = decodeURIComponent(value);
    } catch {
      /* a stray percent sign: keep it */
    }
    found[part.slice(0, at)] = value;
  }
  return "neuron" in found ? found : null;
}

function rowOf({ neuron, session }) {
  return rows.find((row) => {
    const own = asked(linkOf(row).getAttribute("href"));
    return own.neuron === neuron && (session === undefined || own.session === session);
  });
}

/* Show a neuron. One link of the list can be tabbed to; arrow keys reach the others. */
function show(row) {
  chosen = row;
  for (const other of rows) {
    other.classList.toggle("chosen", other === row);
    linkOf(other).tabIndex = other === row ? 0 : -1;
    if (other === row) linkOf(other).setAttribute("aria-current", "true");
    else linkOf(other).removeAttribute("aria-current");
  }
  keepInSight(row);
  draw();
  sayCount();
}

/* Scroll the list, and never the page, until a row is seen. */
function keepInSight(row) {
  const scroller = list.closest(".scroller");
  const head = list.parentElement.tHead.offsetHeight;
  const [top, bottom] = [row.offsetTop - head, row.offsetTop + row.offsetHeight];
  if (top < scroller.scrollTop) scroller.scrollTop = top;
  else if (bottom > scroller.scrollTop + scroller.clientHeight) {
    scroller.scrollTop = bottom - scroller.clientHeight;
  }
}

function draw() {
  const neuron = valuesOf(chosen);
  const session = shared.sessions[neuron.session];
  const width = Math.floor(detail.clientWidth);
  const isPaired = width >= 560;
  const half = isPaired ? Math.floor((width - 32) / 2) : width;
  const pair = [
    contributionsPanel(neuron, session, half),
    saliencyPanel(neuron, session, half),
  ].filter(Boolean);
  const panels = [
    scoresPanel(neuron),
    tracePanel(neuron, session, width),
    fieldsPanel(neuron, session),
    pair.length ? make("div", { class: isPaired ? "side-by-side" : "" }, ...pair) : null,
    tuningPanel(neuron, session, width),
    gazePanel(neuron, session, width),
    gratingsPanel(neuron, session, width),
    patchesPanel(neuron, session, width),
  ];
  detail.replaceChildren(head(neuron), ...panels.filter(Boolean));
}

function head(neuron) {
  const swatch = make("i", { class: "swatch", "aria-hidden": "true" });
  swatch.style.background = shared.colors[neuron.class];
  const step = (words, by) => {
    const button = make("button", { type: "button", "data-step": by }, words);
    button.addEventListener("click", () => {
      move(by);
      detail.querySelector(`[data-step="${by}"]`).focus({ preventScroll: true });
    });
    return button;
  };
  const hasSeveral = Object.keys(shared.sessions).length > 1;
  return make(
    "div",
    { class: "neuron-head" },
    make("h3", { tabindex: "-1", id: "neuron-name" }, `Neuron ${neuron.unit}`),
    make("p", {}, swatch, `${neuron.class}${hasSeveral ? `, session ${neuron.session}` : ""}`),
    make("div", { class: "steps" }, step("\u2190 previous", -1), step("next \u2192", 1)),
  );
}

/* Step through the list; the address changes without a new entry in the history. */
function move(by) {
  const order = inOrder();
  const at = order.indexOf(chosen);
  const row = order[at < 0 ? 0 : Math.min(Math.max(at + by, 0), order.length - 1)];
  if (!row || row === chosen) return null;
  history.replaceState(null, "", linkOf(row).getAttribute("href"));
  show(row);
  return row;
}

function sayCount() {
  const order = inOrder();
  const at = order.indexOf(chosen);
  const all = `${order.length}${order.length === rows.length ? "" : ` of ${rows.length}`}`;
  if (!order.length) counter.textContent = "No neuron matches.";
  else if (at < 0) counter.textContent = `${all} neurons, without the one that is shown.`;
  else counter.textContent = `${at + 1} of ${all} neurons`;
}

function filter() {
  const part = nameFilter.value.trim().toLowerCase();
  for (const row of rows) {
    const words = [...row.cells].filter((cell) => !cell.classList.contains("number"));
    row.hidden =
      (classFilter.value !== "" && row.dataset.class !== classFilter.value) ||
      !words.some((cell) => cell.dataset.value.toLowerCase().includes(part));
  }
  const first = inOrder()[0];
  if (first && (chosen === null || chosen.hidden)) linkOf(first).tabIndex = 0;
  sayCount();
}

const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e6, End: 1e6 };

list.addEventListener("keydown", (event) => {
  if (!(event.key in STEPS) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const row = move(STEPS[event.key]);
  if (row) linkOf(row).focus({ preventScroll: true });
});

nameFilter.addEventListener("keydown", (event) => {
  const first = inOrder()[0];
  if (!first || (event.key !== "ArrowDown" && event.key !== "Enter")) return;
  event.preventDefault();
  history.replaceState(null, "", linkOf(first).getAttribute("href"));
  show(first);
  linkOf(first).focus({ preventScroll: true });
});

nameFilter.addEventListener("input", filter);
classFilter.addEventListener("change", filter);
list.parentElement.tHead.addEventListener("click", () => {
  keepInSight(chosen);
  sayCount();
});

/* A click anywhere in a row acts as a click on its link. */
list.addEventListener("click", (event) => {
  if (event.target.closest("a")) return;
  const link = linkOf(event.target.closest("tr"));
  link.focus({ preventScroll: true });
  link.click();
});

/* The address has changed: by a link, by hand, or by going back. */
function follow() {
  const wanted = asked(location.hash);
  const row = wanted ? rowOf(wanted) : null;
  if (wanted && !row) {
    counter.textContent = `There is no neuron \u201c${wanted.neuron}\u201d.`;
    document.getElementById("neuron").scrollIntoView();
    return;
  }
  if (!row) {
    if (chosen === null || location.hash === "") show(inOrder()[0] ?? rows[0]);
    return;
  }
  const isFromList = list.contains(document.activeElement);
  show(row);
  if (isFromList && !NARROW.matches) return;
  const target = isFromList || NARROW.matches ? detail : document.getElementById("neuron");
  target.scrollIntoView();
  if (!isFromList) document.getElementById("neuron-name").focus({ preventScroll: true });
}

window.addEventListener("hashchange", follow);

/* A link to the neuron in the address does not change the address. */
document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (link && addressOf(link) === location.hash && asked(location.hash)) follow();
});

/* Neurons in charts: one of each chart can be tabbed to; arrow keys reach the others. */
for (const chart of document.querySelectorAll(".drawing svg")) {
  const marks = [...chart.querySelectorAll("a")];
  const stopAt = (place) => marks.forEach((mark, i) => mark.setAttribute("tabindex", i === place ? 0 : -1));
  stopAt(0);
  for (const mark of marks) {
    const { neuron, session } = asked(addressOf(mark));
    const name = `Neuron ${neuron}${session === undefined ? "" : `, session ${session}`}`;
    mark.setAttribute("aria-label", name);
    mark.append(make("title", {}, name));
  }
  chart.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1, ...STEPS }[event.key];
    const at = marks.indexOf(event.target.closest("a"));
    if (by === undefined || at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const place = Math.min(Math.max(at + by, 0), marks.length - 1);
    stopAt(place);
    marks[place].focus({ preventScroll: true });
  });
}

/* Charts are drawn for their current width. */
let drawnWidth = 0;
new ResizeObserver(() => {
  const width = Math.floor(detail.clientWidth);
  if (width === drawnWidth || chosen === null) return;
  drawnWidth = width;
  requestAnimationFrame(draw);
}).observe(detail);

show(inOrder()[0] ?? rows[0]);
drawnWidth = Math.floor(detail.clientWidth);
follow();
if (!asked(location.hash)) sayCount();
