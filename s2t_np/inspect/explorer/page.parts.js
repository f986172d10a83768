/* ---- parts of views ---- */

function select(label, names, changed) {
  const made = element("select", { "aria-label": label, onchange: () => changed(Number(made.value)) },
    ...names.map((name, i) => element("option", { value: String(i) }, name)));
  return element("label", {}, made);
}

function choices(view, holder, keys, label, name, across) {
  const controls = element("div", { class: "controls" });
  holder.append(controls);
  const part = picture(view, holder, "13rem", named(view));
  const draw = (i) => part.show(lookup(keys[i]), { signed: view.signed, across });
  controls.append(select(label, keys.map(name), draw));
  draw(0);
  return part;
}

/* keys "stage/head" -> a list of heads for every stage */
function grouped(keys) {
  const found = new Map();
  for (const key of keys) {
    const stage = key.slice(0, key.lastIndexOf("/"));
    if (!found.has(stage)) found.set(stage, []);
    found.get(stage).push(key);
  }
  return [...found.values()];
}

/* The mean of several arrays, as an array of its own with 16-bit steps. */
function mean(arrays) {
  const { rows, columns } = arrays[0];
  const values = new Float64Array(rows * columns);
  for (const a of arrays) for (let i = 0; i < values.length; i++) values[i] += a.at(Math.floor(i / columns), i % columns) / arrays.length;
  const high = values.reduce((x, y) => Math.max(x, y), 0);
  const step = high / 65535 || 1;
  const integers = Uint16Array.from(values, (v) => Math.round(v / step));
  return { key: "mean", rows, columns, integers, exact: false, bytes: 2, low: 0, step, at: (r, c) => values[r * columns + c] };
}

const wordGroups = () => data.words;     // [{ text, tokens }], tokens by their places in data.tokens

/* From where to where a word's tokens listened: the smallest stretch around the peak that holds half of it. */
function heard(a, group, seconds) {
  const weights = new Float64Array(a.columns);
  for (const r of group.tokens) for (let c = 0; c < a.columns; c++) weights[c] += a.at(r, c);
  const total = weights.reduce((x, y) => x + y, 0);
  let first = weights.indexOf(weights.reduce((x, y) => Math.max(x, y))), last = first, sum = weights[first];
  while (sum < total / 2 && (first > 0 || last < a.columns - 1)) {
    const before = first > 0 ? weights[first - 1] : -1, after = last < a.columns - 1 ? weights[last + 1] : -1;
    if (before >= after) sum += weights[--first];
    else sum += weights[++last];
  }
  return [first * seconds, (last + 1) * seconds];
}

const stretches = [];
const choosers = [];                    // [holder, function that shows a layer there], for the rungs of the map
function listenedTo(range) {
  for (const frame of stretches) {
    frame.querySelectorAll(".stretch").forEach((old) => old.remove());
    if (!range) continue;
    const mark = element("div", { class: "stretch" });
    mark.style.left = `${(100 * range[0]) / duration}%`;
    mark.style.width = `${(100 * (range[1] - range[0])) / duration}%`;
    frame.append(mark);
  }
}

const lineColour = (i) => [colour("--accent"), colour("--good"), colour("--faint"), colour("--warm")][i % 4];

/* Lines over a common horizontal axis; `apart`: each with a vertical scale of its own. */
function plot(canvas, lines, apart) {
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth * ratio, height = canvas.clientHeight * ratio;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const highest = lines.map((line) => line.reduce((x, y) => Math.max(x, Math.abs(y)), 1e-12));
  const common = Math.max(...highest), negative = lines.some((line) => line.some((y) => y < 0));
  context.lineWidth = ratio * (lines.length > 10 ? 1 : 1.5);
  lines.forEach((line, i) => {
    context.strokeStyle = lineColour(lines.length > 10 ? (i % 2) * 3 : i);
    context.beginPath();
    line.forEach((y, n) => {
      const share = y / (apart ? highest[i] : common);
      const at = negative ? 0.5 - 0.48 * share : 0.98 - 0.96 * share;
      context.lineTo((n / Math.max(1, line.length - 1)) * width, at * height);
    });
    context.stroke();
  });
}

function waveform(canvas, a) {
  const ratio = window.devicePixelRatio || 1, width = Math.round(canvas.clientWidth * ratio), height = canvas.clientHeight * ratio;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  context.fillStyle = colour("--accent");
  const most = Math.max(Math.abs(a.low), Math.abs(a.low + a.step * 65535)) || 1;
  for (let x = 0; x < width; x++) {
    let low = Infinity, high = -Infinity;
    const end = Math.max(Math.floor((x * a.columns) / width) + 1, Math.floor(((x + 1) * a.columns) / width));
    for (let n = Math.floor((x * a.columns) / width); n < end; n++) {
      const value = a.at(0, n);
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const top = 0.5 - 0.48 * (high / most), bottom = 0.5 - 0.48 * (low / most);
    context.fillRect(x, top * height, 1, Math.max(ratio, (bottom - top) * height));
  }
}

function sampleAt(canvas, event, count) {
  const box = canvas.getBoundingClientRect();
  return Math.min(count - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * count)));
}

