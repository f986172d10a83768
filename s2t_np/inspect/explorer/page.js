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

const arrays = new Map();
function array(key) {
  if (!arrays.has(key)) arrays.set(key, data.arrays[key].bytes === 4 ? exactArray(key) : steppedArray(key));
  return arrays.get(key);
}

/* An array of integers, from which values are computed: value = low + step * integer. */
function steppedArray(key) {
  const about = data.arrays[key], [rows, columns] = about.shape;
  const integers = new (about.bytes === 1 ? Uint8Array : Uint16Array)(about.from || block, about.offset, rows * columns);
  return { key, rows, columns, integers, exact: false, at: (r, c) => about.low + about.step * integers[r * columns + columnOf(about, c)], ...about };
}

/* An array of float32 numbers, whose first bytes come first, then their second bytes, and so on. */
function exactArray(key) {
  const about = data.arrays[key], [rows, columns] = about.shape, count = rows * columns;
  const planes = new Uint8Array(about.from || block, about.offset, 4 * count), bytes = new Uint8Array(4 * count);
  for (let byte = 0; byte < 4; byte++) for (let i = 0; i < count; i++) bytes[4 * i + byte] = planes[byte * count + i];
  const values = new Float32Array(bytes.buffer);
  return forDrawing({ ...about, key, rows, columns, values, exact: true, at: (r, c) => values[r * columns + columnOf(about, c)] });
}

/* The place in the block of column c of the whole array, of which it may hold some only. */
const columnOf = (about, c) => (about.picked ? about.picked.indexOf(c) : c);

/* An array with 16-bit integers for the colours, made when it is first drawn. */
function forDrawing(a) {
  let made = null;
  const integers = () => {
    if (made) return made;
    const values = a.values || Float32Array.from({ length: a.rows * a.columns }, (_, i) => a.at(Math.floor(i / a.columns), i % a.columns));
    let low = Infinity, high = -Infinity;
    for (const value of values) if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
    const step = (high - low) / 65535 || 1;
    made = { low, step, integers: Uint16Array.from(values, (value) => Math.round((Math.max(value, low) - low) / step)) };
    return made;
  };
  return Object.defineProperties({ ...a, bytes: 2 }, {
    integers: { get: () => integers().integers },
    low: { get: () => integers().low },
    step: { get: () => integers().step },
  });
}

/* A carried or derived array; null for one that is neither. */
function lookup(key) {
  const found = key in data.arrays ? array(key) : derived(key);
  if (missed && isStage(key) && (found ? key in data.arrays && (!found.exact || found.picked) : !isDerivable(key))) missed.add(key);
  return found;
}

/* No more digits than the array carries. */
function shown(value, a) {
  const step = a.exact ? Math.max(a.step, 1e-12) * 1e-2 : a.step;
  const decimals = Math.min(12, Math.max(0, Math.floor(-Math.log10(step))));
  const size = Math.abs(value);
  return size !== 0 && (size >= 1e6 || decimals > 6) ? value.toPrecision(4) : value.toFixed(decimals);
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

const WITHOUT_ARRAYS = ["alternatives", "tree", "spoken", "origin"];

function build(section) {
  const made = element("section", { id: section.id, "aria-labelledby": `${section.id}-title` },
    element("h2", { id: `${section.id}-title` }, section.title),
    element("p", {}, section.text),
    element("div", { class: "formula", tabindex: "0", role: "group", "aria-label": "Formula" },
      ...section.formula.split(/,?\\quad/).flatMap((part, i) => [...(i ? [" "] : []), math(part)])));
  const views = element("div", { class: "views" });
  views.style.minHeight = "12rem";
  made.append(views);
  if (section.stages.length) made.append(shapes(section));
  made.append(source(section));
  made.draw = () => {
    if (made.dataset.drawn) return;
    made.dataset.drawn = "yes";
    for (const view of section.views) {
      if (!view.arrays.length && !WITHOUT_ARRAYS.includes(view.kind)) continue;  // the page had no room for them
      const holder = element("div", { class: `view ${view.kind}` }, element("h3", {}, view.title));
      views.append(holder);
      VIEWS[view.kind](view, holder);
    }
    views.style.minHeight = "";
    moved();
  };
  return made;
}

/* ---- the map: it opens a section, and shows which one is read ---- */

/* Mark the row of the section that is read, and bring it into sight where the map scrolls. */
function mark(id) {
  const bar = $("stages");
  for (const link of bar.querySelectorAll("a.row")) {
    const here = link.getAttribute("href") === `#${id}`;
    if (!here) link.removeAttribute("aria-current");
    else if (!link.hasAttribute("aria-current")) {
      link.setAttribute("aria-current", "true");
      bar.querySelectorAll(".part").forEach((part) => part.classList.toggle("here", part.contains(link)));
      const box = link.getBoundingClientRect(), frame = bar.getBoundingClientRect();
      bar.scrollLeft += box.left + box.width / 2 - frame.left - frame.width / 2;
    }
  }
}

/* The last section whose top has passed the upper third below the header; at the end of the page, the last. */
function readNow(sections) {
  const edge = $("head").offsetHeight, line = edge + 0.3 * (innerHeight - edge);
  return sections.filter((section) => section.getBoundingClientRect().top <= line).pop() || sections[0];
}

/* Sections grow when they are drawn, so all of them down to the chosen one are drawn before the page jumps there. */
function opener(sections) {
  return (id, smooth) => {
    const i = sections.findIndex((section) => section.id === id);
    if (i < 0) return false;
    sections.slice(0, i + 1).forEach((section) => section.draw());
    sections[i].scrollIntoView({ behavior: smooth ? "smooth" : "instant", block: "start" });
    return true;
  };
}

function follows(go) {
  $("stages").addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    event.preventDefault();
    const id = link.getAttribute("href").slice(1);
    go(id);
    history.replaceState(null, "", `#${id}`);
    const title = $(`${id}-title`);
    title.tabIndex = -1;
    title.focus({ preventScroll: true });
    if (link.dataset.layer) choosers.filter(([holder]) => $(id).contains(holder)).forEach(([, show]) => show(Number(link.dataset.layer)));
  });
}

function welcome(guide) {
  $("guide").addEventListener("click", () => guide($("guide")));
  $("welcome-tour").addEventListener("click", () => guide($("guide")));
  $("welcome-close").addEventListener("click", () => { $("welcome").remove(); $("stages").focus(); });
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  redraws.forEach((draw) => draw());
}

function start() {
  $("text").textContent = data.about.text;
  $("wait").remove();
  checkFences();
  const sections = data.sections.map(build);
  $("story").append(...sections);
  const go = opener(sections);
  new ResizeObserver(() => document.documentElement.style.setProperty("--head", `${$("head").offsetHeight}px`)).observe($("head"));
  document.documentElement.style.setProperty("--head", `${$("head").offsetHeight}px`);
  follows(go);
  welcome(tour(go));
  followPanel();
  sections[0].draw();
  const seen = new IntersectionObserver((entries) => entries.forEach((entry) => entry.isIntersecting && entry.target.draw()), { rootMargin: "400px" });
  sections.forEach((section) => seen.observe(section));
  go(location.hash.slice(1));
  let waiting = false;
  const reading = () => { waiting = false; mark(readNow(sections).id); };
  const asked = () => { if (!waiting) { waiting = true; requestAnimationFrame(reading); } };
  addEventListener("scroll", asked, { passive: true });
  addEventListener("resize", asked);
  reading();
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
