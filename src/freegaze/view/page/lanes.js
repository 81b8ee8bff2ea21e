/* Lanes over one time line: flags, behavior, responses of a neuron, raster of all. */

const INK = "#24272c";
const MUTED = "#5d646e";
const HAIRLINE = "#e3e5e8";
const MODEL = "#0072b2";
const RECORDED = "#8a9099";
const RED = "#99231b";
const SEQUENTIAL = [[251, 251, 249], [156, 200, 226], [0, 114, 178], [0, 43, 73]];
export const ROLE_COLORS = { train: "#dfe6ec", validation: "#f3dcae", test: "#9cc8e2" };

const PALETTE = Array.from({ length: 256 }, (_, level) => {
  const place = (level / 255) * (SEQUENTIAL.length - 1);
  const i = Math.min(SEQUENTIAL.length - 2, Math.floor(place));
  return SEQUENTIAL[i].map((a, k) => Math.round(a + (place - i) * (SEQUENTIAL[i + 1][k] - a)));
});

/* A canvas in CSS pixels, sharp on every screen. */
export function prepare(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const size = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "11px Inter, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
  return context;
}

/* Seconds as a clock shows them. */
export function clockTime(seconds, digits = 0) {
  const sign = seconds < 0 ? "\u2212" : "";
  const whole = Math.abs(seconds);
  const [h, m] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  const rest = (whole % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return h ? `${sign}${h}:${String(m).padStart(2, "0")}:${rest}` : `${sign}${m}:${rest}`;
}

const STEPS_S = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200];

/* Round times between two bins, about one in 90 pixels. */
function timeTicks(view, binWidth, width) {
  const [from, to] = view.map((bin) => bin * binWidth);
  const step = STEPS_S.find((s) => ((to - from) / s) * 90 <= width) ?? 14400;
  const ticks = [];
  for (let k = Math.ceil(from / step); k * step <= to; k += 1) ticks.push(k * step);
  return ticks.map((s) => [s, clockTime(s, step < 0.1 ? 2 : step < 1 ? 1 : 0)]);
}

/* Where lanes lie, for a width: a margin for their names, and the top and height of each. */
export function arrange(width, info, flags) {
  const isNarrow = width < 600;
  const left = isNarrow ? 0 : 132;
  const lanes = [];
  let top = 20;
  const add = (kind, height, values = {}) => {
    lanes.push({ kind, top, height, ...values });
    top += height + (kind === "flag" ? 2 : 13);
  };
  flags.forEach((name, row) => add("flag", isNarrow ? 9 : 11, { name, row }));
  if (flags.length) top += 8;
  info.behavior.forEach((column, row) => {
    add("behavior", isNarrow ? 34 : 38, { ...column, row });
  });
  add("trace", isNarrow ? 96 : 120, { name: info.response });
  const n = info.units.length;
  add("raster", Math.max(60, Math.min(isNarrow ? 180 : 240, n * (n < 40 ? 6 : 3))), { name: "raster" });
  return { left, width, plot: width - left, lanes, height: top, isNarrow };
}

/* Draw all lanes. Each array covers bins of its own and is drawn where they are in view. */
export function drawLanes(canvas, place, state, arrays) {
  const context = prepare(canvas, place.width, place.height);
  const { view, info } = state;
  const across = (bin) => place.left + ((bin - view[0]) / (view[1] - view[0])) * place.plot;
  context.save();
  context.beginPath();
  context.rect(place.left, 0, place.plot, place.height);
  context.clip();
  if (state.moment) {
    context.fillStyle = state.moment.isBest ? "#e3f3ec" : "#fbe6e3";
    const [from, to] = [across(state.moment.start), across(state.moment.stop)];
    context.fillRect(from, 16, to - from, place.height - 16);
  }
  for (const [seconds] of timeTicks(view, info.binWidth, place.plot)) {
    context.fillStyle = HAIRLINE;
    context.fillRect(Math.round(across(seconds / info.binWidth)), 16, 1, place.height - 16);
  }
  for (const lane of place.lanes) {
    const array = arrays[lane.kind];
    if (array) DRAWN[lane.kind](context, lane, array, across, state);
  }
  context.restore();
  context.fillStyle = MUTED;
  context.textAlign = "center";
  for (const [seconds, words] of timeTicks(view, info.binWidth, place.plot)) {
    const x = across(seconds / info.binWidth);
    if (x > place.left + 14 && x < place.width - 14) context.fillText(words, x, 11);
  }
  for (const lane of place.lanes) drawName(context, lane, place, state);
}

function drawName(context, lane, place, state) {
  if (lane.kind === "flag" && place.isNarrow) {
    if (lane.row === 0) outlined(context, "flags", 3, lane.top + 8);
    return;
  }
  const words = {
    flag: lane.name,
    behavior: lane.unit ? `${lane.name} (${lane.unit})` : lane.name,
    trace: lane.name,
    raster: state.isPredicted ? "predicted, all neurons" : "recorded, all neurons",
  }[lane.kind];
  context.textAlign = "left";
  if (place.isNarrow) {
    outlined(context, words, 3, lane.top + 10);
  } else {
    context.fillStyle = INK;
    context.font = `${lane.kind === "flag" ? 10 : 11}px Inter, 'Segoe UI', Roboto, Arial, sans-serif`;
    const y = lane.top + (lane.kind === "flag" ? 9 : 11);
    context.fillText(words, 0, y, place.left - 34);
    if (lane.kind === "raster") {
      context.fillStyle = MUTED;
      context.fillText(state.sortLabel, 0, y + 15, place.left - 8);
    }
  }
  const ends = lane.kind === "trace" ? state.traceEnds : [lane.low, lane.high];
  if ((lane.kind === "behavior" || lane.kind === "trace") && Number.isFinite(ends?.[1])) {
    context.font = "10px Inter, 'Segoe UI', Roboto, Arial, sans-serif";
    context.textAlign = "right";
    context.fillStyle = MUTED;
    const x = place.isNarrow ? place.width - 3 : place.left - 5;
    for (const [end, y] of [[ends[1], lane.top + 8], [ends[0], lane.top + lane.height]]) {
      if (place.isNarrow) {
        context.strokeStyle = "rgb(255 255 255 / 85%)";
        context.lineWidth = 3;
        context.strokeText(shortNumber(end), x, y);
      }
      context.fillText(shortNumber(end), x, y);
    }
    context.font = "11px Inter, 'Segoe UI', Roboto, Arial, sans-serif";
  }
}

function outlined(context, words, x, y) {
  context.textAlign = "left";
  context.strokeStyle = "rgb(255 255 255 / 85%)";
  context.lineWidth = 3;
  context.strokeText(words, x, y);
  context.fillStyle = INK;
  context.fillText(words, x, y);
}

/* Three digits at most, with a true minus sign. */
export function shortNumber(value) {
  if (value === null || !Number.isFinite(value)) return "\u2013";
  const size = Math.abs(value);
  const digits = size >= 100 || size === 0 ? 0 : size >= 10 ? 0 : size >= 1 ? 1 : 3;
  return value.toFixed(digits).replace("-", "\u2212");
}

function drawFlags(context, lane, { shape, numbers, start, stop }, across) {
  const [, n] = shape;
  context.fillStyle = "#f1f2f3";
  context.fillRect(across(start), lane.top, across(stop) - across(start), lane.height);
  context.fillStyle = lane.name.startsWith("lost") ? "#d9822b" : RED;
  const step = (stop - start) / n;
  for (let i = 0; i < n; i += 1) {
    if (!numbers[lane.row * n + i]) continue;
    let end = i + 1;
    while (end < n && numbers[lane.row * n + end]) end += 1;
    const x = across(start + i * step);
    context.fillRect(x, lane.top, Math.max(1, across(start + end * step) - x), lane.height);
    i = end;
  }
}

/* Draw a signal: the band from smallest to largest, and the mean, with gaps where it is missing. */
function drawSignal(context, lane, array, across, first, ends, color, band) {
  const { shape, numbers, start, stop } = array;
  const n = shape[shape.length - 1];
  const step = (stop - start) / n;
  const [low, high] = ends;
  const up = (value) => lane.top + lane.height - ((value - low) / (high - low || 1)) * lane.height;
  const inside = (y) => Math.max(lane.top - 2, Math.min(lane.top + lane.height + 2, y));
  const stride = first.stride;
  context.fillStyle = band;
  for (let i = 0; i < n; i += 1) {
    const [bottom, top] = [numbers[first.at + i], numbers[first.at + 2 * stride + i]];
    if (!(top > bottom)) continue;
    const x = across(start + i * step);
    const [from, to] = [inside(up(top)), inside(up(bottom))];
    context.fillRect(x, from, Math.max(1, across(start + (i + 1) * step) - x), Math.max(1, to - from));
  }
  context.strokeStyle = color;
  context.lineWidth = 1.3;
  context.beginPath();
  let isDown = false;
  for (let i = 0; i < n; i += 1) {
    const value = numbers[first.at + stride + i];
    if (!Number.isFinite(value)) {
      isDown = false;
      continue;
    }
    const [x, y] = [across(start + (i + 0.5) * step), inside(up(value))];
    if (isDown) context.lineTo(x, y);
    else context.moveTo(x, y);
    isDown = true;
  }
  context.stroke();
}

function drawBehavior(context, lane, array, across) {
  const [, columns, n] = array.shape;
  const color = lane.color || "#7a6a53";
  const first = { at: lane.row * n, stride: columns * n };
  drawSignal(context, lane, array, across, first, [lane.low, lane.high], color, `${color}55`);
}

/* Range of the axis of responses: that of the means in view. */
export function rangeOfTrace({ shape, numbers }) {
  const [nTraces, , n] = shape;
  let [low, high] = [0, 0];
  for (let trace = 0; trace < nTraces; trace += 1) {
    for (let i = 0; i < n; i += 1) {
      const value = numbers[(3 * trace + 1) * n + i];
      if (value > high) high = value;
      if (value < low) low = value;
    }
  }
  return [low, high || 1];
}

function drawTrace(context, lane, array, across, state) {
  const [nTraces, , n] = array.shape;
  const ends = state.traceEnds;
  context.fillStyle = HAIRLINE;
  context.fillRect(0, lane.top + lane.height, 1e4, 1);
  const binPx = across(1) - across(0);
  if (binPx < 1.5) {
    drawSignal(context, lane, array, across, { at: 0, stride: n }, ends, RECORDED, "#8a90992b");
  } else {
    drawBars(context, lane, array, across, ends);
  }
  if (nTraces > 1) {
    drawSignal(context, lane, array, across, { at: 3 * n, stride: n }, ends, MODEL, "#0072b22b");
  }
}

/* Draw the response of each bin as a bar from zero. */
function drawBars(context, lane, { shape, numbers, start, stop }, across, [low, high]) {
  const n = shape[shape.length - 1];
  const step = (stop - start) / n;
  const up = (value) => lane.top + lane.height - ((value - low) / (high - low || 1)) * lane.height;
  context.fillStyle = "#c3c8ce";
  for (let i = 0; i < n; i += 1) {
    const value = numbers[n + i];
    if (!value || !Number.isFinite(value)) continue;
    const [from, to] = [across(start + i * step), across(start + (i + 1) * step)];
    const [top, bottom] = [Math.min(up(value), up(0)), Math.max(up(value), up(0))];
    context.fillRect(from, top, Math.max(1, to - from - (to - from > 4 ? 1 : 0)), bottom - top);
  }
}

function drawRaster(context, lane, array, across, state) {
  const [nNeurons, n] = array.shape;
  if (array.order !== state.order) {
    array.order = state.order;
    array.picture = new OffscreenCanvas(n, nNeurons);
    const own = array.picture.getContext("2d");
    const picture = own.createImageData(n, nNeurons);
    state.order.forEach((neuron, row) => {
      for (let i = 0; i < n; i += 1) {
        const color = PALETTE[array.numbers[neuron * n + i]];
        const at = 4 * (row * n + i);
        [picture.data[at], picture.data[at + 1], picture.data[at + 2]] = color;
        picture.data[at + 3] = 255;
      }
    });
    own.putImageData(picture, 0, 0);
  }
  const [from, to] = [across(array.start), across(array.stop)];
  context.imageSmoothingEnabled = false;
  context.drawImage(array.picture, from, lane.top, to - from, lane.height);
  const height = lane.height / nNeurons;
  const y = lane.top + state.order.indexOf(state.neuron) * height;
  context.strokeStyle = RED;
  context.lineWidth = 1;
  context.strokeRect(-5, Math.round(y) - 0.5, 1e4, Math.max(3, height) + 1);
}

const DRAWN = { flag: drawFlags, behavior: drawBehavior, trace: drawTrace, raster: drawRaster };

/* Draw the whole session with the roles of its bins, what is in view, and the present. */
export function drawOverview(canvas, width, state) {
  const context = prepare(canvas, width, 34);
  const { info, view } = state;
  const across = (bin) => (bin / info.bins) * width;
  context.fillStyle = "#eef0f2";
  context.fillRect(0, 4, width, 16);
  for (const [start, stop, role] of info.roles) {
    if (!ROLE_COLORS[role]) continue;
    context.fillStyle = ROLE_COLORS[role];
    context.fillRect(across(start), 4, Math.max(0.5, across(stop) - across(start)), 16);
  }
  context.strokeStyle = INK;
  context.lineWidth = 1.5;
  const [from, to] = view.map(across);
  context.strokeRect(from + 0.75, 2.5, Math.max(4, to - from - 1.5), 19);
  context.fillStyle = RED;
  context.fillRect(across(state.bin) - 0.75, 0, 1.5, 24);
  context.fillStyle = MUTED;
  context.font = "10px Inter, 'Segoe UI', Roboto, Arial, sans-serif";
  context.textAlign = "left";
  context.fillText("0:00", 0, 32);
  context.textAlign = "right";
  context.fillText(clockTime(info.bins * info.binWidth), width, 32);
}
