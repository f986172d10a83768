/* Who computes: this page or the server that sent it. Both are functions, experiment -> promise of a comparison. */

const computers = {
  /* A function message -> promise of its result: a worker, or this thread where there can be none. */
  thread() {
    try {
      const source = `${$("live-program").textContent}\nlive.listen();`;
      const made = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
      return computers.correspondence(made);
    } catch (error) {
      return (message) => new Promise((resolve) => { setTimeout(() => resolve(worker.answer(message)), 30); });
    }
  },

  correspondence(made) {
    const waiting = new Map();
    let last = 0, dead = null;
    const end = (id, settle) => { const found = waiting.get(id); waiting.delete(id); if (found) settle(found); };
    made.onmessage = ({ data: { id, result, error } }) => end(id, ([resolve, reject]) => (error ? reject(new Error(error)) : resolve(result)));
    made.onerror = () => {                 // it never began, as where a policy forbids it: this thread takes over
      dead = (message) => Promise.resolve(worker.answer(message));
      for (const [id, [resolve, , message]] of waiting) end(id, () => resolve(dead(message)));
    };
    return (message) => (dead ? dead(message) : new Promise((resolve, reject) => {
      last += 1;
      waiting.set(last, [resolve, reject, message]);
      made.postMessage({ id: last, ...message });
    }));
  },

  /* This page: the weights are unpacked when the first experiment asks for them. */
  page(record) {
    const ask = computers.thread();
    let ready = null;
    return async (experiment) => {
      ready ??= unpack($("live-block").textContent).then((bytes) => ask({ record, bytes }));
      await ready;
      return ask({ experiment });
    };
  },

  /* The server: the same description there, the same comparison back. */
  server() {
    let last = new AbortController();
    return (experiment) => {
      last.abort();                      // no one waits for the answer before
      last = new AbortController();
      return ask("experiment", experiment, last.signal);
    };
  },
};
