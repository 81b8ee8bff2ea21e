/* Frame of the head camera, the retinal frame with a receptive field, and eye and head. */

const INK = "#24272c";
const MUTED = "#5d646e";
const LINE = "#cfd3d8";
const GRAY = "#8c8c8c";
const POSITIVE = [213, 94, 0];
const NEGATIVE = [0, 114, 178];

/* Draw one frame, a uint8 per pixel, onto a canvas of its own size. */
function frameCanvas(numbers, row, width, height, target) {
  const canvas = target ?? new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  const first = row * width * height;
  for (let i = 0; i < width * height; i += 1) {
    const gray = numbers[first + i];
    picture.data[4 * i] = gray;
    picture.data[4 * i + 1] = gray;
    picture.data[4 * i + 2] = gray;
    picture.data[4 * i + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
  return canvas;
}

/* A receptive field as a picture that is clear where the field is zero. */
export function fieldCanvas({ shape, numbers, headers }) {
  const [height, width] = shape;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  let limit = 0;
  for (const value of numbers) if (Math.abs(value) > limit) limit = Math.abs(value);
  if (limit > 0) {
    numbers.forEach((value, i) => {
      const size = Number.isFinite(value) ? Math.abs(value) / limit : 0;
      const color = value > 0 ? POSITIVE : NEGATIVE;
      picture.data.set([...color, Math.round(230 * size ** 1.5)], 4 * i);
    });
  }
  context.putImageData(picture, 0, 0);
  const outline = headers.get("X-Outline");
  return { canvas, outline: outline ? outline.split(",").map(Number) : null };
}

/* Draw the camera's frame, and the retinal frame where there is a place for it.

   A displacement is (x px, y px, angle deg): the frame turns about the center and is moved.
   A pixel's middle has whole coordinates there, and half ones on a canvas. */
export function drawFrames({ chunk, size, camera, retinal, displacement, center, field }) {
  const { width, height } = size;
  const times = Math.max(1, Math.round(480 / width));
  for (const canvas of [camera, retinal]) {
    if (canvas && (canvas.width !== times * width || canvas.height !== times * height)) {
      canvas.width = times * width;
      canvas.height = times * height;
    }
  }
  const frame = frameCanvas(chunk.numbers, chunk.row, width, height);
  const plain = camera.getContext("2d");
  plain.imageSmoothingEnabled = false;
  plain.drawImage(frame, 0, 0, camera.width, camera.height);
  if (!retinal) return;
  const context = retinal.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = GRAY;
  context.fillRect(0, 0, retinal.width, retinal.height);
  const [dx, dy, degrees] = displacement;
  const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
  const [cx, cy] = [center[0] + 0.5, center[1] + 0.5];
  const [right, down] = [dx + cx - cos * cx + sin * cy, dy + cy - sin * cx - cos * cy];
  context.setTransform(
    ...[times * cos, times * sin, -times * sin, times * cos, times * right, times * down],
  );
  context.imageSmoothingEnabled = true;
  context.drawImage(frame, 0, 0);
  context.setTransform(times, 0, 0, times, 0, 0);
  if (!field) return;
  context.drawImage(field.canvas, 0, 0);
  if (field.outline) {
    const [x, y, along, across, turn] = field.outline;
    for (const [color, line] of [["#ffffff", 3], [INK, 1.2]]) {
      context.beginPath();
      context.ellipse(x + 0.5, y + 0.5, 2 * along, 2 * across, (turn * Math.PI) / 180, 0, 7);
      context.strokeStyle = color;
      context.lineWidth = line / times;
      context.stroke();
    }
  }
}

const known = (value) => value !== undefined && Number.isFinite(value);

/* Draw eye and head. Values are by name of the behavior column; NaN is lost tracking. */
export function drawBody(canvas, values, ranges) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth || 260;
  const isFlat = width > 0.6 * document.documentElement.clientWidth; // a phone: height is scarce
  const height = Math.round(isFlat ? 132 : Math.min(300, width * 0.86));
  canvas.style.height = `${height}px`;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  if (isFlat) {
    drawEye(context, 0.165 * width, 56, 46, values, ranges);
    drawHead(context, 0.43 * width, 56, 26, values, "pitch");
    drawHead(context, 0.62 * width, 56, 26, values, "roll");
    drawBars(context, 0.75 * width, 40, 0.24 * width, values, ranges);
  } else {
    drawEye(context, 0.3 * width, 0.33 * height, 0.26 * height, values, ranges);
    drawHead(context, 0.77 * width, 0.19 * height, 0.11 * height, values, "pitch");
    drawHead(context, 0.77 * width, 0.58 * height, 0.11 * height, values, "roll");
    drawBars(context, 0.06 * width, 0.82 * height, 0.88 * width, values, ranges);
  }
}

function label(context, words, x, y, align = "center") {
  context.fillStyle = MUTED;
  context.font = "11px Inter, 'Segoe UI', Roboto, Arial, sans-serif";
  context.textAlign = align;
  context.fillText(words, x, y);
}

function rounded(value, unit = "°") {
  return known(value) ? `${value.toFixed(0).replace("-", "\u2212")}${unit}` : "lost";
}

function drawEye(context, x, y, radius, values, ranges) {
  const has = "theta" in values || "phi" in values;
  context.beginPath();
  context.arc(x, y, radius, 0, 7);
  context.fillStyle = "#f4f4f1";
  context.fill();
  context.strokeStyle = LINE;
  context.lineWidth = 1.5;
  context.stroke();
  context.beginPath();
  context.moveTo(x - radius, y);
  context.lineTo(x + radius, y);
  context.moveTo(x, y - radius);
  context.lineTo(x, y + radius);
  context.lineWidth = 0.6;
  context.stroke();
  const words = has ? `eye: θ ${rounded(values.theta)}, φ ${rounded(values.phi)}` : "no eye angles";
  label(context, words, x, y + radius + 16);
  if (!known(values.theta) && !known(values.phi)) return;
  const sine = (degrees) => Math.sin(((known(degrees) ? degrees : 0) * Math.PI) / 180);
  const [low, high] = ranges.pupil_radius ?? [0, 1];
  const share = known(values.pupil_radius) ? (values.pupil_radius - low) / (high - low || 1) : 0.4;
  const pupil = radius * (0.16 + 0.2 * Math.min(1.2, Math.max(0, share)));
  const place = [x + radius * sine(values.theta), y - radius * sine(values.phi)];
  context.beginPath();
  context.arc(...place, pupil + 0.12 * radius, 0, 7);
  context.fillStyle = "#cc79a7";
  context.fill();
  context.beginPath();
  context.arc(...place, pupil, 0, 7);
  context.fillStyle = INK;
  context.fill();
}

function drawHead(context, x, y, size, values, name) {
  const value = values[name];
  const words = name in values ? `${name} ${rounded(value)}` : `no ${name}`;
  label(context, words, x, y + 1.1 * size + 18);
  context.save();
  context.translate(x, y);
  context.rotate(((known(value) ? value : 0) * Math.PI) / (name === "pitch" ? -180 : 180));
  context.strokeStyle = known(value) ? "#d55e00" : LINE;
  context.setLineDash(known(value) ? [] : [3, 3]);
  context.lineWidth = 1.8;
  context.beginPath();
  if (name === "pitch") {
    context.ellipse(-0.1 * size, 0, size, 0.62 * size, 0, 0, 7); // from the side, nose to the right
    context.moveTo(0.8 * size, -0.3 * size);
    context.lineTo(1.45 * size, 0.1 * size);
    context.lineTo(0.8 * size, 0.38 * size);
    context.moveTo(-0.3 * size, -0.6 * size);
    context.ellipse(-0.5 * size, -0.72 * size, 0.3 * size, 0.36 * size, 0, 0, 7);
  } else {
    context.arc(0, 0, 0.75 * size, 0, 7); // from the front
    context.moveTo(-0.45 * size, -0.72 * size);
    context.arc(-0.75 * size, -0.7 * size, 0.34 * size, 0, 7);
    context.moveTo(1.09 * size, -0.7 * size);
    context.arc(0.75 * size, -0.7 * size, 0.34 * size, 0, 7);
    context.moveTo(0.12 * size, 0.2 * size);
    context.arc(0, 0.2 * size, 0.12 * size, 0, 7);
  }
  context.stroke();
  context.restore();
}

function drawBars(context, x, y, width, values, ranges) {
  const rows = [["speed", "#e69f00"], ["gz", "#d55e00"]].filter(([name]) => name in values);
  rows.forEach(([name, color], i) => {
    const top = y + i * 26;
    const [low, high] = ranges[name] ?? [0, 1];
    const zero = low < 0 ? Math.max(-low, high) : 0;
    const most = Math.max(Math.abs(low), Math.abs(high)) || 1;
    const at = (value) => (zero ? 0.5 + (0.5 * value) / most : value / most) * width;
    context.fillStyle = "#eef0f2";
    context.fillRect(x, top, width, 6);
    if (known(values[name])) {
      const [from, to] = [at(0), at(Math.max(-most, Math.min(most, values[name])))];
      context.fillStyle = color;
      context.fillRect(x + Math.min(from, to), top, Math.max(1, Math.abs(to - from)), 6);
    }
    const words = known(values[name]) ? values[name].toFixed(1).replace("-", "\u2212") : "lost";
    label(context, `${name === "gz" ? "turning" : name} ${words}`, x, top - 4, "left");
  });
}
