/* ---- how each number was computed: the network. Rules as in page.rules.sound.js ---- */

/* A weight by the checkpoint's name, of a vector or of a row of a matrix. The gains and offsets of normalisations are carried as
   they are; all weights only where the page holds the model for its experiments (live/), and then rounded to float16. Unpacked
   when they are first asked for. The server that sent the page has them as they are. */
const weights = { planes: null, count: 0, tensors: JSON.parse($("live-data").textContent).tensors || {} };

async function unpackWeights() {
  if (weights.planes || !Object.keys(weights.tensors).length) return;
  weights.planes = new Uint8Array(await unpack($("live-block").textContent));
  weights.count = weights.planes.length / 2;
}

function float16(high, low) {
  const sign = high & 128 ? -1 : 1, exponent = (high >> 2) & 31, fraction = ((high & 3) << 8) | low;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
}

function weightOperand(name, title, index, row = null, width = 0) {
  const key = row === null ? `weight:${name}` : `weight:${name}/${row}`;
  if (key in data.arrays) return constant(title, array(key).at(0, index));
  if (missed) missed.add(key);
  const found = weights.tensors[name], place = found && found.offset + row * width + index;
  return constant(title, found && weights.planes ? float16(weights.planes[place], weights.planes[weights.count + place]) : null);
}

/* Whether what `weightOperand` gives of a row is rounded. */
const isRounded = (name, row) => !(`weight:${name}/${row}` in data.arrays) && name in weights.tensors;

const headOf = (block, c) => Math.floor(c / headWidth(block, data.shapes[`${block}.q_proj`][1]));

/* The stage that a stack's layer i reads: the layer before, or the embeddings. */
const streamBefore = (stack, i) => (i > 0 ? `${stack}.layers.${i - 1}.output` : `${stack}.embeddings`);

function convolution({ key, r, c }, [, number]) {
  const i = Number(number), taps = network.kernels[i], before = i ? `encoder.conv.conv_layers.${i - 1}.glu` : "features.cmvn";
  const [length, inputs] = data.shapes[before], rows = [];
  for (let j = 0; j < taps; j++) {
    const t = 2 * r + j - Math.floor(taps / 2);
    if (t >= 0 && t < length) for (let m = 0; m < inputs; m++) rows.push([operand(`x_${t},${m}`, before, t, m), weightOperand(`${key}.weight`, `W_${c},${m},${j}`, m * taps + j, c, inputs * taps)]);
  }
  const bias = weightOperand(`${key}.bias`, "bias b", c), sum = sumOf(rows);
  return { text: `Channel ${c} looks at ${taps} rows around row ${2 * r} of what came before, and at all ${inputs} columns of each. Beyond the ends there are zeros.`,
    formula: "y_{s,c} = b_c + \\sum_{j,i} W_{c,i,j} x_{2 s + j - ⌊w / 2⌋, i}", numbers: sum === null ? "" : `${digits(bias.value)} + ${firstProducts(rows)}`,
    operands: [bias], terms: { head: ["input", "weight"], rows }, rounded: isRounded(`${key}.weight`, c), result: sum === null ? null : sum + bias.value };
}

function gate({ key, r, c }) {
  const conv = key.replace(".glu", ""), half = data.shapes[conv][1] / 2, a = operand(`a_${c}`, conv, r, c), b = operand(`b_${c}`, conv, r, half + c);
  return { text: `Channel ${half + c} of the convolution is the gate of channel ${c}: it lets ${known(b) ? `${(100 / (1 + Math.exp(-b.value))).toFixed(1)} %` : "a share"} pass.`,
    formula: "\\operatorname{GLU}(a, b) = a · σ(b) = \\frac{a}{1 + e^{-b}}", numbers: `\\frac{${digits(a.value)}}{1 + e^{${digits(-b.value)}}}`,
    operands: [a, b], result: known(a, b) ? a.value / (1 + Math.exp(-b.value)) : null };
}

function scaledEmbedding({ r, c }, [, stack]) {
  const x = stack === "encoder" ? operand("x", `encoder.conv.conv_layers.${network.kernels.length - 1}.glu`, r, c) : operand("x", "decoder.embed_tokens", r, c);
  const width = data.shapes[`${stack}.embeddings`][1], factor = network.scaled ? Math.sqrt(width) : 1;
  return { text: "Scaled, so that it is not drowned by the positions that are added.", formula: network.scaled ? "\\sqrt{D} x" : "x",
    numbers: network.scaled ? `\\sqrt{${width}} · ${bracketed(x.value)}` : digits(x.value), operands: [x], result: known(x) ? x.value * factor : null };
}

function position({ key, r, c }) {
  const columns = data.shapes[key][1], half = Math.floor(columns / 2), f = positionFrequency(c, half), p = r + network.first_position, wave = c < half ? "sin" : "cos";
  return { text: `A ${wave}e of the position, which is counted from ${network.first_position}. It is the same for every recording.`, formula: `\\${wave}{p f_i},\\quad f_i = 10000^{-i / (D/2-1)}`,
    numbers: `\\${wave}{(${p} · ${digits(f)})}`, operands: [constant("position p", p), constant("frequency f", f)], result: c === 2 * half ? 0 : Math[wave](p * f) };
}

function sumOfTwo({ r, c }, first, second, text) {
  const a = operand(first.split(".").pop(), first, r, c), b = operand(second.split(".").pop(), second, r, c);
  return { text, formula: "a + b", numbers: `${digits(a.value)} + ${bracketed(b.value)}`, operands: [a, b], result: known(a, b) ? a.value + b.value : null };
}

function layerNorm({ key, r, c }, input) {
  const row = count(data.shapes[input][1], (i) => [operand(`x_${r},${i}`, input, r, i)]), x = row[c][0];
  const gain = weightOperand(`${key}.weight`, "gain g", c), offset = weightOperand(`${key}.bias`, "offset b", c);
  const sum = sumOf(row), mean = sum === null ? null : sum / row.length, variance = mean === null ? null : sumOf(row, ([o]) => (o.value - mean) ** 2) / row.length;
  const result = mean === null || !known(gain, offset) ? null : ((x.value - mean) / Math.sqrt(variance + 1e-5)) * gain.value + offset.value;
  return { text: "The row is brought to mean 0 and variance 1; then the column gets the gain and offset that it learned.", formula: "\\frac{x - μ}{\\sqrt{σ^2 + 10^{-5}}} · g + b",
    numbers: `\\frac{${digits(x.value)} - ${bracketed(mean)}}{\\sqrt{${digits(variance)} + 10^{-5}}} · ${bracketed(gain.value)} + ${bracketed(offset.value)}`,
    operands: [x, constant("mean μ of the row", mean), constant("variance σ² of the row", variance), gain, offset], terms: { head: ["the row"], rows: row }, result };
}

/* y = W x + b. `input`: the stage of x; the weights have the stage's name unless `name` says otherwise. */
function linear({ key, r, c }, input, text, name = key) {
  const width = data.shapes[input][1], rows = count(width, (i) => [operand(`x_${r},${i}`, input, r, i), weightOperand(`${name}.weight`, `W_${c},${i}`, i, c, width)]);
  const bias = key === "lm_head" ? null : weightOperand(`${name}.bias`, "bias b", c), sum = sumOf(rows), all = sum === null || (bias && !known(bias)) ? null : sum + (bias ? bias.value : 0);
  return { text, formula: bias ? "y_c = b_c + \\sum_i W_{c,i} x_i" : "y_c = \\sum_i W_{c,i} x_i", numbers: sum === null ? "" : `${bias ? `${digits(bias.value)} + ` : ""}${firstProducts(rows)}`,
    operands: bias ? [bias] : [], terms: { head: ["input", "weight"], rows }, rounded: isRounded(`${name}.weight`, c), result: all };
}

function score({ key, r, c }) {
  const [, block, head] = key.match(/^(.*)\.scores\/(\d+)$/), width = headWidth(block, data.shapes[`${block}.q_proj`][1]), first = Number(head) * width;
  const rows = count(width, (i) => [operand(`q_${r},${first + i}`, `${block}.q_proj`, r, first + i), operand(`k_${c},${first + i}`, `${block}.k_proj`, c, first + i)]), sum = sumOf(rows);
  return { text: `How well the query of row ${r} agrees with the key of row ${c}, in the ${width} columns that belong to head ${head}.`, formula: "s = \\frac{1}{\\sqrt{d}} \\sum_i q_i k_i",
    numbers: sum === null ? "" : `\\frac{1}{\\sqrt{${width}}} (${firstProducts(rows)})`, operands: [], terms: { head: ["query", "key"], rows }, result: isHidden(block, r, c) ? -Infinity : sum === null ? null : sum / Math.sqrt(width) };
}

function attentionWeight({ key, r, c }) {
  const [, block, head] = key.match(/^(.*)\.attn_weights\/(\d+)$/), scores = `${block}.scores/${head}`;
  if (isHidden(block, r, c)) return { text: "A token does not see the tokens after it: this weight is 0 by definition.", formula: "0", operands: [], result: 0 };
  const columns = isHidden(block, 0, 1) ? r + 1 : data.shapes[`${block}.attn_weights`].at(-1), rows = count(columns, (j) => [operand(`s_${r},${j}`, scores, r, j)]), s = rows[c][0];
  const most = known(s) ? Math.max(...rows.map(([o]) => o.value)) : null, total = most === null ? null : sumOf(rows, ([o]) => Math.exp(o.value - most));
  return { text: `The share of row ${c} in what row ${r} gathers: the exponential of its score by the sum of all, so that the shares of a row add up to 1.`, formula: "a_{r,c} = \\frac{e^{s_{r,c}}}{\\sum_j e^{s_{r,j}}}",
    numbers: total === null ? "" : `\\frac{${digits(Math.exp(s.value - most))}}{${digits(total)}}`, operands: [s, constant("sum of the exponentials", total)],
    terms: { head: ["score"], rows, part: ([o]) => Math.exp(o.value - most) / total, share: "share" }, result: total === null ? null : Math.exp(s.value - most) / total };
}

function mixedValue({ key, r, c }) {
  const block = key.replace(".context", ""), head = headOf(block, c), columns = isHidden(block, 0, 1) ? r + 1 : data.shapes[`${block}.v_proj`][0];
  const rows = count(columns, (j) => [operand(`a_${r},${j}`, `${block}.attn_weights/${head}`, r, j), operand(`v_${j},${c}`, `${block}.v_proj`, j, c)]);
  return { text: `Column ${c} belongs to head ${head}: the mean of this column of the values, weighted by that head's attention.`, formula: "z_{r,c} = \\sum_j a_{r,j} v_{j,c}", numbers: firstProducts(rows),
    operands: [], terms: { head: ["attention", "value"], rows }, result: sumOf(rows) };
}

function chosenEmbedding({ r, c }) {
  const token = data.inputs[r], width = data.shapes["decoder.embed_tokens"][1], found = weightOperand("decoder.embed_tokens.weight", `row ${token} of the table`, c, token, width), first = data.inputs.length - data.tokens.length;
  const chosen = r > first && data.tokens[r - first - 1] ? [operand(`log p(${data.tokens[r - first - 1].piece}), the choice of the step before`, "log_probs", r - 1, token)] : [];
  return { text: `The embedding of token ${token}, ${tokenAt(r, data.inputs.length, true)}: a row of a table that training filled.`, formula: "E_{token}".replace("token", "\\text{token}"), operands: [found, ...chosen], result: found.value };
}

function logProbability({ r, c }) {
  const logit = operand(`logit of ${c}`, "lm_head", r, c), normaliser = constant("ln of the sum of all exponentials", data.normalisers[r]);
  return { text: "The logarithm of the probability that the model gives to this piece.", formula: "\\ln p_v = h_v - \\ln{\\sum_u e^{h_u}}", numbers: `${digits(logit.value)} - ${bracketed(normaliser.value)}`,
    operands: [logit, normaliser], result: known(logit) ? logit.value - normaliser.value : null };
}

const QKV = { q: "The query: what this row looks for.", k: "The key: what this row offers to be found by.", v: "The value: what this row gives to those that attend to it." };
const inputOf = (block, which) => (block.endsWith("encoder_attn") && which !== "q" ? "encoder.layer_norm" : `${block}_layer_norm`);

const NETWORK_RULES = [
  [/^encoder\.conv\.conv_layers\.(\d+)$/, convolution],
  [/\.glu$/, gate],
  [/^(encoder|decoder)\.embed_scale$/, scaledEmbedding],
  [/\.embed_positions$/, position],
  [/^decoder\.embed_tokens$/, chosenEmbedding],
  [/^decoder\.input_ids$/, ({ c }) => ({ text: "The tokens that the decoder reads: the start, then what it wrote before.", formula: "t_u", operands: [], result: data.inputs[c] })],
  [/^(encoder|decoder)\.embeddings$/, (cell, [, stack]) => sumOfTwo(cell, `${stack}.embed_scale`, `${stack}.embed_positions`, "The input of the first layer: what was heard or written, and where.")],
  [/^(encoder|decoder)\.layers\.(\d+)\.self_attn_layer_norm$/, (cell, [, stack, i]) => layerNorm(cell, streamBefore(stack, Number(i)))],
  [/^(decoder\.layers\.\d+)\.encoder_attn_layer_norm$/, (cell, [, layer]) => layerNorm(cell, `${layer}.self_attn_residual`)],
  [/^((encoder|decoder)\.layers\.\d+)\.final_layer_norm$/, (cell, [, layer, stack]) => layerNorm(cell, `${layer}.${stack === "encoder" ? "self" : "encoder"}_attn_residual`)],
  [/^(encoder|decoder)\.layer_norm$/, (cell, [, stack]) => layerNorm(cell, streamBefore(stack, network.layers[stack]))],
  [/^(.*_attn)\.([qkv])_proj$/, (cell, [, block, which]) => linear(cell, inputOf(block, which), QKV[which])],
  [/\.scores\/\d+$/, score],
  [/\.attn_weights\/\d+$/, attentionWeight],
  [/\.context$/, mixedValue],
  [/^(.*_attn)\.out_proj$/, (cell, [, block]) => linear(cell, `${block}.context`, "What the heads gathered, mixed by a matrix.")],
  [/^((encoder|decoder)\.layers\.(\d+))\.self_attn_residual$/, (cell, [, layer, stack, i]) => sumOfTwo(cell, streamBefore(stack, Number(i)), `${layer}.self_attn.out_proj`, "The residual stream: what came in, and what attention adds.")],
  [/^(.*)\.encoder_attn_residual$/, (cell, [, layer]) => sumOfTwo(cell, `${layer}.self_attn_residual`, `${layer}.encoder_attn.out_proj`, "The residual stream: what came in, and what listening adds.")],
  [/^(.*)\.fc1$/, (cell, [, layer]) => linear(cell, `${layer}.final_layer_norm`, "One of the hidden units of the feed-forward network.")],
  [/^(.*)\.activation_fn$/, (cell, [, layer]) => {
    const x = operand("fc1", `${layer}.fc1`, cell.r, cell.c);
    return { text: "A ReLU: what is below zero becomes zero.", formula: "\\max{(0, x)}", numbers: `\\max{(0, ${digits(x.value)})}`, operands: [x], result: known(x) ? Math.max(0, x.value) : null };
  }],
  [/^(.*)\.fc2$/, (cell, [, layer]) => linear(cell, `${layer}.activation_fn`, "The hidden units, mixed by a matrix. Those that are zero add nothing.")],
  [/^((encoder|decoder)\.layers\.\d+)\.output$/, (cell, [, layer, stack]) => sumOfTwo(cell, `${layer}.${stack === "encoder" ? "self" : "encoder"}_attn_residual`, `${layer}.fc2`, "The residual stream: what came in, and what the feed-forward network adds.")],
  [/^norms:/, ({ key, r, c }) => {
    const stage = `encoder.layers.${c}.${key.slice(6)}`, rows = count(data.shapes[stage][1], (i) => [operand(`x_${r},${i}`, stage, r, i)]), sum = sumOf(rows, ([o]) => o.value ** 2);
    return { text: "The length of the row.", formula: "\\sqrt{\\sum_i x_i^2}", operands: [], terms: { head: ["the row"], rows }, result: sum === null ? null : Math.sqrt(sum) };
  }],
  [/^lm_head$/, (cell) => linear(cell, "decoder.layer_norm", "The logit of a piece of the vocabulary.", network.tied ? "decoder.embed_tokens" : "lm_head")],
  [/^log_probs$/, logProbability],
];
