"use strict";
/* The explorer's program: it unpacks the block, then draws each section when it scrolls into view.
   A picture shows one array (rows, columns); rows that are time run from left to right. */

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const duration = data.about.duration;
let block = null;                       // ArrayBuffer of all pictures
let now = 0;                            // seconds, where the playhead stands
const followers = [];                   // functions called with `now`
const redraws = [];                     // functions called when the theme changes

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class") made.className = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/* ---- arrays ---- */

async function unpack(text) {
  const raw = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

function array(key) {
  const about = data.arrays[key];
  const [rows, columns] = about.shape;
  const Kind = about.bytes === 1 ? Uint8Array : Uint16Array;
  const integers = new Kind(block, about.offset, rows * columns);
  const at = (r, c) => about.low + about.step * integers[r * columns + c];
  return { key, rows, columns, integers, at, ...about };
}

/* No more digits than the step of the array's scale carries. */
function shown(value, step) {
  const decimals = Math.min(12, Math.max(0, Math.floor(-Math.log10(step))));
  const size = Math.abs(value);
  return size !== 0 && (size >= 1e6 || decimals > 6) ? value.toPrecision(4) : value.toFixed(decimals);
}

/* ---- colours ---- */

const HEAT = { light: ["#fbfaf7", "#f2c879", "#d9694a", "#7d2f63", "#1d1147"], dark: ["#0c0d12", "#3b1a63", "#a3345f", "#e8813f", "#fbeaa5"] };
const SIGNED = { light: ["#14507a", "#7fb3cf", "#fbfaf7", "#e5a183", "#92331a"], dark: ["#8fd3f0", "#2d6f92", "#16181b", "#a4502f", "#ffc19e"] };

const theme = () => document.documentElement.dataset.theme;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const parts = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

function palette(signed) {
  const stops = (signed ? SIGNED : HEAT)[theme()].map(parts);
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (stops.length - 1);
    const k = Math.min(stops.length - 2, Math.floor(place));
    const [r, g, b] = stops[k].map((from, j) => Math.round(from + (stops[k + 1][j] - from) * (place - k)));
    table[i] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  return table;
}

/* integer -> 0..255. Signed pictures have zero in the middle; a hundredth of the numbers may lie beyond the ends of the
   colours, or a single loud channel would leave all others pale. Energies and attention are shown by root or logarithm. */
function scale(a, { signed, logarithm }) {
  const top = a.bytes === 1 ? 255 : 65535, value = (q) => a.low + a.step * q;
  const clip = (x) => Math.min(255, Math.max(0, Math.round(x)));
  if (signed) {
    const most = quantile(a, (q) => Math.abs(value(q)), 0.99) || 1;
    return (q) => clip(127.5 + (127.5 * value(q)) / most);
  }
  if (logarithm) return (q) => clip((255 * Math.log1p(q)) / Math.log1p(top));
  return (q) => clip(255 * Math.sqrt(q / top));
}

function quantile(a, measure, share) {
  const stride = Math.max(1, Math.floor(a.integers.length / 20000)), sizes = [];
  for (let i = 0; i < a.integers.length; i += stride) sizes.push(measure(a.integers[i]));
  return sizes.sort((x, y) => x - y)[Math.floor(share * (sizes.length - 1))];
}

/* ---- pictures ---- */

/* Draw an array; `across` lays its rows from left to right (time), otherwise from top to bottom. */
function paint(canvas, a, how) {
  const { across } = how;
  const [width, height] = across ? [a.rows, a.columns] : [a.columns, a.rows];
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer), table = palette(how.signed), index = scale(a, how);
  for (let r = 0; r < a.rows; r++) {
    for (let c = 0; c < a.columns; c++) {
      const place = across ? (height - 1 - c) * width + r : r * width + c;
      pixels[place] = table[index(a.integers[r * a.columns + c])];
    }
  }
  context.putImageData(image, 0, 0);
  canvas.style.imageRendering = width > 700 ? "auto" : "pixelated";
}

/* A canvas with a crosshair by mouse, finger or arrow keys, that says what it stands on. */
function picture(view, holder, height, describe) {
  const canvas = element("canvas", { tabindex: "0", role: "img", "aria-label": view.title });
  canvas.style.height = height;
  const readout = element("div", { class: "readout", "aria-live": "polite" });
  const frame = element("div", { class: "picture" }, canvas);
  holder.append(frame, readout);
  let current = null, options = {}, cursor = [0, 0];
  const tell = () => { readout.textContent = current ? describe(current, ...cursor) : ""; };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const x = Math.min(canvas.width - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * canvas.width)));
    const y = Math.min(canvas.height - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * canvas.height)));
    cursor = options.across ? [x, canvas.height - 1 - y] : [y, x];
    tell();
  };
  canvas.addEventListener("pointermove", place);
  canvas.addEventListener("pointerdown", (event) => {
    place(event);
    if (view.seconds && options.across) seek(cursor[0] * view.seconds);
  });
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const move = moves[event.key];
    if (!move || !current) return;
    event.preventDefault();
    const step = event.shiftKey ? 10 : 1;
    const [r, c] = options.across ? move : [-move[1], move[0]];
    cursor = [
      Math.min(current.rows - 1, Math.max(0, cursor[0] + step * r)),
      Math.min(current.columns - 1, Math.max(0, cursor[1] + step * c)),
    ];
    tell();
  });
  const show = (a, how) => {
    current = a;
    options = how;
    cursor = [Math.min(cursor[0], a.rows - 1), Math.min(cursor[1], a.columns - 1)];
    paint(canvas, a, how);
    canvas.dataset.array = a.key;
    canvas.dataset.drawn = "yes";
  };
  redraws.push(() => current && paint(canvas, current, options));
  return { canvas, frame, show };
}

function follow(frame, total) {
  const line = element("div", { class: "playhead" });
  frame.append(line);
  followers.push((time) => { line.style.left = `${Math.min(100, (100 * time) / total)}%`; });
}

const named = (view) => (a, r, c) => {
  const time = view.seconds ? ` (${(r * view.seconds).toFixed(2)} s)` : "";
  return `${view.rows || "row"} ${r}${time}, ${view.columns || "column"} ${c}: ${shown(a.at(r, c), a.step)}`;
};

/* ---- views: one function a kind, called with the view and where it belongs ---- */

const VIEWS = {
  image(view, holder) {
    const a = array(view.arrays[0]);
    const part = picture(view, holder, a.columns > 300 ? "18rem" : "13rem", named(view));
    part.show(a, { signed: view.signed, across: true, logarithm: a.key.includes("power_spectrum") });
    if (view.seconds) follow(part.frame, a.rows * view.seconds);
  },

  choice(view, holder) {
    const part = choices(view, holder, view.arrays, "layer", (key, i) => `layer ${i}`, true);
    follow(part.frame, array(view.arrays[0]).rows * view.seconds);
  },

  heads(view, holder) {
    const layers = grouped(view.arrays);
    const controls = element("div", { class: "controls" });
    holder.append(controls);
    const part = picture(view, holder, "auto", named(view));
    part.canvas.style.maxWidth = `${Math.min(34, 3 * array(layers[0][0]).rows)}rem`;
    part.canvas.style.aspectRatio = "1";
    let layer = 0, head = 0;
    const draw = () => part.show(array(layers[layer][head]), { signed: false, across: false });
    controls.append(
      select("layer", layers.map((_, i) => `layer ${i}`), (i) => { layer = i; draw(); }),
      select("head", layers[0].map((_, i) => `head ${i}`), (i) => { head = i; draw(); }),
    );
    draw();
  },

  lines(view, holder) {
    const arrays = view.arrays.map(array), several = arrays[0].rows > 1;
    const canvas = element("canvas", { tabindex: "0", role: "img", "aria-label": view.title });
    canvas.style.height = "13rem";
    const readout = element("div", { class: "readout", "aria-live": "polite" });
    const legend = element("div", { class: "controls" }, ...arrays.map((a, i) => {
      const label = element("span", {}, a.key.replace(/^features\./, ""));
      label.style.color = lineColour(i);
      return label;
    }));
    let row = 0, column = 0;
    const tell = () => {
      const of = several ? `${view.rows} ${arrays[0].picked ? arrays[0].picked[row] : row}, ` : "";
      const values = arrays.map((a) => `${a.key.split(".").pop()} ${shown(a.at(row, column), a.step)}`);
      readout.textContent = `${of}${view.columns} ${column}: ${values.join(", ")}`;
    };
    const draw = () => {
      plot(canvas, arrays.map((a) => Float64Array.from({ length: a.columns }, (_, c) => a.at(row, c))), true);
      canvas.dataset.drawn = "yes";
      canvas.dataset.array = arrays[0].key;
    };
    canvas.addEventListener("pointermove", (event) => {
      const box = canvas.getBoundingClientRect();
      column = Math.min(arrays[0].columns - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * arrays[0].columns)));
      tell();
    });
    canvas.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!move) return;
      event.preventDefault();
      column = Math.min(arrays[0].columns - 1, Math.max(0, column + move * (event.shiftKey ? 10 : 1)));
      tell();
    });
    if (several) {
      const slider = element("input", { type: "range", min: "0", max: String(arrays[0].rows - 1), value: "0", "aria-label": view.rows });
      slider.addEventListener("input", () => { row = Number(slider.value); draw(); tell(); });
      row = Math.floor(arrays[0].rows / 2);
      slider.value = String(row);
      legend.prepend(slider);
    }
    holder.append(legend, element("div", { class: "picture" }, canvas), readout);
    redraws.push(draw);
    draw();
  },

  filters(view, holder) {
    const a = array(view.arrays[0]);
    const part = picture(view, holder, "13rem", named(view));
    const draw = () => {
      const filters = [];
      for (let c = 0; c < a.columns; c++) filters.push(Float64Array.from({ length: a.rows }, (_, r) => a.at(r, c)));
      plot(part.canvas, filters, false);
    };
    part.show(a, { signed: false, across: true });
    redraws.push(draw);
    draw();
  },

  wave(view, holder) {
    const a = array(view.arrays[0]);
    const canvas = element("canvas", { tabindex: "0", role: "img", "aria-label": "Waveform; arrow keys move the playhead" });
    canvas.style.height = "8rem";
    const readout = element("div", { class: "readout", "aria-live": "polite" });
    const frame = element("div", { class: "picture" }, canvas);
    holder.append(frame, readout);
    const draw = () => { waveform(canvas, a); canvas.dataset.drawn = "yes"; canvas.dataset.array = a.key; };
    canvas.addEventListener("pointermove", (event) => {
      const n = sampleAt(canvas, event, a.columns);
      readout.textContent = `sample ${n} (${(n / data.rate).toFixed(3)} s): ${shown(a.at(0, n), a.step)}`;
    });
    canvas.addEventListener("pointerdown", (event) => seek(sampleAt(canvas, event, a.columns) / data.rate));
    canvas.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -0.1, ArrowRight: 0.1 }[event.key];
      if (!move) return;
      event.preventDefault();
      seek(now + move);
    });
    follow(frame, duration);
    stretches.push(frame);
    redraws.push(draw);
    draw();
  },

  cross(view, holder) {
    const layers = grouped(view.arrays), controls = element("div", { class: "controls" });
    const words = element("div", { class: "words" });
    holder.append(words, controls);
    const rows = data.tokens.length;
    const part = picture(view, holder, `${Math.max(6, Math.min(26, rows * 1.4))}rem`, (a, r, c) =>
      `token ${r} ${data.tokens[r] ? data.tokens[r].piece : ""}, position ${c} (${(c * view.seconds).toFixed(2)} s): ${shown(a.at(r, c), a.step)}`);
    let layer = layers.length - 1, head = -1, word = -1;
    const current = () => (head < 0 ? mean(layers[layer].map(array)) : array(layers[layer][head]));
    const draw = () => { part.show(current(), { signed: false, across: false }); mark(); };
    const mark = () => {
      buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === word)));
      listenedTo(word < 0 ? null : heard(current(), groups[word], view.seconds));
    };
    const groups = wordGroups();
    const buttons = groups.map((group, i) => element("button", { type: "button", "aria-pressed": "false", onclick: () => {
      word = word === i ? -1 : i;
      mark();
      if (word >= 0) seek(heard(current(), groups[word], view.seconds)[0]);
    } }, group.text));
    words.append(...buttons);
    const names = ["all heads", ...layers[0].map((_, i) => `head ${i}`)];
    const choice = select("layer", layers.map((_, i) => `layer ${i}`), (i) => { layer = i; draw(); });
    choice.querySelector("select").value = String(layer);
    controls.append(choice, select("head", names, (i) => { head = i - 1; draw(); }));
    follow(part.frame, array(layers[0][0]).columns * view.seconds);
    stretches.push(part.frame);
    draw();
  },

  alternatives(view, holder) {
    const columns = element("div", { class: "columns", tabindex: "0", role: "group", "aria-label": view.title });
    data.alternatives.forEach((options, i) => {
      const column = element("div", {}, element("h4", {}, `step ${i + 1}`));
      for (const option of options) {
        const row = element("div", { class: option.chosen ? "option chosen" : "option" }, option.piece,
          element("b", {}, option.probability.toFixed(3)));
        row.style.setProperty("--share", `${100 * option.probability}%`);
        column.append(row);
      }
      columns.append(column);
    });
    holder.append(columns);
  },

  tree(view, holder) {
    const readout = element("div", { class: "readout", "aria-live": "polite" });
    const columns = element("div", { class: "columns", tabindex: "0", role: "group", "aria-label": view.title });
    const boxes = data.tree.steps.map((step) => step.map((candidate) => {
      const kind = candidate.beam !== null || candidate.outcome.startsWith("finished") ? "option candidate on" : "option candidate";
      const box = element("button", { type: "button", class: kind }, candidate.piece, element("b", {}, candidate.score.toFixed(2)));
      box.style.setProperty("--share", `${100 * Math.exp(candidate.log_prob)}%`);
      return box;
    }));
    /* the candidate that became the parent's row in the step before, and so on to the root */
    const line = (s, i) => {
      const path = [[s, i]];
      for (let step = s, row = data.tree.steps[s][i].parent; step > 0;) {
        step -= 1;
        const k = data.tree.steps[step].findIndex((c) => c.beam === row);
        if (k < 0) break;
        path.unshift([step, k]);
        row = data.tree.steps[step][k].parent;
      }
      return path;
    };
    data.tree.steps.forEach((step, s) => {
      const column = element("div", {}, element("h4", {}, `step ${s + 1}`), ...boxes[s]);
      boxes[s].forEach((box, i) => box.addEventListener("click", () => {
        boxes.flat().forEach((other) => other.classList.remove("line"));
        const path = line(s, i), candidate = step[i];
        path.forEach(([a, b]) => boxes[a][b].classList.add("line"));
        const text = path.map(([a, b]) => data.tree.steps[a][b].piece).join(" ");
        readout.textContent = `${text}: log-probability ${candidate.log_prob.toFixed(4)}, score ${candidate.score.toFixed(4)}; ${candidate.outcome}`;
      }));
      columns.append(column);
    });
    const last = data.tokens.length - 1;
    const end = (data.tree.steps[last] || []).findIndex((c) => c.token === data.tokens[last].id && c.outcome.startsWith("finished"));
    if (data.tree.kind === "beam" && end >= 0) line(last, end).forEach(([a, b]) => boxes[a][b].classList.add("best"));
    holder.append(element("p", {}, `The search stopped: ${data.tree.end}.`), columns, readout);
  },
};

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
  const draw = (i) => part.show(array(keys[i]), { signed: view.signed, across });
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
  for (const a of arrays) for (let i = 0; i < values.length; i++) values[i] += (a.low + a.step * a.integers[i]) / arrays.length;
  const high = values.reduce((x, y) => Math.max(x, y), 0);
  const step = high / 65535 || 1;
  const integers = Uint16Array.from(values, (v) => Math.round(v / step));
  const largest = Math.max(...arrays.map((a) => a.step));
  return { key: "mean", rows, columns, integers, bytes: 2, low: 0, step, at: (r, c) => step * integers[r * columns + c], coarse: largest };
}

/* Pieces that begin with the mark of a space begin a word. */
function wordGroups() {
  const groups = [];
  data.tokens.forEach((token, i) => {
    if (token.piece === "</s>") return;
    const begins = token.piece.startsWith("\u2581");
    if (begins || !groups.length) groups.push({ text: token.piece.replace("\u2581", ""), tokens: [i] });
    else {
      const last = groups[groups.length - 1];
      last.text += token.piece;
      last.tokens.push(i);
    }
  });
  return groups;
}

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

/* ---- sound ---- */

let sound = null;
function player() {
  if (sound) return sound;
  const a = array("samples"), bytes = new DataView(new ArrayBuffer(44 + 2 * a.columns));
  const text = (at, word) => [...word].forEach((c, i) => bytes.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF"); bytes.setUint32(4, 36 + 2 * a.columns, true); text(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true); bytes.setUint16(20, 1, true); bytes.setUint16(22, 1, true);
  bytes.setUint32(24, data.rate, true); bytes.setUint32(28, 2 * data.rate, true);
  bytes.setUint16(32, 2, true); bytes.setUint16(34, 16, true);
  text(36, "data"); bytes.setUint32(40, 2 * a.columns, true);
  for (let n = 0; n < a.columns; n++) bytes.setInt16(44 + 2 * n, Math.round(32767 * Math.max(-1, Math.min(1, a.at(0, n)))), true);
  sound = new Audio(URL.createObjectURL(new Blob([bytes], { type: "audio/wav" })));
  sound.addEventListener("ended", () => { $("play").textContent = "▶"; });
  return sound;
}

function seek(time) {
  now = Math.min(duration, Math.max(0, time));
  if (sound) sound.currentTime = now;
  moved();
}

function moved() {
  $("clock").textContent = `${now.toFixed(2)} s`;
  followers.forEach((tell) => tell(now));
}

function tick() {
  if (!sound || sound.paused) return;
  now = sound.currentTime;
  moved();
  requestAnimationFrame(tick);
}

async function toggle() {
  const playing = player();
  if (!playing.paused) {
    playing.pause();
    $("play").textContent = "▶";
    return;
  }
  if (now >= duration - 0.01) now = 0;
  playing.currentTime = now;
  $("play").textContent = "❚❚";
  try {
    await playing.play();
    requestAnimationFrame(tick);
  } catch (error) {
    $("play").textContent = "▶";
    $("clock").textContent = "no sound here";
  }
}

/* ---- the page ---- */

function shapes(section) {
  const number = (x) => (x === null ? "" : Math.abs(x) >= 1e5 || (x !== 0 && Math.abs(x) < 1e-3) ? x.toExponential(2) : x.toPrecision(4));
  const rows = section.stages.map((s) => element("tr", {}, ...[s.name, `(${s.shape.join(", ")})`, s.dtype, number(s.minimum), number(s.maximum), number(s.mean), number(s.std)].map((x) => element("td", {}, x))));
  const head = element("tr", {}, ...["stage", "shape here", "type", "least", "greatest", "mean", "deviation"].map((x) => element("th", {}, x)));
  return element("details", {}, element("summary", {}, `Shapes and ranges (${section.stages.length})`),
    element("div", { class: "scroll", tabindex: "0" }, element("table", {}, head, ...rows)));
}

function source(section) {
  const texts = section.sources.flatMap((s) => [element("p", {}, `${s.name}, ${s.file} line ${s.line}`), element("pre", { tabindex: "0" }, s.source)]);
  return element("details", {}, element("summary", {}, "The code that computed it"), ...texts);
}

function build(section) {
  const made = element("section", { id: section.id, "aria-labelledby": `${section.id}-title` },
    element("h2", { id: `${section.id}-title` }, section.title),
    element("p", {}, section.text),
    element("div", { class: "formula" }, section.formula));
  const views = element("div", { class: "views" });
  views.style.minHeight = "12rem";
  made.append(views);
  if (section.stages.length) made.append(shapes(section));
  made.append(source(section));
  made.draw = () => {
    if (made.dataset.drawn) return;
    made.dataset.drawn = "yes";
    for (const view of section.views) {
      const holder = element("div", { class: `view ${view.kind}` }, element("h3", {}, view.title));
      views.append(holder);
      VIEWS[view.kind](view, holder);
    }
    views.style.minHeight = "";
    moved();
  };
  return made;
}

/* Mark the link of the section that is read, and bring it into sight where the bar scrolls. */
function mark(link) {
  const bar = $("stages"), middle = link.offsetLeft - bar.offsetLeft + link.offsetWidth / 2;
  link.setAttribute("aria-current", "true");
  bar.scrollLeft = middle - bar.clientWidth / 2;
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  redraws.forEach((draw) => draw());
}

function start() {
  $("text").textContent = data.about.text;
  $("wait").remove();
  const sections = data.sections.map(build);
  $("story").append(...sections);
  /* Sections grow when they are drawn, so all of them down to the chosen one are drawn before the page jumps there. */
  const open = (i) => sections.slice(0, i + 1).forEach((section) => section.draw());
  const links = data.sections.map((section, i) => element("a", { href: `#${section.id}`, onclick: () => open(i) }, section.title));
  $("stages").append(...links);
  open(Math.max(0, data.sections.findIndex((section) => `#${section.id}` === location.hash)));
  const seen = new IntersectionObserver((entries) => entries.forEach((entry) => entry.isIntersecting && entry.target.draw()), { rootMargin: "400px" });
  const reading = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (!entry.isIntersecting) return;
    links.forEach((link, i) => {
      if (sections[i] === entry.target) mark(link);
      else link.removeAttribute("aria-current");
    });
  }), { rootMargin: "-30% 0px -60% 0px" });
  sections.forEach((section) => { seen.observe(section); reading.observe(section); });
  if (location.hash) sections.find((section) => `#${section.id}` === location.hash)?.scrollIntoView();
  $("play").addEventListener("click", toggle);
  $("theme").addEventListener("click", () => setTheme(theme() === "dark" ? "light" : "dark"));
  let resized = 0;
  window.addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(() => redraws.forEach((draw) => draw()), 150); });
  const about = data.about;
  $("foot").textContent = `${about.audio || "a recording"}, ${duration.toFixed(2)} s at ${data.rate} Hz; model ${about.model.split(/[\\/]/).pop()}, ${about.dtype}; written by s2t-np.`;
  document.documentElement.dataset.ready = "yes";
}

document.documentElement.dataset.theme = window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
unpack($("block").textContent).then(
  (unpacked) => { block = unpacked; start(); },
  (error) => { $("wait").textContent = `This browser cannot unpack the page (${error.message}); it takes one of 2023 or later.`; },
);
