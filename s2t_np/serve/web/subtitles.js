// Subtitles of segments, as formats/subtitles.py lays them out: function by function the same.
"use strict";

const subtitles = (() => {
  const WIDTH = 42, HEIGHT = 2;          // characters a line, lines a cue
  const SHORTEST_CUE = 0.1, LONGEST_PAUSE = 3, MARK_SHOWN = 3;  // seconds
  const CUT_OFF = "[...]";

  // The words of a segment with their times; where these are unknown, each gets its characters' share of the time.
  function timedWords(segment) {
    const cut = segment.flags.includes("unfinished");
    if (segment.words?.length) {
      const known = segment.words.map(({ word, start, end }) => ({ text: word.trim(), start, end }));
      return cut ? [...known, { text: CUT_OFF, start: segment.end, end: segment.end }] : known;
    }
    const words = segment.text.split(/\s+/).filter(Boolean);
    const pace = (segment.end - segment.start) / Math.max(1, words.reduce((sum, word) => sum + word.length + 1, 0));
    let at = 0;                          // characters
    return words.map((text) => ({ text, start: segment.start + at * pace, end: segment.start + (at += text.length + 1) * pace }));
  }

  // The words, divided at long pauses.
  function phrases(words) {
    const found = [[]];
    words.forEach((word, i) => {
      if (i && word.start - words[i - 1].end > LONGEST_PAUSE) found.push([]);
      found.at(-1).push(word);
    });
    return found;
  }

  // Words in lines of at most `width` characters, each as full as it can be; a longer word has its own line.
  function wrap(words, width) {
    const lines = [];
    let left = -1;
    for (const word of words) {
      left -= 1 + word.text.length;
      if (left < 0 || !lines.length) {
        lines.push([]);
        left = width - word.text.length;
      }
      lines.at(-1).push(word);
    }
    return lines;
  }

  // The lines of each cue: as few lines as the width allows, and those as narrow as they can be.
  function balanced(words) {
    const fewest = wrap(words, WIDTH).length;
    let low = 0, high = WIDTH;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (wrap(words, middle).length > fewest) low = middle + 1;
      else high = middle;
    }
    const lines = wrap(words, low);
    return Array.from({ length: Math.ceil(lines.length / HEIGHT) }, (_, i) => lines.slice(HEIGHT * i, HEIGHT * (i + 1)));
  }

  // Cues of all segments, which follow each other in time.
  function cues(segments) {
    let ended = 0;
    const found = segments.flatMap((segment) => phrases(timedWords(segment)).flatMap((phrase) => (phrase.length ? balanced(phrase) : [])));
    return found.map((lines) => {
      const start = Math.max(ended, lines[0][0].start);
      ended = Math.max(lines.at(-1).at(-1).end, start + SHORTEST_CUE);
      const text = lines.map((line) => line.map((word) => word.text).join(" ")).join("\n").replaceAll("-->", "->");
      return { start, end: ended, text };
    });
  }

  function stamp(seconds, mark, hours) {
    const ms = Math.round(1000 * seconds.toFixed(3)), h = Math.floor(ms / 3600000);
    const pad = (n, width) => String(n).padStart(width, "0");
    const rest = `${pad(Math.floor(ms / 60000) % 60, 2)}:${pad(Math.floor(ms / 1000) % 60, 2)}${mark}${pad(ms % 1000, 3)}`;
    return hours || h ? `${pad(h, 2)}:${rest}` : rest;
  }

  const cueText = (cue, mark, hours) => `${stamp(cue.start, mark, hours)} --> ${stamp(cue.end, mark, hours)}\n${cue.text}\n\n`;
  const markOf = (incomplete) => `[incomplete: ${incomplete.reason.split(/\s+/).join(" ")}]`.replaceAll("-->", "->");

  // `incomplete`: { at, reason } of a recording that breaks off, else null.
  function srt(segments, incomplete) {
    const all = cues(segments), start = Math.max(all.at(-1)?.end ?? 0, incomplete?.at ?? 0);
    if (incomplete) all.push({ start, end: Math.max(incomplete.at + MARK_SHOWN, start + SHORTEST_CUE), text: markOf(incomplete) });
    return all.map((cue, i) => `${i + 1}\n${cueText(cue, ",", true)}`).join("");
  }

  function vtt(segments, incomplete) {
    const note = incomplete ? `NOTE ${markOf(incomplete)}\n\n` : "";
    return `WEBVTT\n\n${cues(segments).map((cue) => cueText(cue, ".", false)).join("")}${note}`;
  }

  return { srt, vtt };
})();
