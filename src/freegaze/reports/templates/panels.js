"use strict";

/* Panels of one neuron. Each function takes the neuron's values, values of its session and the
   width of the drawing, and returns elements, or null without data. */

const shared = JSON.parse(document.getElementById("neuron-shared").textContent);

function block(title, caption, ...content) {
  return make(
    "section",
    { class: "block" },
    make("h4", {}, title),
    ...content,
    caption ? make("p", { class: "caption" }, caption) : null,
  );
}

/* Scores with their intervals. */
function scoresPanel(neuron) {
  if (!neuron.scores.length) return null;
  const rows = neuron.scores
    .filter(([, value]) => value !== "\u2013")
    .map(([name, value, interval]) =>
      make(
        "div",
        {},
        make("dt", {}, name),
        make("dd", {}, value, interval ? make("small", {}, interval) : null),
      ),
    );
  const hasIntervals = neuron.scores.some(([, , interval]) => interval);
  return block(
    "Scores",
    hasIntervals ? "On test bins; the 95\u00a0% interval is below each score." : "On test bins.",
    make("dl", { class: "scores-list" }, ...rows),
  );
}

/* A line that is stored as one byte per bin. */
function decodeLine(code, low, high) {
  const bytes = atob(code);
  const unit = (high - low) / 255;
  return Array.from({ length: bytes.length }, (_, i) => low + unit * bytes.charCodeAt(i));
}

const WIDE_S = 60;
const NARROW_S = 20;

/* Recorded and predicted test bins; a slider moves through them. */
function tracePanel(neuron, session, width) {
  if (!neuron.trace) return null;
  const { low, high } = neuron.trace;
  const lines = {};
  for (const name of ["observed", "predicted", "attainable"]) {
    if (neuron.trace[name]) lines[name] = decodeLine(neuron.trace[name], low, high);
  }
  const total = lines.observed.length;
  const seconds = width > 560 ? WIDE_S : NARROW_S;
  const n = Math.min(total, Math.round(seconds / session.binWidth));
  const holder = make("div", { class: "drawing" });
  const draw = (first) => holder.replaceChildren(drawTrace(neuron, session, width, lines, first, n));
  draw(0);
  const parts = [
    legend(
      ["area", "recorded"],
      ["line", "predicted"],
      ...(lines.attainable ? [["truth", "attainable"]] : []),
    ),
    holder,
  ];
  if (total > n) {
    const slider = make("input", {
      type: "range",
      min: 0,
      max: total - n,
      step: Math.max(1, Math.round(n / 6)),
      value: 0,
      "aria-label": "Start of the test bins shown",
    });
    const say = () => {
      const from = slider.value * session.binWidth;
      slider.setAttribute("aria-valuetext", `${from.toFixed(0)} s of test time`);
    };
    slider.addEventListener("input", () => {
      draw(Number(slider.value));
      say();
    });
    say();
    parts.push(make("label", { class: "slider" }, "earlier", slider, "later"));
  }
  const caption =
    `Test bins only, averaged over ${shared.smoothing} ms. A gray line marks a jump in time, ` +
    "with the time in the session above it.";
  return block("Predicted and recorded", caption, ...parts);
}

function drawTrace(neuron, session, width, lines, first, n) {
  const { binWidth } = session;
  const chart = newChart({
    width,
    height: 205,
    top: 18,
    x: [first * binWidth, (first + n) * binWidth],
    y: [neuron.trace.low, neuron.trace.high * 1.03 || 1],
    xLabel: "test time (s)",
    yLabel: session.response,
    label: `Recorded and predicted ${session.response} of neuron ${neuron.unit}`,
  });
  let start = 0;
  let free = chart.inner.left;
  for (const [time, length] of session.stretches) {
    const [from, to] = [Math.max(start, first), Math.min(start + length, first + n)];
    if (to - from > 1) {
      const xs = Array.from({ length: to - from }, (_, i) => (from + i) * binWidth);
      const part = (name) => lines[name].slice(from, to);
      chart.add("path", { class: "area", d: areaPath(xs, part("observed"), chart) });
      if (lines.attainable) {
        chart.add("path", { class: "truth", d: linePath(xs, part("attainable"), chart) });
      }
      chart.add("path", { class: "line", d: linePath(xs, part("predicted"), chart) });
      const x = chart.across(from * binWidth);
      const { top, bottom } = chart.inner;
      if (from === start && from > first) {
        chart.add("line", { class: "jump", x1: x, x2: x, y1: top, y2: bottom });
      }
      if (x >= free && x < chart.inner.right - 60) {
        const at = `at ${(time + (from - start) * binWidth).toFixed(0)} s`;
        chart.add("text", { class: "tick", x, y: top - 5 }, at);
        free = x + 70;
      }
    }
    start += length;
  }
  return chart.root;
}

/* One picture of a field or a pair, cut out of a vertical strip of pictures. */
function picture(address, { width, height }, place, n, outline, label) {
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  svg.append(
    make("image", {
      href: address,
      x: 0,
      y: -place * height,
      width,
      height: n * height,
      preserveAspectRatio: "none",
    }),
  );
  if (outline) {
    svg.append(
      make("ellipse", {
        class: outline.is_poor ? "outline outline--poor" : "outline",
        cx: outline.x,
        cy: outline.y,
        rx: outline.along,
        ry: outline.across,
        transform: `rotate(${outline.turn_deg} ${outline.x} ${outline.y})`,
      }),
    );
  }
  return svg;
}

/* Receptive fields in space and time by every method, and Gabor functions in numbers. */
function fieldsPanel(neuron, session) {
  if (!neuron.fields.length) return null;
  const rows = neuron.fields.map((field) => {
    const moments = session.delays.slice(-field.n).map((delay, k) =>
      make(
        "figure",
        { class: k === field.peak ? "moment moment--peak" : "moment" },
        picture(
          field.strip,
          field,
          k,
          field.n,
          k === field.peak ? field.outline : null,
          `${field.title}, ${delay} ms before the predicted bin`,
        ),
        make("figcaption", {}, `${MINUS}${delay} ms`),
      ),
    );
    const pair = field.pair.map((address, k) =>
      make(
        "figure",
        { class: "moment moment--pair" },
        picture(address, field, 0, 1, null, `${field.title}, picture ${k + 1} of a pair`),
        make("figcaption", {}, `pair ${k + 1}`),
      ),
    );
    return make(
      "div",
      { class: "field" },
      make(
        "p",
        {},
        make("strong", {}, field.title),
        make("span", {}, `s = ${field.limit} ${field.unit}`),
      ),
      make("div", { class: "moments" }, ...moments, ...pair),
    );
  });
  const hasPair = neuron.fields.some((field) => field.pair.length);
  const caption =
    "Times are those from each picture to the predicted bin. The strongest picture has a frame " +
    `and its Gabor fit (${shared.outlineNote}). Each method has its own scale s.` +
    (hasPair
      ? " This neuron is phase-invariant: sums of its two pictures excite it at any phase."
      : "");
  const bar = make("span", { class: "color-scale-bar", "aria-hidden": "true" });
  bar.style.background = shared.gradient;
  const scale = make(
    "div",
    { class: "color-scale" },
    bar,
    make(
      "span",
      { class: "color-scale-ends" },
      ...[`${MINUS}s`, "0", "+s"].map((words) => make("span", {}, words)),
    ),
    make("span", { class: "color-scale-unit" }, "blue: dark excites; orange: light excites"),
  );
  return block("Receptive fields", caption, scale, ...rows, gaborTable(neuron.gabor));
}

function gaborTable({ header, rows }) {
  if (!rows.length) return null;
  const head = make(
    "tr",
    {},
    make("th", { scope: "col", class: "plain name" }, "field"),
    ...header.map((words) => make("th", { scope: "col", class: "plain number" }, words)),
  );
  const body = rows.map(([name, ...cells]) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, name),
      ...cells.map((words) => make("td", { class: "number" }, words)),
    ),
  );
  return make(
    "div",
    { class: "scroller", role: "region", tabindex: "0", "aria-label": "Fields in numbers" },
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)),
  );
}

/* Charts side by side; a row has as many as remain legible. */
function chartGrid(width, least, draw, items) {
  const columns = Math.max(1, Math.min(items.length, Math.floor((width + 16) / (least + 16))));
  const each = Math.floor((width - 16 * (columns - 1)) / columns);
  const grid = make("div", { class: "chart-grid" }, ...items.map((item) => draw(item, each)));
  grid.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
  return grid;
}

/* Observed and predicted rate at levels of each signal. */
function tuningPanel(neuron, session, width) {
  if (!neuron.tuning.length) return null;
  const ends = neuron.tuning.flatMap((curve) => [
    curve.observed.map((value, i) => value + (curve.se[i] ?? 0)),
    curve.observed.map((value, i) => value - (curve.se[i] ?? 0)),
    curve.predicted,
  ]);
  const y = extent(ends);
  const draw = (curve, each) => {
    const chart = newChart({
      width: each,
      height: 185,
      x: extent([curve.level]),
      y,
      xLabel: curve.unit ? `${curve.signal} (${curve.unit})` : curve.signal,
      yLabel: session.response,
      label: `Tuning of neuron ${neuron.unit} to ${curve.signal}, observed and predicted`,
    });
    chart.add("path", { class: "line", d: linePath(curve.level, curve.predicted, chart) });
    curve.level.forEach((level, i) => {
      const [x, observed, se] = [chart.across(level), curve.observed[i], curve.se[i] ?? 0];
      if (observed === null) return;
      const [y1, y2] = [chart.up(observed - se), chart.up(observed + se)];
      chart.add("line", { class: "error", x1: x, x2: x, y1, y2 });
      chart.add("circle", { class: "dot", cx: x, cy: chart.up(observed), r: 3 });
    });
    return chart.root;
  };
  return block(
    "Tuning",
    "Mean response at levels of each signal; all levels have equally many bins. Bars are one " +
      `standard error over blocks of ${shared.blockSeconds} s.`,
    legend(["dot", "recorded"], ["line", "predicted"]),
    chartGrid(width, 165, draw, neuron.tuning),
  );
}

/* Responses around gaze shifts. */
function gazePanel(neuron, session, width) {
  if (!neuron.gaze.length) return null;
  const y = extent(neuron.gaze.flatMap((side) => [side.observed, side.predicted]));
  const draw = (side, each) => {
    const chart = newChart({
      width: each,
      height: 200,
      x: extent([side.offset], 0),
      y,
      title: `${side.direction}, ${side.n} shifts`,
      xLabel: "time from gaze shift (s)",
      yLabel: session.response,
      label: `Response of neuron ${neuron.unit} around gaze shifts to the ${side.direction}`,
    });
    const { top, bottom } = chart.inner;
    const zero = chart.across(0);
    chart.add("line", { class: "jump", x1: zero, x2: zero, y1: top, y2: bottom });
    chart.add("path", { class: "observed", d: linePath(side.offset, side.observed, chart) });
    chart.add("path", { class: "line", d: linePath(side.offset, side.predicted, chart) });
    return chart.root;
  };
  return block(
    "Around gaze shifts",
    `Averages over shifts of gaze (eye and head together) that are faster than ${shared.shiftSpeed} °/s.`,
    legend(["observed", "recorded"], ["line", "predicted"]),
    chartGrid(width, 260, draw, neuron.gaze),
  );
}

const PROBE_AXES = {
  direction: "direction of drift",
  frequency: "spatial frequency",
  temporal: "temporal frequency",
  size: "diameter of the patch",
  contrast: "contrast",
};

/* Responses of the encoder to gratings, through the best one. */
function gratingsPanel(neuron, session, width) {
  if (!neuron.gratings) return null;
  const words =
    neuron.gratings.response === "mean"
      ? "the mean rate above that of a uniform frame"
      : "the first harmonic of the rate (the rate follows the stripes)";
  return probePanel(neuron, session, width, neuron.gratings, {
    title: "Gratings shown to the encoder",
    lead: `Curves through the grating that drives the predicted rate most; the response is ${words}. No grating was recorded.`,
    header: "preferred",
  });
}

/* Responses of the encoder to patches of the best grating. */
function patchesPanel(neuron, session, width) {
  if (!neuron.patches) return null;
  return probePanel(neuron, session, width, neuron.patches, {
    title: "Patches shown to the encoder",
    lead: "Patches of the grating that drives the predicted rate most, at the place where squares change it most. Contrast is relative to typical frames. No patch was recorded.",
    header: "patches",
  });
}

/* Curves of a probe, and its numbers. */
function probePanel(neuron, session, width, { rows, curves }, { title, lead, header }) {
  const y = extent([...curves.map((curve) => curve.value), [0]]);
  const draw = (curve, each) => {
    const name = PROBE_AXES[curve.axis];
    const chart = newChart({
      width: each,
      height: 185,
      x: extent([curve.level]),
      y,
      xLabel: `${name} (${curve.unit})`,
      yLabel: session.responseUnit,
      label: `${title}: response of neuron ${neuron.unit} by ${name}`,
    });
    chart.add("path", { class: "line", d: linePath(curve.level, curve.value, chart) });
    return chart.root;
  };
  return block(title, lead, chartGrid(width, 200, draw, curves), gaborTable({ header: [header], rows }));
}

/* Bars from a line at zero, a row each: {name, value, note, draw marks with `more`}. */
function barChart({ width, rows, x, xLabel, label, names, notes }) {
  const step = 27;
  const height = step * rows.length + 46;
  const [left, right] = [names, width - notes];
  const across = (value) => left + ((value - x[0]) / (x[1] - x[0])) * (right - left);
  const bottom = step * rows.length + 4;
  const root = make("svg", {
    class: "chart",
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "img",
    "aria-label": label,
  });
  for (const [tick, words] of roundTicks(...x, Math.max(2, (right - left) / 62))) {
    const at = across(tick);
    root.append(make("line", { class: "grid", x1: at, x2: at, y1: 0, y2: bottom }));
    root.append(make("text", { class: "tick", x: at, y: bottom + 14, "text-anchor": "middle" }, words));
  }
  rows.forEach((row, i) => {
    const y = i * step + 4;
    root.append(make("text", { class: "row", x: 0, y: y + 15 }, row.name));
    row.marks(root, across, y);
    if (row.note) {
      root.append(make("text", { class: "tick", x: width, y: y + 15, "text-anchor": "end" }, row.note));
    }
  });
  const half = 3.3 * xLabel.length; /* a long name must not leave the drawing */
  const middle = Math.max(half, Math.min((left + right) / 2, width - half));
  root.append(
    make("line", { class: "axis", x1: across(0), x2: across(0), y1: 0, y2: bottom }),
    make("text", { class: "name", x: middle, y: height - 4, "text-anchor": "middle" }, xLabel),
  );
  return root;
}

/* A bar between zero and a value. */
function bar(across, value, y, height, attributes) {
  const [a, b] = [across(0), across(value)];
  return make("rect", { x: Math.min(a, b), y, width: Math.abs(b - a), height, ...attributes });
}

/* Direction in which a signal changes the rate: clearly up, clearly down, or both. */
function direction({ absolute, signed, interval }) {
  const [low, high] = interval;
  if (low !== null && low <= 0 && high >= 0) return "\u2195";
  if (!absolute || Math.abs(signed) < 0.5 * absolute) return "\u2195";
  return signed > 0 ? "\u2191" : "\u2193";
}

/* Change of the rate with each signal. */
function saliencyPanel(neuron, session, width) {
  if (!neuron.saliency.length) return null;
  const hasGaze = neuron.saliency.some((row) => row.viaGaze > 0);
  const rows = neuron.saliency.map((row) => ({
    name: row.signal,
    note: direction(row) + (row.answer === "yes" ? " *" : ""),
    marks: (root, across, y) => {
      const words =
        `${row.signal}: ${inWords(row.absolute)}, signed ${inWords(row.signed)}` +
        (row.interval[0] === null
          ? ", "
          : ` (95\u00a0% ${inWords(row.interval[0])} to ${inWords(row.interval[1])}), `) +
        `via gaze ${inWords(row.viaGaze)}, integrated ${inWords(row.integrated)}` +
        (row.p === "" ? "; not tested" : `; p = ${row.p}, least possible ${row.leastP}`);
      const group = make("g", {}, make("title", {}, words));
      group.append(bar(across, row.absolute ?? 0, y + 3, hasGaze ? 9 : 15, { class: "partial" }));
      if (hasGaze) group.append(bar(across, row.viaGaze ?? 0, y + 13, 6, { class: "via-gaze" }));
      const at = across(row.integrated ?? 0);
      const d = `M${at} ${y + 3.5}l4 4l-4 4l-4-4Z`;
      if (row.integrated !== null) group.append(make("path", { class: "integrated", d }));
      root.append(group);
    },
  }));
  const names = Math.max(...rows.map((row) => row.name.length)) * 6.9 + 10;
  const sizes = neuron.saliency.flatMap((row) => [row.absolute, row.viaGaze, row.integrated]);
  const chart = barChart({
    width,
    rows,
    x: [0, extent([sizes])[1]],
    xLabel: `change (${session.responseUnit} per training sd)`,
    label: `Saliency of behavior for neuron ${neuron.unit}`,
    names: Math.min(names, width / 3),
    notes: 34,
  });
  const entries = [["partial", "image held still"]];
  if (hasGaze) entries.push(["via-gaze", "via gaze"]);
  entries.push(["integrated", "integrated gradients"]);
  return block(
    "Saliency of behavior",
    "Mean size of the change. A higher signal raises the rate (\u2191) or lowers it (\u2193). \u2195: " +
      "both occur, or the 95\u00a0% interval of the signed mean contains 0. " +
      "*: test bins follow the signal as the encoder uses it, more than by chance.",
    legend(...entries),
    chart,
  );
}

/* Contribution of each group. */
function contributionsPanel(neuron, session, width) {
  if (!neuron.contributions.length) return null;
  const rows = neuron.contributions.map((row) => ({
    name: row.group,
    note: row.p === "" ? "not tested" : `p = ${row.p}${row.isSignificant ? " *" : ""}`,
    marks: (root, across, y) => {
      const color = shared.colors[row.group] ?? shared.colors.vision;
      const style = row.isSignificant
        ? { fill: color, stroke: color }
        : { fill: "none", stroke: "#8a9099" };
      const words = `${row.group} adds ${inWords(row.added)} %, alone ${inWords(row.alone)} %` +
        (row.p === "" ? "" : `; p = ${row.p}, least possible ${row.leastP}`);
      const mark = bar(across, row.added ?? 0, y + 4, 13, style);
      mark.append(make("title", {}, words));
      const at = across(row.alone ?? 0);
      root.append(mark);
      if (row.alone !== null) {
        root.append(make("line", { class: "alone", x1: at, x2: at, y1: y + 1, y2: y + 20 }));
      }
    },
  }));
  const sizes = neuron.contributions.flatMap((row) => [row.added, row.alone, 0]);
  const chart = barChart({
    width,
    rows,
    x: extent([sizes]),
    xLabel: "deviance explained (%)",
    label: `What each group adds to neuron ${neuron.unit}`,
    names: 54,
    notes: 88,
  });
  return block(
    "Contributions",
    "Deviance explained that is lost without the group, on test bins. * and filled: significant.",
    legend(["added", "added by the group"], ["alone", "explained by it alone"]),
    chart,
  );
}
