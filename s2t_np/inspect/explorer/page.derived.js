/* ---- arrays that the page computes itself instead of carrying them, exactly as Python does ----

   Each entry: the stage's name, and (key) -> { rows, columns, at(r, c) }. The features' steps are float64, as in features.py. */

const features = data.features, network = data.network;

const DERIVED = [
  [/^features\.frames$/, () => ofFrames((t, n) => 32768 * array("samples").at(0, t * features.hop + n))],
  [/^features\.remove_dc$/, () => ofFrames((t, n) => derivedFrame(t).centred[n])],
  [/^features\.preemphasize$/, () => ofFrames((t, n) => derivedFrame(t).lifted[n])],
  [/^features\.povey_window$/, () => ({ rows: 1, columns: features.window, at: (_, n) => poveyWindow(n) })],
  [/^features\.windowed$/, () => ofFrames((t, n) => derivedFrame(t).lifted[n] * poveyWindow(n))],
  [/^features\.mel_bank$/, () => ({ rows: features.fft / 2, columns: features.bins, at: melWeight })],
  [/^encoder\.embed_scale$/, () => scaledRows(`encoder.conv.conv_layers.${network.kernels.length - 1}.glu`)],
  [/^decoder\.embed_scale$/, () => scaledRows("decoder.embed_tokens")],
  [/^(encoder|decoder)\.embed_positions$/, positionRows],
  [/\.activation_fn$/, (key) => mapped(key.replace("activation_fn", "fc1"), (x) => Math.max(0, x))],
  [/\.scores\/\d+$/, scoresOf],
  [/^decoder\.input_ids$/, () => ({ rows: 1, columns: data.inputs.length, at: (_, u) => data.inputs[u] })],
];
const derivedKept = new Map();
const isDerivable = (key) => DERIVED.some(([pattern]) => pattern.test(key));

/* A derived array, or null for a stage that is none, or whose operands the page does not carry. */
function derived(key) {
  if (derivedKept.has(key) && !missed) return derivedKept.get(key);  // missed: its operands are looked up once more
  const entry = DERIVED.find(([pattern]) => pattern.test(key)), made = entry ? entry[1](key) : null;
  const whole = made && forDrawing({ ...made, key, exact: made.exact !== false, shape: [made.rows, made.columns] });
  derivedKept.set(key, whole);
  return whole;
}

const ofFrames = (at) => ({ rows: data.shapes["features.frames"][0], columns: features.window, at });

let frameKept = { t: -1 };
function derivedFrame(t) {
  if (frameKept.t === t) return frameKept;
  const samples = array("samples"), L = features.window;
  const x = Float64Array.from({ length: L }, (_, n) => 32768 * samples.at(0, t * features.hop + n));
  const average = x.reduce((sum, value) => sum + value, 0) / L, centred = x.map((value) => value - average);
  const lifted = centred.map((value, n) => value - 0.97 * centred[Math.max(0, n - 1)]);
  frameKept = { t, average, centred, lifted };
  return frameKept;
}

const poveyWindow = (n) => (0.5 - 0.5 * Math.cos((n * 2 * Math.PI) / (features.window - 1))) ** 0.85;
const melOf = (f) => 1127 * Math.log(1 + f / 700);

/* The corners left, centre and right of mel filter m, in mel. */
function melCorners(m) {
  const low = melOf(20), high = melOf(data.rate / 2), corner = (i) => low + (i * (high - low)) / (features.bins + 1);
  return [corner(m), corner(m + 1), corner(m + 2)];
}

function melWeight(k, m) {
  const [left, centre, right] = melCorners(m), bin = melOf((k * data.rate) / features.fft);
  return Math.max(0, Math.min((bin - left) / (centre - left), (right - bin) / (right - centre)));
}

function mapped(key, f) {
  const a = lookup(key);
  return a && { rows: a.rows, columns: a.columns, exact: a.exact, at: (r, c) => f(a.at(r, c)) };
}

function scaledRows(key) {
  const a = lookup(key), factor = network.scaled ? Math.fround(Math.sqrt(data.shapes[key][1])) : 1;
  return a && { rows: a.rows, columns: a.columns, exact: a.exact, at: (r, c) => Math.fround(a.at(r, c) * factor) };
}

/* Row s is position s + first_position; the first half of the columns are sines, the second half cosines. */
function positionRows(key) {
  const [rows, columns] = data.shapes[key], half = Math.floor(columns / 2);
  const at = (s, i) => {
    if (i === 2 * half) return 0;
    const angle = (s + network.first_position) * positionFrequency(i, half);
    return Math.fround(i < half ? Math.sin(angle) : Math.cos(angle));
  };
  return { rows, columns, at };
}

const positionFrequency = (i, half) => Math.exp((i % half) * (-Math.log(10000) / (half - 1)));

/* Scores of one head, before the softmax: products of queries and keys over √d. */
function scoresOf(key) {
  const [, block, , head] = key.match(/^((encoder|decoder)\..*)\.scores\/(\d+)$/), q = lookup(`${block}.q_proj`), k = lookup(`${block}.k_proj`);
  if (!q || !k) return null;
  const d = headWidth(block, q.columns), first = Number(head) * d, factor = d ** -0.5;
  const at = (r, c) => {
    let sum = 0;
    for (let i = first; i < first + d; i++) sum += q.at(r, i) * factor * k.at(c, i);
    return isHidden(block, r, c) ? -Infinity : sum;
  };
  return { rows: q.rows, columns: k.rows, exact: q.exact && k.exact, at };
}

const headWidth = (block, columns) => columns / network.heads[block.startsWith("encoder.") ? "encoder" : "decoder"];

/* A token does not see the tokens after it. */
const isHidden = (block, r, c) => /^decoder\..*\.self_attn$/.test(block) && c > r;
