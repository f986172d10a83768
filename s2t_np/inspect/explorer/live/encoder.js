/* The encoder: features (T, M) become the memory (S, D), one row for every 40 ms. The twin of s2t_np/encoder.py. */

const encoder = {
  /* Subsample, scale, add positions: (T, M) -> (S, D). */
  embedFeatures(model, features) {
    const x = layers.scale(layers.subsample(model.weights.encoder.conv, features), model.config);
    return model.positions.encoder ? layers.addPositions(x, 0, model.config) : x;
  },

  /* Self-attention, then feed-forward: (S, D) -> (S, D). */
  layer(w, heads, x) {
    x = layers.preNorm(w.self_attn_layer_norm, x, (h, residual) => layers.selfAttention(w.self_attn, heads, h, residual));
    return layers.preNorm(w.final_layer_norm, x, (h, residual) => layers.feedForward(w, h, residual));
  },

  encode(model, features) {
    const w = model.weights.encoder, heads = model.config.encoder_attention_heads;
    const x = w.layers.reduce((stream, layer) => encoder.layer(layer, heads, stream), encoder.embedFeatures(model, features));
    return ops.layerNorm(x, w.layer_norm);
  },
};
