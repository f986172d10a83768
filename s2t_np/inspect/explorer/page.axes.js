/* ---- axes: ticks with units, the words along time, and the scale of the colours ---- */

/* A canvas between its axes: `axes(x, y, words)` draws them, `scale` takes the legend of the colours. */
function figure(canvas) {
  const frame = element("div", { class: "picture" }, canvas);
  const y = element("div", { class: "axis y", "aria-hidden": "true" }), x = element("div", { class: "axis x", "aria-hidden": "true" });
  const spoken = element("div", { class: "axis spoken", "aria-hidden": "true" }), scale = element("div", { class: "scale" });
  const whole = element("div", { class: "figure" }, y, frame, x, spoken, scale);
  const axes = (across, upright, withWords = false) => {
    x.replaceChildren(element("i", {}, across.name), ...across.ticks.map(([place, text]) => tick(place, text, "left")));
    y.replaceChildren(element("i", {}, upright.name), ...upright.ticks.map(([place, text]) => tick(place, text, "top")));
    spoken.replaceChildren(...(withWords ? wordLabels(frame.clientWidth || 900) : []));
    spoken.hidden = !withWords;
  };
  return { whole, frame, axes, scale };
}

function tick(place, text, side) {
  const made = element("span", {}, text);
  made.style[side] = `${100 * place}%`;
  if (side === "left" && place > 0.96) made.style.transform = "translateX(-100%)";  // not beyond the picture
  return made;
}

/* The words where the last layer attended to them, on two lines so that neighbours stay legible; a word for which neither
   has room is left out. `width`: of the picture, in pixels. */
function wordLabels(width) {
  const taken = [-Infinity, -Infinity], labels = [];
  for (const word of [...heardWords()].sort((a, b) => a.from - b.from)) {
    const place = Math.min(1, (word.from + word.to) / 2 / duration), half = 3.5 * word.text.length + 2;
    const line = taken.findIndex((end) => place * width - half >= end);
    if (line < 0) continue;
    taken[line] = place * width + half;
    const made = tick(place, word.text, "left");
    made.style.top = `${line * 1.1}em`;
    labels.push(made);
  }
  return labels;
}

let wordsHeard = null;
function heardWords() {
  if (wordsHeard) return wordsHeard;
  const view = data.sections.flatMap((section) => section.views).find((v) => v.kind === "cross");
  const last = view ? grouped(view.arrays).pop() : [];
  const attention = last.length ? mean(last.map(array)) : null;
  wordsHeard = attention ? wordGroups().map((group) => {
    const [from, to] = heard(attention, group, view.seconds);
    return { ...group, from, to };
  }) : [];
  return wordsHeard;
}

const STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

/* Round numbers from 0 to `total`, at most six steps of them, as [share of the axis, text]. */
function rounds(total, text = String) {
  const step = STEPS.find((s) => total / s <= 6) || total;
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return Array.from({ length: Math.floor(total / step + 1e-9) + 1 }, (_, i) => [(i * step) / total, text((i * step).toFixed(decimals))]);
}

const timeAxis = (total) => ({ name: "time in s", ticks: rounds(total) });
const hertz = (hz) => (hz >= 1000 ? `${(hz / 1000).toFixed(hz % 1000 ? 1 : 0)}k` : `${Math.round(hz)}`);

/* Hz of one bin of the Fourier transform: the last of `bins` stands for half of the sampling rate, or just below. */
const hertzPerBin = (bins) => data.rate / 2 / (bins - (bins % 2));

/* The frequency of a bin, for what is read out below a picture. */
function hertzOf(name, bin, count) {
  if (name === "FFT bin") return ` (${Math.round(bin * hertzPerBin(count))} Hz)`;
  return name === "mel bin" && data.mel_centres.length === count ? ` (${Math.round(data.mel_centres[bin])} Hz)` : "";
}

/* The axis of one direction of a picture; places run from 0 to 1 along the rows or columns. */
function axisOf(name, count, seconds, inputs = false) {
  if (seconds) return timeAxis(count * seconds);
  if (name === "FFT bin") return { name: "Hz", ticks: rounds(count * hertzPerBin(count), (hz) => hertz(Number(hz))) };
  if (name === "mel bin" && data.mel_centres.length === count) {
    const nearest = (hz) => data.mel_centres.reduce((best, f, i, all) => (Math.abs(f - hz) < Math.abs(all[best] - hz) ? i : best), 0);
    return { name: "Hz (mel)", ticks: [200, 500, 1000, 2000, 4000].map((hz) => [(nearest(hz) + 0.5) / count, hertz(hz)]) };
  }
  if (name === "token" || name === "attends to") {
    return { name: inputs ? "input" : "token", ticks: Array.from({ length: count }, (_, i) => [(i + 0.5) / count, tokenAt(i, count, inputs)]) };
  }
  return { name, ticks: rounds(count) };
}

/* The piece that row i of `count` wrote, or, for inputs, the one that it read: that of the row before. */
function tokenAt(i, count, input) {
  const token = data.tokens[i - (count - data.tokens.length) - (input ? 1 : 0)];
  return token ? token.piece : "start";
}

const upwards = (axis) => ({ name: axis.name, ticks: axis.ticks.map(([place, text]) => [1 - place, text]) });

function pictureAxes(view, a, how) {
  const rows = view.rowAxis || axisOf(view.rows, a.rows, view.kind === "cross" ? 0 : view.seconds);
  const columns = axisOf(view.columns, a.columns, how.across ? 0 : view.seconds, true);
  if (view.kind === "filters") return [rows, { name: "weight", ticks: [[0.02, "1"], [0.98, "0"]] }, false];
  return how.across ? [rows, upwards(columns), Boolean(view.seconds)] : [columns, rows, Boolean(view.seconds)];
}

/* ---- the scale of the colours ---- */

const UNITS = [[/attn_weights|^mean$/, "attention weight"], [/power_spectrum/, "energy"], [/log_mel/, "ln energy"], [/cmvn/, "standard deviations"], [/./, "value"]];

function drawScale(holder, a, how, chooser) {
  const stops = (how.signed ? SIGNED : HEAT)[theme()];
  const bar = element("span", { class: "ramp" });
  bar.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
  const [low, middle, high] = scaleEnds(a, how);
  const unit = UNITS.find(([pattern]) => pattern.test(a.key))[1];
  holder.replaceChildren(element("span", {}, low), bar, element("span", {}, high), element("span", {}, `${unit}; middle ${middle}`), ...(chooser ? [chooser] : []));
}

const brief = (x) => (x === 0 ? "0" : Math.abs(x) >= 1e4 || Math.abs(x) < 1e-2 ? x.toExponential(1) : x.toPrecision(3));

/* What the ends and the middle of the colours stand for. */
function scaleEnds(a, how) {
  const top = a.bytes === 1 ? 255 : 65535, value = (q) => brief(a.low + a.step * q);
  if (how.range === "channel") return ["- own", "0", "+ own 95 %"];
  if (how.signed) {
    const most = largest(a, how.range), sign = how.range === "full" ? "" : "≥ ";
    return [how.range === "full" ? brief(-most) : `≤ ${brief(-most)}`, "0", sign + brief(most)];
  }
  return [value(0), value(how.logarithm ? Math.expm1(0.5 * Math.log1p(top)) : top / 4), value(top)];
}

const RANGES = [["robust", "colours: 98 % of all values"], ["channel", "colours: each channel on its own"], ["full", "colours: all values"]];

/* The largest size that the colours reach: of all numbers, or of 98 in 100 of them. */
function largest(a, range) {
  return quantile(a, (q) => Math.abs(a.low + a.step * q), range === "full" ? 1 : 0.98) || 1;
}

/* The size that 95 in 100 of the numbers of each channel stay below. */
function channelSizes(a) {
  return Array.from({ length: a.columns }, (_, c) => {
    const sizes = Float64Array.from({ length: a.rows }, (_, r) => Math.abs(a.at(r, c))).sort();
    return sizes[Math.floor(0.95 * (a.rows - 1))] || 1e-12;
  });
}

/* Where a few channels would leave most of the others pale, each gets a scale of its own. */
function rangeFor(a) {
  const sizes = Float64Array.from(channelSizes(a)).sort();
  return largest(a, "robust") > 3 * sizes[Math.floor(sizes.length / 2)] ? "channel" : "robust";
}

function rangeChooser(start, changed) {
  const made = element("select", { class: "range", "aria-label": "range of the colours", onchange: () => changed(made.value) },
    ...RANGES.map(([value, text]) => element("option", { value }, text)));
  made.value = start;
  return made;
}
