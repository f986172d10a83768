/* The parts of encoder and decoder: the twin of s2t_np/layers.py. Layers are pre-norm: each block sees the normalised stream
   and adds its result to the plain one. */

const layers = {
  /* Shorten time by 4 with convolutions and gates: (T, M) -> (S, D). */
  subsample: (w, x) => w.conv_layers.reduce(ops.convolutionGlu, x),

  /* Rows first .. first + count - 1 of the position table, added to x (count, D) in place: the first half of the columns are
     sines, the second half cosines. Positions are numbered from the padding's id + 1, as in fairseq. */
  addPositions(x, first, config) {
    const half = x.columns / 2;
    for (let r = 0; r < x.rows; r++) {
      const row = rowOf(x, r), position = first + r + config.pad_token_id + 1;
      for (let i = 0; i < half; i++) {
        const angle = position * Math.exp(i * (-Math.log(10000) / (half - 1)));
        row[i] += Math.fround(Math.sin(angle));
        row[half + i] += Math.fround(Math.cos(angle));
      }
    }
    return x;
  },

  /* x times sqrt(D), where the config asks for it: (S, D) -> (S, D). */
  scale(x, config) {
    const factor = config.scale_embedding ? Math.fround(Math.sqrt(x.columns)) : 1;
    return matrix(x.rows, x.columns, x.data.map((value) => value * factor));
  },

  /* x + block(norm(x)): (S, D) -> (S, D). The block adds the residual itself. */
  preNorm: (norm, x, block) => block(ops.layerNorm(x, norm), x),

  /* Projected queries, scaled by (D/H)^-0.5: (S, D) -> (S, D). */
  queries(w, x, heads) {
    const q = ops.linear(x, w.q_proj), factor = Math.fround((x.columns / heads) ** -0.5);
    return matrix(q.rows, q.columns, q.data.map((value) => value * factor));
  },

  keysValues: (w, x) => ({ k: ops.linear(x, w.k_proj), v: ops.linear(x, w.v_proj) }),

  /* Attention of every row over every row, plus the residual: (S, D) -> (S, D). */
  selfAttention(w, heads, x, residual) {
    const { k, v } = layers.keysValues(w, x);
    return ops.linear(ops.attention(layers.queries(w, x, heads), k, v, heads), w.out_proj, residual);
  },

  /* W₂ relu(W₁ x), plus the residual: (S, D) -> (S, D). */
  feedForward: (w, x, residual) => ops.linear(ops.linearRelu(x, w.fc1), w.fc2, residual),
};
