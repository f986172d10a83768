/* ---- follow a number: a panel with the computation that made it; every operand in it can be followed in turn ---- */

const RULES = [...SOUND_RULES, ...NETWORK_RULES];
const MOST_TERMS = 12;                  // of a sum, until all are asked for
const thread = [];                      // the cells followed so far
let followFrom = null;                  // what had the focus before the panel opened

/* How a cell was computed; null for an array that has no rule. */
function computation(cell) {
  const rule = RULES.find(([pattern]) => pattern.test(cell.key));
  return rule ? rule[1](cell, cell.key.match(rule[0])) : null;
}

/* As many digits as tell this float32 from its neighbours; for steps, the digits that they carry. */
function exactly(value, a) {
  if (!Number.isFinite(value)) return "−∞";
  if (!a.exact) return `≈ ${shown(value, a)}`;
  const single = Math.fround(value);
  for (let places = 1; places < 9; places++) if (Math.fround(Number(single.toPrecision(places))) === single) return String(Number(single.toPrecision(places)));
  return String(Number(single.toPrecision(9)));
}

const AXES = [
  [/^samples$/, (r, c) => `sample ${c} (${(c / data.rate).toFixed(4)} s)`],
  [/^features\.(frames|remove_dc|preemphasize|windowed)$/, (r, c) => `frame ${r} (${(r * features.hop / data.rate).toFixed(2)} s), sample ${c} of it`],
  [/^features\.povey_window$/, (r, c) => `sample ${c} of a frame`],
  [/^features\.power_spectrum$/, (r, c, rows, columns) => `frame ${r} (${(r * features.hop / data.rate).toFixed(2)} s), FFT bin ${c}${hertzOf("FFT bin", c, columns)}`],
  [/^features\.mel_bank$/, (r, c, rows, columns) => `FFT bin ${r}${hertzOf("FFT bin", r, rows)}, filter ${c}${hertzOf("mel bin", c, columns)}`],
  [/^features\./, (r, c, rows, columns) => `frame ${r} (${(r * features.hop / data.rate).toFixed(2)} s), mel bin ${c}${hertzOf("mel bin", c, columns)}`],
  [/^encoder\.conv/, (r, c, rows) => `row ${r} (${((r * duration) / rows).toFixed(2)} s), channel ${c}`],
  [/^decoder\.input_ids$/, (r, c) => `input ${c}, ${tokenAt(c, data.inputs.length, true)}`],
  [/\.(attn_weights|scores)\/\d+$/, (r, c, rows, columns, key) => `head ${key.split("/")[1]}: ${rowName(key, r, rows)} to ${key.includes("encoder.") || key.includes("encoder_attn") ? positionName(c) : inputName(c)}`],
  [/^norms:/, (r, c) => `layer ${c}, ${positionName(r)}`],
  [/^(lm_head|log_probs)$/, (r, c, rows) => `${rowName("decoder.", r, rows)}, piece ${c}${pieceOf(c)}`],
  [/./, (r, c, rows, columns, key) => `${/\.encoder_attn\.[kv]_proj$/.test(key) ? positionName(r) : rowName(key, r, rows)}, feature ${c}`],
];
const positionName = (s) => `position ${s} (${(s * data.position_seconds).toFixed(2)} s)`;
const inputName = (u) => `input ${u}, ${tokenAt(u, data.inputs.length, true)}`;
const rowName = (key, r) => (key.startsWith("encoder.") ? positionName(r) : `step ${r + 1} (reads ${tokenAt(r, data.inputs.length, true)}, writes ${tokenAt(r, data.inputs.length, false)})`);

function pieceOf(id) {
  const found = data.alternatives.flat().find((option) => option.id === id);
  return found ? ` ${found.piece}` : "";
}

/* "head 1: input 3, ▁four to position 20 (0.80 s)" */
function placeOf({ key, r, c }) {
  const stage = key.split("/")[0].replace(".scores", ".attn_weights"), shape = data.shapes[stage] || [0, 0];
  const [rows, columns] = shape.length > 1 ? shape.slice(-2) : [1, shape[0]];
  return AXES.find(([pattern]) => pattern.test(key))[1](r, c, rows, columns, key);
}

function operandButton(o) {
  const a = o.cell && lookup(o.cell.key), value = o.value === null || o.value === undefined ? "not on this page" : o.cell && a ? exactly(o.value, a) : plainText(o.value);
  const [base, below] = o.name.split("_"), name = element("span", { class: "name" }, base, ...(below ? [element("sub", {}, below)] : []));
  const parts = [name, element("b", {}, value)];
  if (!o.cell) return element("span", { class: "operand" }, ...parts);
  return element("button", { type: "button", class: "operand", title: `${o.cell.key}: ${placeOf(o.cell)}`, onclick: () => followCell(o.cell) }, ...parts);
}

const plainText = (x) => (Number.isFinite(x) ? String(Number(x.toPrecision(7))) : "−∞");

/* The terms of a sum, the largest first. */
function termTable(terms, all) {
  const part = terms.part || product, whole = terms.rows.every((row) => known(...row));
  const sized = terms.rows.map((row) => [row, whole ? part(row) : null]);
  const order = whole ? [...sized].sort(([, a], [, b]) => Math.abs(b) - Math.abs(a)) : sized;
  const head = [...terms.head, ...(terms.head.length > 1 || terms.share ? [terms.share || (terms.unsigned ? "size" : "product")] : [])];
  const rows = order.slice(0, all ? order.length : MOST_TERMS).map(([row, size]) => element("tr", {},
    ...row.map((o) => element("td", {}, operandButton(o))), ...(head.length > row.length ? [element("td", { class: "size" }, size === null ? "" : plainText(size))] : [])));
  const caption = `${terms.rows.length} ${terms.rows.length === 1 ? "term" : "terms"}${rows.length < order.length ? (whole ? `; the ${rows.length} largest` : `; the first ${rows.length}`) : ""}`;
  return element("table", {}, element("caption", {}, caption), element("tr", {}, ...head.map((name) => element("th", { scope: "col" }, name))), ...rows);
}

function termList(terms) {
  const holder = element("div", { class: "terms" }), fill = (all) => holder.replaceChildren(termTable(terms, all),
    ...(all || terms.rows.length <= MOST_TERMS ? [] : [element("button", { type: "button", onclick: () => { fill(true); holder.querySelector("button").focus(); } }, `Show all ${terms.rows.length}`)]));
  fill(false);
  return holder;
}

/* How exact the number is, and whether the page comes to the same from its operands. */
function exactness(cell, made) {
  const a = lookup(cell.key), stage = cell.key.split("/")[0];
  if (!a || (a.picked && !a.picked.includes(cell.c))) return isAsking ? "What it is made of:" : `This page has no room for ${stage}; trace --output writes all of it. What it is made of:`;
  const here = made.result === null || made.result === undefined ? "" : ` Computed here from what is shown below${made.rounded ? ", with weights rounded to float16" : ""}: ${plainText(Math.fround(made.result))}.`;
  if (a.exact) return `${sourceOf(cell.key)}${here}`;
  return `The page carries ${stage} in ${a.bytes === 1 ? "256" : "65,536"} steps of ${plainText(a.step)}, so this number may be off by half of one.${here}`;
}

const sourceOf = (key) => (key in data.arrays ? "This is the float32 number of the model." : "The page computes this one from the arrays that it carries, as the model does.");

/* Open the panel on a cell. */
function followCell(cell, { fresh = false, focus = true } = {}) {
  const made = computation(cell);
  if (!made) return false;
  if ($("follow").hidden) followFrom = document.activeElement;
  if (fresh) thread.length = 0;
  thread.push(cell);
  showCell(cell, made);
  closeTour();
  complete(cell, made);
  $("follow").hidden = false;
  document.body.classList.add("following");
  if (focus) $("follow-title").focus({ preventScroll: true });
  return true;
}

/* Get what the panel lacks: weights that the page holds, or numbers that its server has. */
let completing = new AbortController();
async function complete(cell, made) {
  const use = () => { computation(cell); lookup(cell.key); };
  completing.abort();
  completing = new AbortController();
  followStatus();
  try {
    if (missing(use).length) {
      followStatus("Asking the server …");
      await fetchFor(use, completing.signal);
      followStatus();
    } else if (!made.rounded || weights.planes) return;
    else await unpackWeights();
  } catch (error) {
    if (error.name === "AbortError") return;
    followStatus(`The server gave no numbers: ${error.message}.`);
    await unpackWeights();
  }
  if (thread.at(-1) === cell) showCell(cell, computation(cell));
}

function followStatus(text = "") {
  $("follow-status").textContent = text;
  $("follow").setAttribute("aria-busy", String(text.endsWith("…")));
}

function showCell(cell, made) {
  const a = lookup(cell.key), there = a && !(a.picked && !a.picked.includes(cell.c)), value = there ? a.at(cell.r, cell.c) : null;
  $("follow-stage").textContent = cell.key.replace(/\/\d+$/, "");
  $("follow-place").textContent = placeOf(cell);
  $("follow-value").textContent = there ? exactly(value, a) : "not on this page";
  $("follow-back").disabled = thread.length < 2;
  $("follow-down").disabled = cell.key === "samples";
  const formulas = [made.formula, ...(made.numbers ? [`${made.numbers}${made.result === null || made.result === undefined ? "" : ` = ${digits(made.result)}`}`] : [])];
  $("follow-body").replaceChildren(
    element("p", {}, made.text),
    element("div", { class: "formula", tabindex: "0", role: "group", "aria-label": "Formula, and the same with the numbers of this recording" }, ...formulas.map((f) => element("div", {}, math(f)))),
    ...(cell.key === "samples" ? [element("button", { type: "button", onclick: () => { seek(cell.c / data.rate); toggle(); } }, "Play from here")] : [element("p", { class: "exact" }, exactness(cell, made))]),
    element("div", { class: "operands" }, ...made.operands.map(operandButton)),
    ...(made.terms ? [termList(made.terms)] : []),
    threadList());
  $("follow").scrollTop = 0;
}

/* The way taken so far, as a list of buttons. */
function threadList() {
  if (thread.length < 2) return "";
  const steps = thread.slice(0, -1).map((cell, i) => element("li", {}, element("button", { type: "button", onclick: () => {
    thread.length = i;
    followCell(cell);
  } }, `${cell.key.split("/")[0]}: ${placeOf(cell)}`)));
  return element("details", { open: "" }, element("summary", {}, `The way here (${thread.length - 1})`), element("ol", {}, ...steps));
}

/* The operand that leads to the sound: of a sum the largest term, where the decoder listens what it heard, else the first. */
function towardsSound(made, cell) {
  const single = made.operands.filter((o) => o.cell);
  if (single.length) return (/encoder_attn_residual$/.test(cell.key) ? single.at(-1) : single[0]).cell;
  if (!made.terms || !made.terms.rows.length) return null;
  const part = made.terms.part || product, size = (row) => (known(...row) ? Math.abs(part(row)) : 0);
  const row = made.terms.rows.reduce((best, next) => (size(next) > size(best) ? next : best));
  return row.filter((o) => o.cell).at(cell.key.startsWith("features.") ? 0 : -1)?.cell || null;
}

/* Follow operand after operand, down to a sample, or to the start of the text, which no sound has made. The terms of a sum
   have to be known to choose the largest. */
async function followDown() {
  for (let next = thread.at(-1), steps = 0; next && steps < 300; steps++) {
    const here = next, made = computation(here);
    if (made && made.terms && !made.operands.some((o) => o.cell) && missing(() => computation(here)).length) {
      followStatus("Asking the server …");
      await fetchFor(() => computation(here)).catch(() => null);
      if (thread.at(-1) !== here) return;  // another number was chosen meanwhile
    }
    next = made && towardsSound(computation(here), here);
    if (next) thread.push(next);
  }
  followCell(thread.pop());
}

function closeFollow() {
  if ($("follow").hidden) return;
  $("follow").hidden = true;
  document.body.classList.remove("following");
  if (followFrom && followFrom.isConnected) followFrom.focus({ preventScroll: true });
}

function followPanel() {
  $("follow-back").addEventListener("click", () => { thread.pop(); followCell(thread.pop()); });
  $("follow-down").addEventListener("click", followDown);
  $("follow-close").addEventListener("click", closeFollow);
  $("follow").addEventListener("keydown", (event) => { if (event.key === "Escape") closeFollow(); });
}
