/* The arithmetic of the model: the twin of s2t_np/ops.py, function by function.

   A matrix is { rows, columns, data }: `data` is a Float32Array of its rows, one after the other. Sums run in JavaScript's
   own numbers, which are float64, and are rounded to float32 where they are stored.
   Shape letters: T frames, M mel bins, S encoder positions, U target positions, K beams, H heads, D model width, V vocabulary;
   I and O are any input and output width. */

const EPSILON = 1e-5;                   // of the layer normalisation

const matrix = (rows, columns, data = new Float32Array(rows * columns)) => ({ rows, columns, data });
const rowOf = (x, r) => x.data.subarray(r * x.columns, (r + 1) * x.columns);

const ops = {
  /* x Wᵀ + b, plus `residual` if there is one: (S, I) -> (S, O). The weight is (O, I), as torch stores it. */
  linear(x, w, residual = null) {
    const [outputs, inputs] = w.weight.shape, weight = w.weight.data, y = matrix(x.rows, outputs);
    for (let r = 0; r < x.rows; r++) {
      const row = rowOf(x, r);
      for (let o = 0; o < outputs; o++) {
        let sum = w.bias ? w.bias.data[o] : 0;
        for (let i = 0, at = o * inputs; i < inputs; i++, at++) sum += row[i] * weight[at];
        y.data[r * outputs + o] = residual ? sum + residual.data[r * outputs + o] : sum;
      }
    }
    return y;
  },

  /* max(x Wᵀ + b, 0): (S, I) -> (S, O). */
  linearRelu(x, w) {
    const y = ops.linear(x, w);
    y.data.forEach((value, i) => { if (value < 0) y.data[i] = 0; });
    return y;
  },

  /* Bring each row to mean 0 and variance 1, then scale and shift it: (S, D) -> (S, D). */
  layerNorm(x, w) {
    const y = matrix(x.rows, x.columns);
    for (let r = 0; r < x.rows; r++) {
      const row = rowOf(x, r), out = rowOf(y, r);
      let mean = 0, variance = 0;
      for (const value of row) mean += value / row.length;
      for (const value of row) variance += (value - mean) ** 2 / row.length;
      const scale = 1 / Math.sqrt(variance + EPSILON);
      for (let i = 0; i < row.length; i++) out[i] = (row[i] - mean) * scale * w.weight.data[i] + w.bias.data[i];
    }
    return y;
  },

  /* exp(x) normalised, in place; the maximum is subtracted first so that nothing overflows: (S,). */
  softmax(scores) {
    let top = -Infinity, sum = 0;
    for (const score of scores) if (score > top) top = score;
    for (let i = 0; i < scores.length; i++) sum += scores[i] = Math.exp(scores[i] - top);
    for (let i = 0; i < scores.length; i++) scores[i] /= sum;
  },

  /* log(softmax(x)) of logits (V,), rounded as Python rounds it: x - top - shift, each difference in float32. */
  logSoftmax(logits) {
    let top = -Infinity, sum = 0;
    for (const logit of logits) if (logit > top) top = logit;
    for (const logit of logits) sum += Math.exp(logit - top);
    const shift = Math.fround(Math.log(sum));
    return logits.map((logit) => Math.fround(logit - top) - shift);
  },

  /* Convolve over time, stride 2, kernel/2 zeros on both sides, and gate the result, a · σ(b):
     (T, I) -> ((T - 1)//2 + 1, O/2). The weight is (O, I, kernel). */
  convolutionGlu(x, w) {
    const [outputs, inputs, taps] = w.weight.shape, weight = w.weight.data, half = outputs / 2;
    const y = matrix(Math.floor((x.rows - 1) / 2) + 1, half), sums = new Float64Array(outputs);
    for (let r = 0; r < y.rows; r++) {
      sums.set(w.bias.data);
      for (let k = 0; k < taps; k++) {
        const from = 2 * r + k - (taps >> 1);
        if (from < 0 || from >= x.rows) continue;
        const row = rowOf(x, from);
        for (let o = 0; o < outputs; o++) {
          let sum = 0;
          for (let i = 0, at = o * inputs * taps + k; i < inputs; i++, at += taps) sum += row[i] * weight[at];
          sums[o] += sum;
        }
      }
      for (let o = 0; o < half; o++) y.data[r * half + o] = sums[o] / (1 + Math.exp(-sums[o + half]));
    }
    return y;
  },

  /* One query (D,) over keys and values: softmax(q Kᵀ) V within each head, into `out` (D,). Head h owns the h-th D/H columns.
     `keys` and `values` are rows (D,); the query is scaled already. */
  attendRow(query, keys, values, heads, out) {
    const width = query.length / heads, scores = new Float32Array(keys.length);
    for (let first = 0; first < query.length; first += width) {
      for (let s = 0; s < keys.length; s++) {
        let sum = 0;
        for (let i = first; i < first + width; i++) sum += query[i] * keys[s][i];
        scores[s] = sum;
      }
      ops.softmax(scores);
      for (let i = first; i < first + width; i++) {
        let sum = 0;
        for (let s = 0; s < keys.length; s++) sum += scores[s] * values[s][i];
        out[i] = sum;
      }
    }
  },

  /* Attention of all rows: q (Q, D), k and v (S, D) -> (Q, D). With `causal`, query i sees only the keys 0..i. */
  attention(q, k, v, heads, causal = false) {
    const y = matrix(q.rows, q.columns), rows = (x) => Array.from({ length: x.rows }, (_, r) => rowOf(x, r));
    const keys = rows(k), values = rows(v);
    for (let r = 0; r < q.rows; r++) {
      const seen = causal ? r + 1 : keys.length;
      ops.attendRow(rowOf(q, r), keys.slice(0, seen), values.slice(0, seen), heads, rowOf(y, r));
    }
    return y;
  },
};
