/* The computing half, in a thread of its own where the browser allows it, so that the page can be used meanwhile. It is told a
   model once, { record, bytes }, and then experiments; every message { id, ... } gets an answer { id, result } or { id, error }. */

const worker = {
  subject: null,

  answer(message) {
    if (message.record) {
      const { model, features } = experiments.unpacked(message.record, new Uint8Array(message.bytes));
      worker.subject = experiments.subject(model, features);
      return worker.subject.answer;
    }
    const { logits, ...record } = experiments.compare(worker.subject, message.experiment);
    return record;
  },

  listen() {
    self.onmessage = ({ data: message }) => {
      try {
        self.postMessage({ id: message.id, result: worker.answer(message) });
      } catch (error) {
        self.postMessage({ id: message.id, error: error.message });
      }
    };
  },
};
