/* A comparison as the page shows it: both texts, where they differ, and the text before, scored by both models. */

const answers = {
  /* The words of two texts -> for each, whether it is in their longest common subsequence. */
  common(a, b) {
    const best = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
    for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--)
      best[i][j] = a[i] === b[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
    const kept = [a.map(() => false), b.map(() => false)];
    for (let i = 0, j = 0; i < a.length && j < b.length;) {
      if (a[i] === b[j]) [kept[0][i++], kept[1][j++]] = [true, true];
      else if (best[i + 1][j] >= best[i][j + 1]) i++;
      else j++;
    }
    return kept;
  },

  words: (text) => text.split(" ").filter(Boolean),

  /* A text; words that the other one lacks are marked with `tag`. */
  text(words, kept, tag) {
    const parts = words.flatMap((word, i) => [kept[i] ? word : element(tag, {}, word), " "]);
    return element("p", { class: "heard" }, ...(parts.length ? parts : [element("em", {}, "no text")]));
  },

  card(title, answer, words, kept, tag) {
    const pieces = answer.pieces.map((piece, i) => {
      const made = element("span", { class: "option" }, piece, element("b", {}, answer.probabilities[i].toFixed(3)));
      made.style.setProperty("--share", `${100 * answer.probabilities[i]}%`);
      return made;
    });
    return element("div", { class: "answer" }, element("h4", {}, title), answers.text(words, kept, tag),
      element("div", { class: "pieces", role: "group", tabindex: "0", "aria-label": `${title}: pieces and their probabilities` }, ...pieces),
      element("p", { class: "readout" }, `score ${answer.score.toFixed(4)}`));
  },

  /* The tokens of the text before, their probabilities by both models, and how far the logits moved. */
  table(steps) {
    const bar = (p) => { const made = element("td", { class: "share" }, p.toFixed(3)); made.style.setProperty("--share", `${100 * p}%`); return made; };
    const head = element("tr", {}, ...["piece", "p before", "p now", "largest change of a logit"].map((x) => element("th", { scope: "col" }, x)));
    const rows = steps.map((s) => element("tr", {}, element("th", { scope: "row" }, s.piece), bar(s.before), bar(s.after), element("td", {}, s.change.toFixed(4))));
    return element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "The text before, token by token" },
      element("table", {}, element("caption", {}, "The text before, given to both models token by token"), head, ...rows));
  },

  /* One sentence for the eye and for the screen reader. */
  summary(done, kept) {
    const missing = kept[0].filter((x) => !x).length, added = kept[1].filter((x) => !x).length;
    const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
    const texts = missing + added ? `The text has changed: ${plural(missing, "word")} lost, ${plural(added, "word")} new.` : "The text is the same.";
    const most = done.largest_change ? `The largest change of a logit is ${done.largest_change.toFixed(3)}.` : "No logit has changed.";
    return `${texts} ${most} (${done.seconds.toFixed(2)} s)`;
  },

  show(holder, status, done) {
    const words = [done.before, done.after].map((answer) => answers.words(answer.text)), kept = answers.common(...words);
    status.replaceChildren(answers.text(words[1], kept[1], "ins"), answers.summary(done, kept));
    holder.replaceChildren(
      element("div", { class: "answers" }, answers.card("before", done.before, words[0], kept[0], "del"), answers.card("now", done.after, words[1], kept[1], "ins")),
      answers.table(done.steps));
  },
};
