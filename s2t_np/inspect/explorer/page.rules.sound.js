/* ---- how each number was computed: from the samples to the log-mel features ----

   A rule makes of a cell { text, formula, numbers, operands, terms, result }: the formula, the same with the numbers of this
   recording, what goes into it, and what comes out when the page computes it from these operands. `terms` are the parts of a
   sum, with a function `part` that gives the share of one. Every operand is a cell again, so that each number leads on. */

/* An operand: its name, its cell, and its value here; null where the page does not carry it. */
function operand(name, key, r, c) {
  const a = lookup(key), value = a ? a.at(r, c) : null;
  return { name, cell: { key, r, c }, value, exact: Boolean(a && a.exact) };
}

const constant = (name, value) => ({ name, cell: null, value, exact: true });
const count = (n, make) => Array.from({ length: n }, (_, i) => make(i));
const known = (...operands) => operands.every((o) => o.value !== null && o.value !== undefined);
const product = (row) => (known(...row) ? row.reduce((p, o) => p * o.value, 1) : null);
const sumOf = (rows, part = product) => (rows.every((row) => known(...row)) ? rows.reduce((sum, row) => sum + part(row), 0) : null);
const digits = (x) => (x === null || x === undefined ? "?" : Number.isFinite(x) ? plainNumber(x) : "-∞");
const plainNumber = (x) => (x !== 0 && (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5) ? power10(x) : String(Number(x.toPrecision(4))));

function power10(x) {
  const [number, exponent] = x.toExponential(3).split("e");
  return `${Number(number)} · 10^{${Number(exponent)}}`;
}
const bracketed = (x) => (x < 0 ? `(${digits(x)})` : digits(x));

/* The first products of a sum, as a formula: "0.2 · 3 + 0.1 · 2 + …". */
function firstProducts(rows) {
  const shown = rows.slice(0, 2).map((row) => row.map((o) => bracketed(o.value)).join(" · "));
  return shown.join(" + ") + (rows.length > 2 ? " + …" : "");
}

const SOUND_RULES = [
  [/^samples$/, ({ c }) => ({
    text: `This is where it begins: sample ${c} of the recording, the air pressure at ${(c / data.rate).toFixed(4)} s. Nothing in the model computed it.`,
    formula: "x_n", operands: [],
  })],

  [/^features\.frames$/, ({ r, c }) => {
    const n = r * features.hop + c, x = operand(`x_${n}`, "samples", 0, n);
    return { text: `Frames begin every ${features.hop} samples, so sample ${c} of frame ${r} is sample ${n} of the recording. Kaldi counts in 16-bit integers, hence the factor.`,
      formula: "f_{t,n} = 32768 x_{160 t + n}".replace("160", features.hop), numbers: `32768 · ${bracketed(x.value)}`, operands: [x], result: 32768 * x.value };
  }],

  [/^features\.remove_dc$/, ({ r, c }) => {
    const rows = count(features.window, (n) => [operand(`f_${r},${n}`, "features.frames", r, n)]), x = rows[c][0];
    const average = sumOf(rows) / features.window;
    return { text: "The mean of the frame is subtracted: a microphone may add a constant.", formula: "d_{t,n} = f_{t,n} - \\frac{1}{L} \\sum_i f_{t,i}",
      numbers: `${digits(x.value)} - ${bracketed(average)}`, operands: [x, constant("mean of the frame", average)], terms: { head: ["frame"], rows }, result: x.value - average };
  }],

  [/^features\.preemphasize$/, ({ r, c }) => {
    const x = operand(`d_${r},${c}`, "features.remove_dc", r, c), before = operand(`d_${r},${Math.max(0, c - 1)}`, "features.remove_dc", r, Math.max(0, c - 1));
    return { text: "Pre-emphasis lifts the high frequencies: most of the sample before is subtracted. The first sample stands for its own predecessor.",
      formula: "e_{t,n} = d_{t,n} - 0.97 d_{t,n-1}", numbers: `${digits(x.value)} - 0.97 · ${bracketed(before.value)}`, operands: [x, before], result: x.value - 0.97 * before.value };
  }],

  [/^features\.povey_window$/, ({ c }) => ({
    text: "Povey's window, which fades a frame out at both ends. It is the same for every recording.", formula: "w_n = {(0.5 - 0.5 \\cos{\\frac{2 π n}{L - 1}})}^{0.85}",
    numbers: `{(0.5 - 0.5 \\cos{\\frac{2 π · ${c}}{${features.window - 1}}})}^{0.85}`, operands: [], result: poveyWindow(c) })],

  [/^features\.windowed$/, ({ r, c }) => {
    const e = operand(`e_${r},${c}`, "features.preemphasize", r, c), w = operand(`w_${c}`, "features.povey_window", 0, c);
    return { text: "The window fades the frame out at both ends.", formula: "y_{t,n} = w_n e_{t,n}", numbers: `${digits(w.value)} · ${bracketed(e.value)}`, operands: [e, w], result: e.value * w.value };
  }],

  [/^features\.power_spectrum$/, ({ r, c }) => {
    const angle = (n) => (2 * Math.PI * ((n * c) % features.fft)) / features.fft;
    const rows = count(features.window, (n) => [operand(`y_${r},${n}`, "features.windowed", r, n), constant("cos", Math.cos(angle(n))), constant("sin", Math.sin(angle(n)))]);
    const even = sumOf(rows, ([y, cos]) => y.value * cos.value), odd = sumOf(rows, ([y, , sin]) => y.value * sin.value);
    return { text: `The energy of frame ${r} at ${Math.round((c * data.rate) / features.fft)} Hz: how well the frame agrees with a cosine and a sine of that frequency.`,
      formula: "P_{t,k} = {(\\sum_n y_{t,n} \\cos{\\frac{2 π n k}{F}})}^2 + {(\\sum_n y_{t,n} \\sin{\\frac{2 π n k}{F}})}^2",
      numbers: `{(${digits(even)})}^2 + {(${digits(odd)})}^2`, operands: [constant("cosine sum", even), constant("sine sum", odd)],
      terms: { head: ["sample", "cos", "sin"], rows, part: ([y, cos, sin]) => Math.hypot(y.value * cos.value, y.value * sin.value), unsigned: true }, result: even * even + odd * odd };
  }],

  [/^features\.mel_bank$/, ({ r, c }) => {
    const [left, centre, right] = melCorners(c), bin = melOf((r * data.rate) / features.fft);
    return { text: "A triangle on the mel scale: 0 at its feet, 1 at its top. It is the same for every recording.",
      formula: "B_{k,m} = \\max{(0, \\frac{\\mel{f_k} - l_m}{c_m - l_m}, …)}",
      numbers: `\\max{(0, \\min{(\\frac{${digits(bin)} - ${digits(left)}}{${digits(centre - left)}}, \\frac{${digits(right)} - ${digits(bin)}}{${digits(right - centre)}})})}`,
      operands: [constant(`mel of ${Math.round((r * data.rate) / features.fft)} Hz`, bin), constant("left foot", left), constant("top", centre), constant("right foot", right)], result: melWeight(r, c) };
  }],

  [/^features\.mel$/, ({ r, c }) => {
    const rows = count(features.fft / 2, (k) => [operand(`P_${r},${k}`, "features.power_spectrum", r, k), operand(`B_${k},${c}`, "features.mel_bank", k, c)]).filter(([, b]) => b.value > 0);
    return { text: `The energy of frame ${r} under triangle ${c}. Only the ${rows.length} frequencies under it count.`, formula: "E_{t,m} = \\sum_k P_{t,k} B_{k,m}",
      numbers: firstProducts(rows), operands: [], terms: { head: ["power", "triangle"], rows }, result: sumOf(rows) };
  }],

  [/^features\.log_mel$/, ({ r, c }) => {
    const E = operand(`E_${r},${c}`, "features.mel", r, c), floor = 2 ** -23;
    return { text: "The ear hears ratios, so the logarithm is taken, with a floor for silence.", formula: "x_{t,m} = \\ln{\\max{(E_{t,m}, 2^{-23})}}",
      numbers: `\\ln{\\max{(${digits(E.value)}, 2^{-23})}}`, operands: [E], result: E.value === null ? null : Math.log(Math.max(E.value, floor)) };
  }],

  [/^features\.cmvn$/, normalisedFeature],
];

function normalisedFeature({ r, c }) {
  const x = operand(`x_${r},${c}`, "features.log_mel", r, c), asked = features.normalised;
  if (!asked) return { text: "This model asks for another normalisation than that by mean and variance of the utterance.", formula: "y_{t,m} = \\operatorname{normalise}(x_{t,m})", operands: [x] };
  const column = count(data.shapes["features.log_mel"][0], (t) => [operand(`x_${t},${c}`, "features.log_mel", t, c)]);
  const mean = sumOf(column) / column.length, variance = sumOf(column, ([o]) => (o.value - mean) ** 2) / column.length;
  const centred = x.value - (asked.means ? mean : 0), result = asked.variances ? centred / Math.sqrt(Math.max(variance, 1e-10)) : centred;
  return { text: `The mean of mel bin ${c} over the whole recording is subtracted and its deviation divided out, so every frame of this bin has a part in it.`,
    formula: "y_{t,m} = \\frac{x_{t,m} - μ_m}{\\sqrt{\\max{(σ_m^2, 10^{-10})}}}", numbers: `\\frac{${digits(x.value)} - ${bracketed(mean)}}{\\sqrt{${digits(variance)}}}`,
    operands: [x, constant("mean μ of the bin", mean), constant("variance σ² of the bin", variance)], terms: { head: ["the bin in every frame"], rows: column }, result };
}
