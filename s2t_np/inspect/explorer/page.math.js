/* ---- formulas: a small part of TeX's notation -> MathML, which browsers typeset by themselves ----

   x_n x^2 x_n^2   {grouped}   \frac{a}{b}   \sqrt{x}   \overline{x}   \sum_k \prod_k   \text{words}   \operatorname{softmax}
   \ln \log \cos \sin \exp \max \min \mel   \quad a gap;  letters, numbers and signs stand for themselves. */

const MATH = "http://www.w3.org/1998/Math/MathML";
const FENCES = { "(": ")", "⌊": "⌋", "⌈": "⌉", "|": "|" };
const FUNCTIONS = ["ln", "log", "cos", "sin", "exp", "max", "min", "mel"];

function node(name, ...children) {
  const made = document.createElementNS(MATH, name);
  made.append(...children);
  return made;
}

/* The <math> of a formula; `spoken`: what a screen reader says, if it is not the formula as written. */
function math(text, spoken = plainMath(text)) {
  const tokens = text.match(/\\[a-z]+|\d+(?:[.,]\d+)*(?:e[+-]?\d+)?|\s+|./giu).filter((token) => token.trim());
  const made = node("math", mathRow(tokens, { at: 0 }));
  made.setAttribute("displaystyle", "true");
  made.setAttribute("aria-label", spoken);
  return made;
}

const plainMath = (text) => text.replace(/\\quad/g, " ").replace(/\\frac\{([^{}]*)\}\{([^{}]*)\}/g, "($1) / ($2)").replace(/\\(text|operatorname|overline)/g, "").replace(/[\\{}]/g, "");

function mathRow(tokens, place, end = null) {
  const row = node("mrow");
  while (place.at < tokens.length && tokens[place.at] !== end) row.append(withScripts(tokens, place));
  place.at += 1;
  return row;
}

/* One part with its sub- and superscript, which stand under and over a sum. */
function withScripts(tokens, place) {
  const wide = /^\\(sum|prod)$/.test(tokens[place.at]), named = FUNCTIONS.includes(tokens[place.at].slice(1)), base = mathAtom(tokens, place), scripts = {};
  while (["_", "^"].includes(tokens[place.at])) {
    const sign = tokens[place.at++];
    scripts[sign] = mathAtom(tokens, place);
  }
  const { _: sub, "^": sup } = scripts, made = scripted(wide, base, sub, sup);
  return named ? node("mrow", thin(), made, thin()) : made;
}

const gap = (width) => {
  const made = node("mspace");
  made.setAttribute("width", width);
  return made;
};
const thin = () => gap("0.17em");        // around the name of a function

function scripted(wide, base, sub, sup) {
  if (sub && sup) return node(wide ? "munderover" : "msubsup", base, sub, sup);
  if (sub) return node(wide ? "munder" : "msub", base, sub);
  return sup ? node("msup", base, sup) : base;
}

function mathAtom(tokens, place) {
  const token = tokens[place.at++];
  if (token === "{") return mathRow(tokens, place, "}");
  if (token in FENCES) return fenced(token, mathRow(tokens, place, FENCES[token]));
  if (token.startsWith("\\")) return mathCommand(token.slice(1), tokens, place);
  if (/^\d/.test(token)) return node("mn", token);
  return /^\p{L}/u.test(token) ? node("mi", token) : mathSign(token, tokens[place.at - 2]);
}

/* Parentheses and what they hold: a part of its own, so that they grow with it, and not with their neighbours. */
function fenced(open, inside) {
  const tall = inside.querySelector("mfrac, munder, munderover") !== null, sides = [open, FENCES[open]].map((sign) => node("mo", sign));
  sides.forEach((side, i) => {
    for (const [name, value] of [["form", i ? "postfix" : "prefix"], ["stretchy", "true"], ["lspace", "0"], ["rspace", "0"]]) side.setAttribute(name, value);
    if (tall) side.setAttribute("class", "tall");
  });
  return node("mrow", sides[0], inside, sides[1]);
}

/* Without a font for formulas, browsers leave parentheses as low as letters; the style then stretches the tall ones. */
function checkFences() {
  const [low, tall] = ["(a)", "(\\frac{a}{b})"].map((text) => math(text));
  document.body.append(low, tall);
  const height = (formula) => formula.querySelector("mo").getBoundingClientRect().height;
  document.documentElement.classList.toggle("no-math-font", height(tall) < 1.2 * height(low));
  low.remove();
  tall.remove();
}

/* A sign; a minus that stands alone before a number has no gap after it. */
function mathSign(token, before) {
  const made = node("mo", token === "-" ? "−" : token);
  if (token === "-" && (before === undefined || "({^".includes(before))) ["lspace", "rspace"].forEach((side) => made.setAttribute(side, "0"));
  return made;
}

function mathCommand(name, tokens, place) {
  if (name === "frac") return node("mfrac", mathAtom(tokens, place), mathAtom(tokens, place));
  if (name === "sqrt") return node("msqrt", mathAtom(tokens, place));
  if (name === "overline") return node("mover", mathAtom(tokens, place), node("mo", "¯"));
  if (name === "sum") return node("mo", "∑");
  if (name === "prod") return node("mo", "∏");
  if (name === "text" || name === "operatorname") return node(name === "text" ? "mtext" : "mi", mathWords(tokens, place));
  if (FUNCTIONS.includes(name)) return node("mi", name);
  return gap("1.2em");
}

/* The words between braces; spaces between them are gone with the tokens, so ~ stands for one. */
function mathWords(tokens, place) {
  let words = "";
  for (place.at += 1; tokens[place.at] !== "}"; place.at += 1) words += tokens[place.at] === "~" ? " " : tokens[place.at];
  place.at += 1;
  return words;
}
