/* ---- what a page asks of the server that sent it: numbers that it does not carry, and gradients ---- */

const isAsking = data.asked !== null;   // otherwise the page is a file, and has what it has
let missed = null;                      // while it is a set, `lookup` and `weightOperand` note what is not here, or not exact

/* The answer to a question, see questions.py. */
async function ask(question, what, signal) {
  const sent = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(what), signal };
  const answer = await fetch(data.asked + question, sent).catch((error) => {
    throw error.name === "AbortError" ? error : new Error("the server has ended, or cannot be reached");
  });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error.message || found.error);
  return found;
}

/* Put arrays that have arrived beside those that the page carries, in their place where it has them in steps only. */
async function keep(found) {
  const from = await unpack(found.block);
  for (const [key, about] of Object.entries(found.arrays)) {
    data.arrays[key] = { ...about, from };
    arrays.delete(key);
  }
  derivedKept.clear();
}

/* The keys of the arrays that `use` looks up in vain. */
function missing(use) {
  if (!isAsking) return [];
  missed = new Set();
  try {
    use();
    return [...missed];
  } finally {
    missed = null;
  }
}

/* Fetch what `use` lacks. A number leads to others: a score to queries and keys, so there may be a second round. */
async function fetchFor(use, signal) {
  let asked = [];
  for (let keys = missing(use); keys.length && keys.some((key) => !asked.includes(key)); keys = missing(use)) {
    asked = [...asked, ...keys];
    for (let i = 0; i < keys.length; i += 64) await keep(await ask("numbers", { keys: keys.slice(i, i + 64) }, signal));
  }
  return asked.length > 0;
}

const isStage = (key) => key.split("/")[0] in data.shapes;
