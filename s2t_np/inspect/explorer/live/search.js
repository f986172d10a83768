/* Greedy and beam search: the twins of s2t_np/search/greedy.py and beam.py, whose rules are those of transformers 5.

   A hypothesis is { tokens, logProbs, score }: start token first, EOS at the end unless max_length cut it off; `logProbs` has
   the log-probability of every generated token. `options` holds num_beams, length_penalty, early_stopping, max_length,
   eos_token_id and decoder_start_token_id. */

const search = {
  run: (model, memory, options) => (options.num_beams === 1 ? search.greedy : search.beams)(model, memory, options),

  /* At every position the best token, of equal ones the one with the lowest id, until the text ends. */
  greedy(model, memory, options) {
    const cache = decoder.startCache(model, memory, 1), tokens = [options.decoder_start_token_id], logProbs = [];
    while (tokens.length < options.max_length) {
      const next = ops.logSoftmax(rowOf(decoder.step(model, tokens.slice(-1), cache), 0));
      const best = next.indexOf(Math.max(...next));
      tokens.push(best);
      logProbs.push(next[best]);
      if (best === options.eos_token_id) break;
    }
    return { tokens, logProbs, score: logProbs.reduce((a, b) => a + b) / logProbs.length ** options.length_penalty };
  },

  /* K beginnings side by side: a step extends each by every token, ranks the K · V results, and lets the best K live on. One
     that ends leaves the race; there longer ones compete with shorter ones, so its sum is divided by length^penalty. */
  beams(model, memory, options) {
    const K = options.num_beams, cache = decoder.startCache(model, memory, K), start = options.decoder_start_token_id;
    let beams = Array.from({ length: K }, (_, k) => ({ tokens: [start], logProbs: [], score: k ? -Infinity : 0 }));
    let finished = [];
    for (;;) {
      const logits = decoder.step(model, beams.map((beam) => beam.tokens.at(-1)), cache);
      const candidates = search.extend(beams, logits, 2 * K);
      const ends = (c) => c.tokens.at(-1) === options.eos_token_id || c.tokens.length === options.max_length;
      const ended = candidates.slice(0, K).filter((c) => ends(c) && c.score > -Infinity);
      finished = [...finished, ...ended.map((c) => ({ ...c, score: search.normalised(c.score, c.logProbs.length, options) }))]
        .sort((a, b) => b.score - a.score).slice(0, K);
      const running = candidates.filter((c) => !ends(c)).slice(0, K);
      beams = [...running, ...candidates.filter(ends).map((c) => ({ ...c, score: -Infinity }))].slice(0, K);
      if (search.isOver(beams, finished, options)) return finished[0];
      decoder.reorder(cache, beams.map((beam) => beam.parent));
    }
  },

  /* The `count` best of the K · V ways to add a token, best first; of equals the lower beam and then the lower id. */
  extend(beams, logits, count) {
    const every = [];
    beams.forEach((beam, parent) => ops.logSoftmax(rowOf(logits, parent)).forEach((logProb, token) =>
      every.push({ parent, token, logProb, score: Math.fround(logProb + beam.score) })));
    return every.sort((a, b) => (b.score > a.score) - (b.score < a.score)).slice(0, count).map(({ parent, token, logProb, score }) => ({
      parent, score, tokens: [...beams[parent].tokens, token], logProbs: [...beams[parent].logProbs, logProb] }));
  },

  normalised: (score, count, options) => Math.fround(score / Math.fround(count ** options.length_penalty)),

  /* Stop when nothing runs any more, or when K have finished and the best running beam looks unable to displace the worst. */
  isOver(beams, finished, options) {
    if (beams[0].score === -Infinity) return true;
    if (finished.length < options.num_beams) return false;
    if (options.early_stopping === true) return true;
    const longest = options.early_stopping === "never" && options.length_penalty > 0;
    const count = (longest ? options.max_length : beams[0].tokens.length) - 1;
    return search.normalised(beams[0].score, count, options) <= finished.at(-1).score;
  },
};
