/* Experiments: the twin of s2t_np/inspect/experiments.py, with the same description.

   An experiment is { muted_heads: ["encoder.layers.3.self_attn/2"], muted_layers: ["decoder.layers.0"],
   dropped_positions: ["encoder"], masked_bins: [first, end], masked_seconds: [from, to], num_beams, length_penalty }; all may be
   left out. No layer function knows of it: it changes the weights, and the features.

   A model is { config, weights, positions: { encoder, decoder }, generation, pieces, special }. */

const FRAMES_PER_SECOND = 100;

const experiments = {
  /* Weights by their names -> a tree: weights.encoder.layers[3].self_attn.q_proj.weight is { shape, data }. */
  tree(tensors) {
    const root = {};
    for (const [name, tensor] of Object.entries(tensors)) {
      const path = name.split("."), last = path.pop();
      let at = root;
      path.forEach((key, i) => { at = at[key] ??= /^\d+$/.test(path[i + 1]) ? [] : {}; });
      at[last] = tensor;
    }
    return root;
  },

  /* A float16 number from its bits: sign, five bits of exponent, ten of fraction. */
  fromHalf(bits) {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = (bits & 1023) / 1024;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction);
  },

  /* The page's description of a model and its block of float16 numbers (the first byte of every number, then the second of
     every number) -> the model, and its features (T, M). */
  unpacked(record, bytes) {
    const count = bytes.length / 2, numbers = new Float32Array(count);
    const halves = Float32Array.from({ length: 1 << 16 }, (_, bits) => experiments.fromHalf(bits));
    for (let i = 0; i < count; i++) numbers[i] = halves[(bytes[i] << 8) | bytes[count + i]];
    const { features, features_rest: rest, ...tensors } = Object.fromEntries(Object.entries(record.tensors).map(([name, { shape, offset }]) =>
      [name, { shape, data: numbers.subarray(offset, offset + shape.reduce((a, b) => a * b)) }]));
    const model = { ...record, weights: experiments.tree(tensors), positions: { encoder: true, decoder: true } };
    return { model, features: matrix(...features.shape, features.data.map((x, i) => x + rest.data[i])) };
  },

  /* The model that the experiment makes of this one, which stays as it is. */
  applied(model, experiment) {
    const weights = { ...model.weights }, muted = experiment.muted_heads || [], gone = experiment.muted_layers || [];
    for (const stack of ["encoder", "decoder"]) {
      const kept = weights[stack].layers.map((layer, i) => experiments.withMutedHeads(layer, `${stack}.layers.${i}`, muted,
        model.config[`${stack}_attention_heads`])).filter((_, i) => !gone.includes(`${stack}.layers.${i}`));
      weights[stack] = { ...weights[stack], layers: kept };
    }
    const dropped = experiment.dropped_positions || [];
    return { ...model, weights, positions: { encoder: !dropped.includes("encoder"), decoder: !dropped.includes("decoder") } };
  },

  /* A layer whose muted heads add nothing: the columns of out_proj that read them are zero. */
  withMutedHeads(layer, name, muted, heads) {
    const changed = { ...layer };
    for (const block of ["self_attn", "encoder_attn"].filter((block) => layer[block])) {
      const out = layer[block].out_proj, [rows, columns] = out.weight.shape, width = columns / heads;
      const quiet = Array.from({ length: heads }, (_, head) => muted.includes(`${name}.${block}/${head}`));
      const data = out.weight.data.map((value, i) => (quiet[Math.floor((i % columns) / width)] ? 0 : value));
      if (quiet.includes(true)) changed[block] = { ...layer[block], out_proj: { ...out, weight: { shape: [rows, columns], data } } };
    }
    return changed;
  },

  /* Features (T, M) with the hidden ones at 0, each bin's mean. */
  masked(features, experiment) {
    const x = matrix(features.rows, features.columns, features.data.slice());
    const [firstBin, endBin] = experiment.masked_bins || [0, 0];
    const [first, end] = (experiment.masked_seconds || [0, 0]).map((s) => Math.floor(s * FRAMES_PER_SECOND + 0.5));
    for (let t = 0; t < x.rows; t++) {
      if (first <= t && t < end) rowOf(x, t).fill(0);
      else rowOf(x, t).fill(0, firstBin, endBin);
    }
    return x;
  },

  /* The text of token ids: pieces without the special ones, "▁" a space. */
  text: (model, tokens) => tokens.filter((t) => !model.special.includes(t)).map((t) => model.pieces[t]).join("").replaceAll("▁", " ").trim(),

  answer(model, memory, experiment) {
    const set = Object.entries(experiment).filter(([name, value]) => ["num_beams", "length_penalty"].includes(name) && value != null);
    const best = search.run(model, memory, { ...model.generation, ...Object.fromEntries(set) });
    const pieces = best.tokens.slice(1).map((t) => model.pieces[t]);
    const record = { text: experiments.text(model, best.tokens), pieces, probabilities: best.logProbs.map(Math.exp), score: best.score };
    return { record, tokens: best.tokens };
  },

  /* The model, features (T, M), and the answer to them before any experiment. */
  subject(model, features) {
    const memory = encoder.encode(model, features), { record, tokens } = experiments.answer(model, memory, {});
    return { model, features, answer: record, tokens, logits: decoder.decodeFull(model, tokens.slice(0, -1), memory) };
  },

  /* Carry out an experiment. Both logits are for the same inputs, the transcript before. */
  compare(before, experiment) {
    const begun = performance.now(), model = experiments.applied(before.model, experiment);
    const memory = encoder.encode(model, experiments.masked(before.features, experiment));
    const after = experiments.answer(model, memory, experiment).record;
    const logits = decoder.decodeFull(model, before.tokens.slice(0, -1), memory);
    const steps = before.answer.pieces.map((piece, u) => {
      const [p, q] = [rowOf(before.logits, u), rowOf(logits, u)], token = before.tokens[u + 1];
      const change = p.reduce((most, logit, v) => Math.max(most, Math.abs(logit - q[v])), 0);
      return { piece, before: Math.exp(ops.logSoftmax(p)[token]), after: Math.exp(ops.logSoftmax(q)[token]), change };
    });
    const largest_change = Math.max(...steps.map((step) => step.change));
    return { before: before.answer, after, steps, largest_change, logits, seconds: (performance.now() - begun) / 1000 };
  },
};
