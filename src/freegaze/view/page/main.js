/* The explorer: one state, what is drawn of it, and what changes it. */

import {
  arrange, clockTime, drawLanes, drawOverview, rangeOfTrace, ROLE_COLORS, shortNumber,
} from "./lanes.js";
import { drawBody, drawFrames, fieldCanvas } from "./scene.js";
import { askArray, askValues, Chunks } from "./server.js";

const SHORTEST_BINS = 12;
const AROUND_MOMENT_S = 24;

const find = (id) => document.getElementById(id);
const state = { bin: 0, view: [0, 1], neuron: 0, order: [], isPredicted: false, moment: null };
const arrays = {};
let flags = [];
let place = null;
let frames = null;
let values = null;
let field = null;
let moments = { best: [], worst: [] };
let turn = { best: -1, worst: -1 };
let playing = null;
let asking = null;
let wanted = 0;
let isDue = false;

function fail(error) {
  if (error.name === "AbortError") return;
  find("failure").textContent = `The explorer cannot go on: ${error.message}`;
  find("failure").hidden = false;
}

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
const seconds = (bin) => bin * state.info.binWidth;
const points = () => clamp(Math.round(place.plot), 50, 1600);

/* Draw once at the next moment that the screen is drawn. */
function draw() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    drawScene();
    drawTime();
  });
}

function drawScene() {
  const { info } = state;
  const bin = Math.floor(state.bin);
  const chunk = frames.at(bin, draw);
  const row = values.at(bin, draw);
  const present = row ? row.numbers.subarray(row.row * row.shape[1], (row.row + 1) * row.shape[1]) : null;
  const n = info.behavior.length;
  const displacement = info.isShifted ? present?.subarray(n, n + 3) : [0, 0, 0];
  if (chunk && displacement) {
    drawFrames({
      chunk,
      size: info.frame,
      camera: find("camera"),
      retinal: info.model === null ? null : find("retinal"),
      displacement,
      center: info.center,
      field,
    });
    document.body.dataset.drawn = bin;
  }
  if (present) {
    const byName = Object.fromEntries(info.behavior.map(({ name }, i) => [name, present[i]]));
    const ranges = Object.fromEntries(info.behavior.map(({ name, low, high }) => [name, [low, high]]));
    drawBody(find("body"), byName, ranges);
  }
  if (playing) frames.at(Math.min(info.bins - 1, bin + info.frame.atOnce), null);
}

function drawTime() {
  drawLanes(find("lanes"), place, state, arrays);
  drawOverview(find("overview"), find("overview").clientWidth, state);
  movePlayhead();
}

function movePlayhead() {
  const { view, info } = state;
  const share = (state.bin - view[0]) / (view[1] - view[0]);
  const mark = find("playhead");
  mark.hidden = share < 0 || share > 1;
  mark.style.transform = `translateX(${place.left + share * place.plot}px)`;
  const words = `${clockTime(seconds(state.bin), 2)} / ${clockTime(seconds(info.bins))}`;
  find("clock").textContent = words;
  const slider = find("overview");
  slider.setAttribute("aria-valuenow", Math.floor(state.bin));
  slider.setAttribute("aria-valuetext", words);
  Object.assign(document.body.dataset, {
    bin: Math.floor(state.bin),
    view: state.view.map(Math.round).join(","),
    neuron: state.neuron,
    playing: playing !== null,
  });
}

/* Go to a bin; the view follows if it would leave it. */
function go(bin, isFollowed = true) {
  const last = state.info.bins - 1;
  state.bin = clamp(bin, 0, last);
  const [start, stop] = state.view;
  if (isFollowed && (state.bin < start || state.bin >= stop)) {
    const length = stop - start;
    show(state.bin - 0.1 * length, state.bin + 0.9 * length);
  }
  remember();
  draw();
}

/* Show a range of bins, within the session and not shorter than a few bins. */
function show(start, stop) {
  const { bins } = state.info;
  const length = clamp(stop - start, Math.min(SHORTEST_BINS, bins), bins);
  const middle = (start + stop) / 2;
  const first = clamp(middle - length / 2, 0, bins - length);
  state.view = [first, first + length];
  draw();
  askSoon();
}

/* Zoom by a factor about a bin, which stays in its place. */
function zoom(factor, bin = state.bin) {
  const [start, stop] = state.view;
  const about = clamp(bin, start, stop);
  const { bins } = state.info;
  const length = clamp((stop - start) * factor, Math.min(SHORTEST_BINS, bins), bins);
  const share = (about - start) / (stop - start);
  show(about - share * length, about + (1 - share) * length);
}

function askSoon(kinds = null) {
  clearTimeout(askSoon.timer);
  askSoon.timer = setTimeout(() => askLanes(kinds).catch(fail), 40);
}

/* Ask for what is in view, and a little on both sides. */
async function askLanes() {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const { bins } = state.info;
  const [from, to] = state.view;
  const margin = 0.15 * (to - from);
  const start = Math.max(0, Math.floor(from - margin));
  const stop = Math.min(bins, Math.ceil(to + margin));
  const range = { session: state.session, start, stop, points: points() };
  wanted += 1;
  const number = wanted;
  const kinds = {
    behavior: state.info.behavior.length ? ["behavior", "float32", range] : null,
    trace: ["traces", "float32", { ...range, neuron: state.neuron }],
    raster: ["raster", "uint8", { ...range, predicted: Number(state.isPredicted) }],
    flag: flags.length ? ["flags", "uint8", range] : null,
  };
  const arriving = Object.entries(kinds).map(async ([kind, request]) => {
    if (!request) return;
    const array = await askArray(...request, signal);
    arrays[kind] = { ...array, start, stop };
    if (kind === "trace") state.traceEnds = rangeOfTrace(array);
    draw();
  });
  await Promise.all(arriving);
  document.body.dataset.arrived = number;
}

/* Choose a neuron; its traces, field and moments follow. */
async function choose(neuron) {
  state.neuron = neuron;
  state.moment = null;
  turn = { best: -1, worst: -1 };
  find("neuron").value = String(neuron);
  find("moment").textContent = "";
  const list = find("scores");
  const shown = state.info.scores.slice(0, 4);
  if (!shown.includes(state.score)) shown.push(state.score);
  list.replaceChildren(
    ...shown.map(({ label, values: of }) => {
      const row = document.createElement("div");
      const [name, value] = [document.createElement("dt"), document.createElement("dd")];
      name.textContent = label;
      value.textContent = of[neuron] === null ? "\u2013" : shortNumber(of[neuron]);
      row.append(name, value);
      return row;
    }),
  );
  remember();
  draw();
  askSoon();
  if (state.info.model === null) return;
  const request = { session: state.session, neuron };
  const [found] = await Promise.all([askValues("moments", request), askField()]);
  if (state.neuron !== neuron) return;
  moments = found;
  for (const kind of ["best", "worst"]) find(kind).disabled = moments[kind].length === 0;
  draw();
}

async function askField() {
  const method = find("method").value;
  const { neuron } = state;
  field = null;
  if (!method) return;
  const array = await askArray("field", "float32", { session: state.session, neuron, method });
  if (state.neuron === neuron) field = fieldCanvas(array);
  draw();
}

function step(by) {
  const at = state.order.indexOf(state.neuron) + by;
  if (state.order[at] !== undefined) choose(state.order[at]).catch(fail);
}

/* Order neurons by a score, best first; neurons without one come last. */
function sort(name) {
  const { scores, units } = state.info;
  state.score = scores.find((score) => score.name === name) ?? scores[0];
  const { values: of, isAscending } = state.score;
  const sign = isAscending ? 1 : -1;
  const label = state.score.label.replace(/ \(.*\)$/, "");
  state.sortLabel = `${isAscending ? "smallest" : "largest"} ${label} on top`;
  state.order = units.map((_, i) => i).sort((a, b) => {
    if (of[a] === null || of[b] === null) return (of[a] === null) - (of[b] === null) || a - b;
    return sign * (of[a] - of[b]) || a - b;
  });
  find("neuron").replaceChildren(...state.order.map((i) => new Option(units[i], i)));
  draw();
}

/* Jump to the next of the best or worst moments of the neuron. */
function jump(kind) {
  const known = moments[kind];
  if (!known.length) return;
  turn[kind] = (turn[kind] + 1) % known.length;
  const moment = known[turn[kind]];
  state.moment = { ...moment, isBest: kind === "best" };
  const half = AROUND_MOMENT_S / state.info.binWidth / 2;
  const middle = (moment.start + moment.stop) / 2;
  state.bin = moment.start;
  show(middle - half, middle + half);
  go(moment.start, false);
  const unit = state.info.responseUnit === "a.u." ? "" : " bits over the mean rate";
  find("moment").textContent =
    `${kind === "best" ? "Best" : "Worst"} ${turn[kind] + 1} of ${known.length}: ` +
    `${clockTime(seconds(moment.start))}, ${moment.gain.toFixed(1).replace("-", "\u2212")}${unit}`;
}

function play(isOn = playing === null) {
  if (!isOn) {
    cancelAnimationFrame(playing);
    playing = null;
  } else {
    let last = performance.now();
    const advance = (now) => {
      const by = ((now - last) / 1000 / state.info.binWidth) * Number(find("speed").value);
      last = now;
      if (state.bin + by >= state.info.bins - 1) {
        go(state.info.bins - 1);
        play(false);
        return;
      }
      go(state.bin + by);
      playing = requestAnimationFrame(advance);
    };
    if (state.bin >= state.info.bins - 1) state.bin = 0;
    playing = requestAnimationFrame(advance);
  }
  find("play").textContent = playing === null ? "Play" : "Pause";
  find("play").setAttribute("aria-pressed", playing !== null);
  draw();
}

function toggleRaster(isOn = !state.isPredicted) {
  if (state.info.model === null) return;
  state.isPredicted = isOn;
  find("predicted").checked = isOn;
  askSoon();
}

/* Keep time and neuron in the address, so that a page that is loaded again shows the same. */
function remember() {
  clearTimeout(remember.timer);
  remember.timer = setTimeout(() => {
    const words = new URLSearchParams({
      session: state.session,
      neuron: state.info.units[state.neuron],
      t: seconds(state.bin).toFixed(3),
    });
    history.replaceState(null, "", `#${words}`);
  }, 300);
}

const KEYS = {
  " ": () => play(),
  ArrowLeft: (isFar) => go(Math.floor(state.bin) - (isFar ? 1 / state.info.binWidth : 1)),
  ArrowRight: (isFar) => go(Math.floor(state.bin) + (isFar ? 1 / state.info.binWidth : 1)),
  ArrowUp: () => step(-1),
  ArrowDown: () => step(1),
  Home: () => go(0),
  End: () => go(state.info.bins - 1),
  "+": () => zoom(0.5),
  "=": () => zoom(0.5),
  "-": () => zoom(2),
  0: () => show(0, state.info.bins),
  b: () => jump("best"),
  w: () => jump("worst"),
  p: () => toggleRaster(),
  "?": () => find("keys").showModal(),
};

function listen() {
  document.addEventListener("keydown", (event) => {
    const isOwn = event.target.closest("select, input, button, dialog");
    if (event.ctrlKey || event.metaKey || event.altKey || find("keys").open) return;
    if (isOwn && (event.target.tagName !== "BUTTON" || event.key === " " || event.key === "Enter")) return;
    const act = KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act(event.shiftKey);
  });
  const presses = {
    play: () => play(),
    previous: () => step(-1),
    next: () => step(1),
    best: () => jump("best"),
    worst: () => jump("worst"),
    "zoom-in": () => zoom(0.5),
    "zoom-out": () => zoom(2),
    whole: () => show(0, state.info.bins),
    help: () => find("keys").showModal(),
  };
  for (const [id, act] of Object.entries(presses)) find(id).addEventListener("click", act);
  find("neuron").addEventListener("change", (event) => choose(Number(event.target.value)).catch(fail));
  find("sort").addEventListener("change", (event) => {
    sort(event.target.value);
    choose(state.neuron).catch(fail);
  });
  find("method").addEventListener("change", () => askField().catch(fail));
  find("predicted").addEventListener("change", (event) => toggleRaster(event.target.checked));
  find("session").addEventListener("change", (event) => open(Number(event.target.value)).catch(fail));
  dragOverview();
  dragLanes();
  new ResizeObserver(() => {
    layOut();
    askSoon();
  }).observe(find("lanes-box"));
}

function dragOverview() {
  const canvas = find("overview");
  const move = (event) => {
    const bin = (event.offsetX / canvas.clientWidth) * state.info.bins;
    const half = (state.view[1] - state.view[0]) / 2;
    if (2 * half < state.info.bins) show(bin - half, bin + half);
    go(bin, false);
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    move(event);
  });
  canvas.addEventListener("pointermove", (event) => event.buttons && move(event));
}

function dragLanes() {
  const canvas = find("lanes");
  const binAt = (event) => {
    const share = (event.offsetX - place.left) / place.plot;
    return state.view[0] + share * (state.view[1] - state.view[0]);
  };
  let pressed = null;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pressed = { x: event.offsetX, hasMoved: false };
    if (!neuronAt(event)) go(binAt(event), false);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!pressed) return;
    pressed.hasMoved ||= Math.abs(event.offsetX - pressed.x) > 4;
    if (pressed.hasMoved) go(clamp(binAt(event), ...state.view), false);
  });
  canvas.addEventListener("pointerup", (event) => {
    const neuron = neuronAt(event);
    if (pressed && !pressed.hasMoved && neuron) choose(neuron.number).catch(fail);
    pressed = null;
  });
  canvas.addEventListener("pointercancel", () => {
    pressed = null;
  });
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const [start, stop] = state.view;
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        const by = ((event.deltaX || event.deltaY) / place.plot) * (stop - start);
        show(start + by, stop + by);
      } else {
        zoom(2 ** clamp(event.deltaY / 200, -1, 1), binAt(event));
      }
    },
    { passive: false },
  );
}

/* The neuron whose row of the raster the pointer is on. */
function neuronAt(event) {
  const lane = place.lanes.find(({ kind }) => kind === "raster");
  const share = (event.offsetY - lane.top) / lane.height;
  if (share < 0 || share >= 1 || event.offsetX < place.left) return null;
  return { number: state.order[Math.floor(share * state.order.length)] };
}

function layOut() {
  if (!state.info) return;
  place = arrange(find("lanes-box").clientWidth, state.info, flags);
  find("lanes").style.height = `${place.height}px`;
  draw();
}

function legend() {
  const marks = [["#8a9099", "recorded (mean, and range where bins share a pixel)"]];
  if (state.info.model !== null) marks.push(["#0072b2", "predicted"]);
  const roles = new Set(state.info.roles.map(([, , role]) => role));
  for (const role of Object.keys(ROLE_COLORS)) {
    if (roles.has(role)) marks.push([ROLE_COLORS[role], `${role} bins`]);
  }
  find("legend").replaceChildren(
    ...marks.map(([color, words]) => {
      const entry = document.createElement("span");
      const sample = document.createElement("i");
      sample.style.background = color;
      entry.append(sample, words);
      return entry;
    }),
  );
}

/* Ask for the quality checks until they are made; flags are then a lane each. */
async function askQuality(session) {
  find("quality").hidden = false;
  find("quality-state").textContent = "The recording is being checked.";
  find("checks").hidden = true;
  for (;;) {
    const found = await askValues("quality", { session });
    if (session !== state.session) return;
    if (found.checks) {
      showQuality(found);
      flags = found.flags;
      layOut();
      askSoon();
      return;
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 500);
    });
  }
}

function showQuality({ status, checks, flags: names }) {
  const flagged = names.length ? "Flagged bins are on the time line" : "No bin is flagged";
  const made = checks.filter((check) => check.status !== "not available");
  find("quality-state").textContent =
    `${status}; ${made.length} of ${checks.length} checks could be made. ${flagged}.`;
  find("checks").hidden = false;
  find("checks").replaceChildren(
    ...made.map((check) => {
      const row = document.createElement("li");
      const badge = document.createElement("span");
      badge.className = `badge badge--${check.status}`;
      badge.textContent = check.status;
      const title = document.createElement("strong");
      title.textContent = check.title;
      const sentence = document.createElement("p");
      sentence.textContent = check.sentence;
      row.append(badge, title, sentence);
      return row;
    }),
  );
}

/* Open a session, at the time and neuron of the address if it names them. */
async function open(session, given = new URLSearchParams()) {
  if (playing !== null) play(false);
  state.session = session;
  const info = await askValues("session", { session });
  Object.assign(state, { info, view: [0, info.bins], moment: null, traceEnds: [0, 1] });
  for (const kind of Object.keys(arrays)) delete arrays[kind];
  flags = [];
  frames = new Chunks("frames", "uint8", session, info.frame.atOnce, info.bins);
  values = new Chunks("values", "float32", session, 1024, info.bins);
  const minutes = clockTime(seconds(info.bins));
  find("facts").textContent = [
    info.sessionId,
    `${minutes} of ${(1000 * info.binWidth).toFixed(0)} ms bins`,
    `${info.units.length} neurons`,
    info.model === null ? "recording" : `encoder ${info.model}`,
  ].join(" · ");
  const hasRun = info.model !== null;
  find("retinal-figure").hidden = !hasRun;
  document.querySelector(".scene").toggleAttribute("data-plain", !hasRun);
  for (const id of ["moments", "moment"]) find(id).hidden = !hasRun;
  find("predicted-pick").hidden = !hasRun;
  find("method").replaceChildren(...info.methods.map((name) => new Option(name.replace("_", ", "), name)));
  find("method-pick").hidden = info.methods.length === 0;
  find("retinal-caption").textContent = info.isShifted
    ? `Retinal frame${info.methods.length ? ", with the neuron\u2019s receptive field" : ""}`
    : "Frame of the encoder, which has no shifter";
  find("sort").replaceChildren(...info.scores.map(({ name, label }) => new Option(label, name)));
  const slider = find("overview");
  slider.setAttribute("aria-valuemin", 0);
  slider.setAttribute("aria-valuemax", info.bins - 1);
  sort(find("sort").value);
  legend();
  layOut();
  const named = info.units.indexOf(given.get("neuron") ?? "");
  const at = Number(given.get("t") ?? 0) / info.binWidth;
  go(Number.isFinite(at) ? at : 0);
  const neuron = choose(named < 0 ? state.order[0] : named);
  await neuron;
  document.body.dataset.ready = session;
  setTimeout(() => askQuality(session).catch(fail), 1000); // when the page is there
}

async function start() {
  const { title, sessions } = await askValues("sessions");
  find("title").textContent = title;
  document.title = `${title} \u2013 freegaze view`;
  find("session").replaceChildren(...sessions.map((name, i) => new Option(name, i)));
  find("session-pick").hidden = sessions.length < 2;
  const given = new URLSearchParams(location.hash.slice(1));
  const first = clamp(Number(given.get("session")) || 0, 0, sessions.length - 1);
  find("session").value = String(first);
  await open(first, given);
  listen();
}

start().catch(fail);
