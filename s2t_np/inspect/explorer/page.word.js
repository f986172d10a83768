/* ---- where a word came from: attention in every head, alternatives, its path in the tree, the gradient on the sound ---- */

/* The attention of one token in every head of every layer, a row each, as an array; `cellOf` leads back to the weight. */
function attentionOfToken(layers, token) {
  const first = lookup(layers[0][0]), r = token + first.rows - data.tokens.length, keys = layers.flat();
  const made = forDrawing({ key: "attn_weights of a token", rows: keys.length, columns: first.columns, exact: true, at: (row, c) => lookup(keys[row]).at(r, c) });
  const heads = layers[0].length;
  return Object.assign(made, { cellOf: (row, c) => ({ key: keys[row], r, c }), nameOf: (row) => `layer ${Math.floor(row / heads)}, head ${row % heads}` });
}

/* Ticks at the first head of every layer, where a row is a head. */
const headAxis = (layers) => ({ name: "layer", ticks: layers.map((_, i) => [(i + 0.5 / layers[0].length) / layers.length, String(i)]) });

/* The attention weights among the carried arrays that match a pattern, layer by layer. */
function headsOf(pattern) {
  return grouped(Object.keys(data.arrays).filter((key) => pattern.test(key)));
}

/* Every candidate on the way to a token, in the words of the search. */
function pathToToken(token) {
  const chosen = chosenCandidate(token + 1);
  if (!chosen) return [];
  return treePath(...chosen).map(([s, i]) => {
    const c = data.tree.steps[s][i], rank = data.tree.steps[s].filter((other) => other.score > c.score).length + 1;
    return element("li", {}, `${c.piece}: log-probability ${c.log_prob.toFixed(3)}, score ${c.score.toFixed(3)}, place ${rank} of ${data.tree.steps[s].length}; ${c.outcome}`);
  });
}

function alternativesOfToken(token) {
  const row = token + data.inputs.length - data.tokens.length;
  return data.alternatives[token].map((option) => {
    const made = element("button", { type: "button", class: option.chosen ? "option chosen" : "option", onclick: () => followCell({ key: "log_probs", r: row, c: option.id }, { fresh: true }) },
      option.piece, element("b", {}, option.probability.toFixed(3)));
    made.style.setProperty("--share", `${100 * option.probability}%`);
    return made;
  });
}

/* One picture of the panel: a title, a sentence, and what shows an array. */
function originPicture(holder, view, text, height, describe) {
  const part = element("div", {}, element("h4", {}, view.title), element("p", {}, text));
  holder.append(part);
  return picture(view, part, height, describe);
}

/* The picture of the gradient: a function that shows that of a word. A server computes it when it is asked to, the first
   time by a button, from then on with every word. */
function gradientPicture(holder) {
  const part = originPicture(holder, { title: "The gradient on the log-mel features", rows: "frame", columns: "mel bin", seconds: 0.01 },
    "Which part of the sound mattered: where it is red, more energy would have made the word less likely, where blue, likelier.", "13rem",
    (a, r, c) => `frame ${r} (${(r / 100).toFixed(2)} s), mel bin ${c}${hertzOf("mel bin", c, a.columns)}: ${shown(a.at(r, c), a)}`);
  follow(part.frame, data.shapes["features.cmvn"][0] * 0.01);
  const start = element("button", { type: "button" }, "Compute it for this word");
  let word = 0, begun = !isAsking, computing = new AbortController();
  const show = async () => {
    const key = `gradient:${word}`;
    computing.abort();
    computing = new AbortController();
    if (!(key in data.arrays)) {
      part.say("Computing …");
      try {
        await keep(await ask("gradient", { word }, computing.signal));
      } catch (error) {
        if (error.name !== "AbortError") part.say(`The server gave no gradient: ${error.message}.`);
        return;
      }
    }
    if (key === `gradient:${word}`) part.show(lookup(key), { signed: true, across: true });
  };
  start.addEventListener("click", () => { begun = true; start.remove(); part.whole.hidden = false; part.canvas.focus(); show(); });
  if (!begun) {
    part.whole.hidden = true;
    part.whole.before(start);
  }
  return (chosen) => {
    word = chosen;
    if (begun) show();
  };
}

Object.assign(VIEWS, {
  origin(view, holder) {
    const sound = headsOf(/^decoder\..*encoder_attn\.attn_weights/), before = headsOf(/^decoder\..*self_attn\.attn_weights/), words = data.words;
    const list = element("div", { class: "words", role: "group", "aria-label": "Words" }), title = element("h4", {}), parts = element("div", { class: "origin" });
    holder.append(element("p", {}, "Choose a word. Everything below is about it."), list);
    let word = 0, piece = 0;
    const pieces = select("piece", [], (i) => { piece = i; draw(); }), options = pieces.querySelector("select");
    const choicesBox = element("div", { class: "columns" }), path = element("ol", {});
    holder.append(element("div", { class: "controls" }, title, pieces), parts);
    const told = (a, r, c, what) => `${a.nameOf(r)} to ${what}: ${shown(a.at(r, c), a)}`;
    const drawn = sound.length ? [
      originPicture(parts, { title: "Attention to the sound, every head of every layer", rows: "head", columns: "position", seconds: data.position_seconds, rowAxis: headAxis(sound) }, "A row is a head; the last layer is at the bottom. Choose a cell to follow its weight.",
        `${Math.max(5, Math.min(16, sound.flat().length * 0.7))}rem`, (a, r, c) => told(a, r, c, positionName(c))),
      originPicture(parts, { title: "Attention to the text before it", rows: "head", columns: "attends to", seconds: 0, rowAxis: headAxis(before) }, "Which of the tokens so far each head looked at.",
        `${Math.max(5, Math.min(16, sound.flat().length * 0.7))}rem`, (a, r, c) => told(a, r, c, inputName(c))),
    ] : [];
    if (drawn.length) stretches.push(drawn[0].frame);
    parts.append(element("div", {}, element("h4", {}, "Its alternatives"), choicesBox), element("div", {}, element("h4", {}, "Its path through the tree of beams"), path));
    const gradient = data.gradients ? gradientPicture(parts) : null;
    if (!gradient) parts.append(element("p", {}, isAsking ? "A network of this kind has no gradients here."
      : "This page was written without gradients, since they take long for so many words: s2t-np explore computes them one by one."));
    const buttons = words.map((group, i) => element("button", { type: "button", "aria-pressed": "false", onclick: () => { word = i; fill(); draw(); } }, group.text));
    list.append(...buttons);
    const fill = () => {
      piece = 0;
      options.replaceChildren(...words[word].tokens.map((t, i) => element("option", { value: String(i) }, data.tokens[t].piece)));
      pieces.hidden = words[word].tokens.length < 2;
    };
    const draw = () => {
      const token = words[word].tokens[piece], heardWord = heardWords()[word];
      buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === word)));
      title.textContent = `${words[word].text}: probability ${words[word].tokens.reduce((p, t) => p * data.tokens[t].probability, 1).toFixed(3)}`;
      if (drawn.length) [sound, before].forEach((layers, i) => drawn[i].show(attentionOfToken(layers, token), { signed: false, across: false }));
      if (heardWord) listenedTo([heardWord.from, heardWord.to]);
      choicesBox.replaceChildren(element("div", {}, ...alternativesOfToken(token)));
      path.replaceChildren(...pathToToken(token));
      if (gradient) gradient(word);
    };
    if (!words.length) return;
    fill();
    draw();
    listenedTo(null);
  },
});
