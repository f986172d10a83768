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

/* (integer, column) -> 0..255. Signed pictures have zero in the middle; `range` says what the ends of their colours stand
   for, since a single loud channel would leave all others pale. Energies and attention are shown by root or logarithm. */
function scale(a, { signed, logarithm, range }) {
  const top = a.bytes === 1 ? 255 : 65535, value = (q) => a.low + a.step * q;
  const clip = (x) => Math.min(255, Math.max(0, Math.round(x)));
  if (range === "channel") {
    const own = channelSizes(a);
    return (q, c) => clip(127.5 + (127.5 * value(q)) / own[c]);
  }
  if (signed) {
    const most = largest(a, range);
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
      pixels[place] = table[index(a.integers[r * a.columns + c], c)];
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
  const { whole, frame, axes, scale: legend } = figure(canvas);
  holder.append(whole, readout);
  const byChannel = ["channel", "feature"].includes(view.columns);
  let current = null, options = {}, cursor = [0, 0], range = null;
  const chosen = (value) => { range = value; show(current, options); };
  const redraw = () => {
    paint(canvas, current, options);
    if (view.kind === "filters") return;
    drawScale(legend, current, options, byChannel && options.signed ? rangeChooser(options.range, chosen) : null);
  };
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
  canvas.addEventListener("click", (event) => { place(event); followHere(); });
  const followHere = () => current && followCell(current.cellOf ? current.cellOf(...cursor) : { key: current.key, r: cursor[0], c: cursor[1] }, { fresh: true });
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Enter") followHere();
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
    options = { ...how, range: range || (byChannel && how.signed ? rangeFor(a) : "robust") };
    cursor = [Math.min(cursor[0], a.rows - 1), Math.min(cursor[1], a.columns - 1)];
    redraw();
    axes(...pictureAxes(view, a, options));
    canvas.dataset.array = a.key;
    canvas.dataset.drawn = "yes";
    if (readout.textContent.endsWith("…")) say("");  // it was waited for
  };
  redraws.push(() => current && redraw());
  const say = (text) => { readout.textContent = text; };
  return { canvas, frame, whole, show, say };
}

function follow(frame, total) {
  const line = element("div", { class: "playhead" });
  frame.append(line);
  followers.push((time) => { line.style.left = `${Math.min(100, (100 * time) / total)}%`; });
}

const named = (view) => (a, r, c) => {
  const time = view.seconds ? ` (${(r * view.seconds).toFixed(2)} s)` : "";
  const rows = hertzOf(view.rows, r, a.rows), columns = hertzOf(view.columns, c, a.columns);
  return `${view.rows || "row"} ${r}${time}${rows}, ${view.columns || "column"} ${c}${columns}: ${shown(a.at(r, c), a)}`;
};

