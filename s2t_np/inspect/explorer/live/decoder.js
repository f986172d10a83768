/* The decoder, twice: over a whole transcript at once, and one token at a time with a cache. The twin of s2t_np/decoder.py. */

const decoder = {
  /* An empty cache for K beams over a memory (S, D): of each layer the keys and values of the memory, shared by all beams, and
     for every beam the keys and values, rows (D,), of its own tokens so far. */
  startCache(model, memory, beams) {
    const stack = model.weights.decoder.layers;
    const rows = (x) => Array.from({ length: x.rows }, (_, r) => rowOf(x, r));
    const cross = stack.map((layer) => layers.keysValues(layer.encoder_attn, memory)).map(({ k, v }) => ({ k: rows(k), v: rows(v) }));
    const past = Array.from({ length: beams }, () => stack.map(() => ({ k: [], v: [] })));
    return { cross, past, length: 0 };
  },

  /* Let beam k continue what was beam parents[k]. */
  reorder(cache, parents) {
    cache.past = parents.map((parent) => cache.past[parent].map(({ k, v }) => ({ k: [...k], v: [...v] })));
  },

  /* Embedding rows, scaled, plus positions from `first` on: tokens (U,) -> (U, D). `alike`: all stand at the same position. */
  embedTokens(model, tokens, first, alike) {
    const table = model.weights.decoder.embed_tokens.weight, width = table.shape[1], x = matrix(tokens.length, width);
    tokens.forEach((token, r) => rowOf(x, r).set(table.data.subarray(token * width, (token + 1) * width)));
    const scaled = layers.scale(x, model.config);
    if (!model.positions.decoder) return scaled;
    if (!alike) return layers.addPositions(scaled, first, model.config);
    tokens.forEach((_, r) => layers.addPositions(matrix(1, width, rowOf(scaled, r)), first, model.config));
    return scaled;
  },

  /* Self-attention over the text so far, attention over the sound, feed-forward: (U, D) -> (U, D). `attendSelf` and
     `attendSound` map queries (U, D), the first also the new keys and values, to mixed values (U, D). */
  layer(w, heads, x, attendSelf, attendSound) {
    x = layers.preNorm(w.self_attn_layer_norm, x, (h, residual) => {
      const mixed = attendSelf(layers.queries(w.self_attn, h, heads), layers.keysValues(w.self_attn, h));
      return ops.linear(mixed, w.self_attn.out_proj, residual);
    });
    x = layers.preNorm(w.encoder_attn_layer_norm, x, (h, residual) =>
      ops.linear(attendSound(layers.queries(w.encoder_attn, h, heads)), w.encoder_attn.out_proj, residual));
    return layers.preNorm(w.final_layer_norm, x, (h, residual) => layers.feedForward(w, h, residual));
  },

  /* Final normalisation and projection to the vocabulary: (U, D) -> logits (U, V). */
  project: (w, x) => ops.linear(ops.layerNorm(x, w.decoder.layer_norm), w.lm_head),

  /* Teacher forcing: tokens (U,) and memory (S, D) -> logits (U, V); position u sees the tokens 0..u. */
  decodeFull(model, tokens, memory) {
    const w = model.weights, heads = model.config.decoder_attention_heads;
    let x = decoder.embedTokens(model, tokens, 0, false);
    for (const layer of w.decoder.layers) {
      const cross = layers.keysValues(layer.encoder_attn, memory);
      x = decoder.layer(layer, heads, x, (q, own) => ops.attention(q, own.k, own.v, heads, true),
        (q) => ops.attention(q, cross.k, cross.v, heads));
    }
    return decoder.project(w, x);
  },

  /* Append one token to each beam: tokens (K,) -> logits (K, V). The cache grows by one position. */
  step(model, tokens, cache) {
    const w = model.weights, heads = model.config.decoder_attention_heads;
    let x = decoder.embedTokens(model, tokens, cache.length, true);
    w.decoder.layers.forEach((layer, i) => {
      const attendSelf = (q, own) => {
        const mixed = matrix(q.rows, q.columns);
        for (let beam = 0; beam < q.rows; beam++) {
          const past = cache.past[beam][i];
          past.k.push(rowOf(own.k, beam));
          past.v.push(rowOf(own.v, beam));
          ops.attendRow(rowOf(q, beam), past.k, past.v, heads, rowOf(mixed, beam));
        }
        return mixed;
      };
      const attendSound = (q) => {
        const mixed = matrix(q.rows, q.columns);
        for (let beam = 0; beam < q.rows; beam++) ops.attendRow(rowOf(q, beam), cache.cross[i].k, cache.cross[i].v, heads, rowOf(mixed, beam));
        return mixed;
      };
      x = decoder.layer(layer, heads, x, attendSelf, attendSound);
    });
    cache.length += 1;
    return decoder.project(w, x);
  },
};
