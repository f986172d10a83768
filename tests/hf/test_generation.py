"""What `generate` takes beside options, and the dict that it returns."""

from types import SimpleNamespace

import numpy as np
import pytest

import s2t_np
from s2t_np.errors import InputWarning
from s2t_np.hf import Speech2TextForConditionalGeneration
from s2t_np.ops import log_softmax

RATE = 16000
FULL = {"return_dict_in_generate": True, "output_scores": True, "output_logits": True}
LAYERS = {"output_attentions": True, "output_hidden_states": True}


@pytest.fixture(scope="module", params=["numpy", "auto"])
def either(request) -> Speech2TextForConditionalGeneration:
    return Speech2TextForConditionalGeneration.from_pretrained("digits", backend=request.param)


def singles(processor, audio):
    return [processor(x, sampling_rate=RATE, return_tensors="np") for x in audio]


@pytest.mark.parametrize("options", [{"num_beams": 1}, {"num_beams": 3, "num_return_sequences": 2}], ids=str)
def test_everything_of_a_batch_is_what_each_utterance_gives_alone(either, batch, processor, audio, options):
    together = either.generate(**batch, **options, **FULL, **LAYERS)
    rows, count = options["num_beams"], options.get("num_return_sequences", 1)
    assert len(together.scores) == len(together.logits) == len(together.decoder_attentions)
    for i, inputs in enumerate(singles(processor, audio)):
        alone = either.generate(**inputs, **options, **FULL, **LAYERS)
        assert np.array_equal(together.sequences_scores[i * count : (i + 1) * count], alone.sequences_scores)
        own = slice(i * rows, (i + 1) * rows)
        for field in ("scores", "logits"):
            for ours, expected in zip(getattr(together, field), getattr(alone, field), strict=False):
                assert np.array_equal(ours[own], expected)
            for beyond in getattr(together, field)[len(alone.scores) :]:
                assert np.isnan(beyond[own]).all()
        positions = alone.encoder_hidden_states[0].shape[1]
        assert np.array_equal(together.encoder_hidden_states[-1][i, :positions], alone.encoder_hidden_states[-1][0])
        assert not together.encoder_hidden_states[-1][i, positions:].any()
        assert np.array_equal(together.cross_attentions[0][0][own, ..., :positions], alone.cross_attentions[0][0])
    lengths = {len(either.generate(**x, **options, **FULL).scores) for x in singles(processor, audio)}
    assert len(lengths) == 2 and max(lengths) == len(together.scores)


def test_beam_indices_lead_from_each_token_to_its_score(either, batch):
    options = {"num_beams": 4, "num_return_sequences": 3, "repetition_penalty": 1.2}
    found = either.generate(**batch, **options, **FULL)
    assert found.beam_indices.shape == (6, found.sequences.shape[1] - 1)
    for ids, beams, score in zip(found.sequences, found.beam_indices, found.sequences_scores, strict=True):
        count = int((beams >= 0).sum())
        added = [found.scores[step][beams[step], ids[step + 1]] for step in range(count)]
        assert sum(added) / count == pytest.approx(score, abs=1e-5)
        assert (beams[count:] == -1).all()
    assert set(found.beam_indices[3:].ravel().tolist()) & {4, 5, 6, 7}
    assert not set(found.beam_indices[3:].ravel().tolist()) & {0, 1, 2, 3}


def test_scores_of_drawn_paths_stand_in_the_order_of_the_sequences(either, batch):
    options = {"do_sample": True, "num_beams": 1, "num_return_sequences": 4, "temperature": 4.0, "top_k": 0, "seed": 5}
    found = either.generate(**batch, **options, **FULL)
    assert len({tuple(row) for row in found.sequences[:4].tolist()}) > 1
    for i, ids in enumerate(found.sequences):
        hypothesis = found.hypotheses[i // 4][i % 4]
        for step, log_prob in enumerate(hypothesis.token_log_probs):
            assert log_softmax(found.logits[step][i])[ids[step + 1]] == pytest.approx(log_prob, abs=1e-5)
            assert found.scores[step][i] == pytest.approx(found.logits[step][i] / 4, abs=1e-5)


def test_hidden_states_are_those_of_the_encoder_and_lead_to_the_logits(either, processor, audio):
    inputs = singles(processor, audio)[0]
    found = either.generate(**inputs, **FULL, **LAYERS, num_beams=2, decoder_input_ids=[[2, 9]])
    memory = either.s2t.encode(inputs.input_features[0])
    layers = either.config.decoder_layers
    assert found.encoder_hidden_states[-1][0] == pytest.approx(memory, abs=2e-5)
    assert len(found.decoder_hidden_states[0]) == layers + 1 and len(found.cross_attentions[0]) == layers
    assert found.decoder_hidden_states[0][0].shape == (2, 2, memory.shape[1])  # both tokens of the prompt
    assert found.decoder_hidden_states[1][0].shape == (2, 1, memory.shape[1])
    heads = either.config.decoder_attention_heads
    assert found.decoder_attentions[1][0].shape == (2, heads, 1, 3)
    assert found.cross_attentions[1][0].shape == (2, heads, 1, len(memory))
    for step in (0, 1):
        for weights in (*found.decoder_attentions[step], *found.cross_attentions[step]):
            assert weights.sum(axis=-1) == pytest.approx(1, abs=1e-5)
    table = s2t_np.load("digits", backend="numpy").weights.lm_head.weight
    for states, logits in zip(found.decoder_hidden_states, found.logits, strict=True):
        assert states[-1][:, -1] @ table.T == pytest.approx(np.asarray(logits), abs=2e-4)


def test_what_is_not_asked_for_is_none_and_alone_it_is_warned_of(model, batch):
    found = model.generate(**batch, return_dict_in_generate=True)
    assert found.scores is found.logits is found.sequences_scores is found.decoder_attentions is None
    assert found.beam_indices is not None
    assert model.generate(**batch, return_dict_in_generate=True, num_beams=1).beam_indices is None
    with pytest.warns(InputWarning, match="output_scores, output_attentions: nothing is returned for it without"):
        assert model.generate(**batch, output_scores=True, output_attentions=True).ndim == 2


def test_encoder_outputs(either, batch):
    expected = either.generate(**batch)
    encoded = either.get_encoder()(**batch, **LAYERS)
    layers = either.config.encoder_layers
    assert len(encoded.hidden_states) == layers + 1 and len(encoded.attentions) == layers
    mask = batch.attention_mask
    for given in (encoded, (encoded.last_hidden_state,), dict(encoded), encoded.last_hidden_state):
        assert np.array_equal(either.generate(encoder_outputs=given, attention_mask=mask), expected)
    found = either.generate(encoder_outputs=encoded, attention_mask=mask, **FULL, **LAYERS)
    assert found.encoder_hidden_states is None and found.cross_attentions is not None
    alone = SimpleNamespace(last_hidden_state=encoded.last_hidden_state[:1])
    first = either.generate(encoder_outputs=alone)
    assert np.array_equal(first, expected[:1, : first.shape[1]])


class Streamer:
    def __init__(self):
        self.given, self.ended = [], 0

    def put(self, ids):
        self.given.append(ids.cpu().tolist())

    def end(self):
        self.ended += 1


def test_a_streamer_is_given_the_prompt_then_each_token(model, processor, audio):
    inputs, streamer = singles(processor, audio)[1], Streamer()
    ids = model.generate(**inputs, num_beams=1, streamer=streamer)
    assert streamer.given == [[[2]], *([token] for token in ids[0, 1:].tolist())]
    assert streamer.ended == 1
    drawn = Streamer()
    rows = model.generate(**inputs, do_sample=True, num_beams=1, num_return_sequences=2, top_k=1, streamer=drawn)
    assert drawn.given == [[[2], [2]], *map(list, rows.T[1:].tolist())]


def test_functions_know_the_utterance_and_the_scores(model, batch):
    asked, seen = set(), []

    def allowed(i, ids):
        asked.add(i)
        return [2] if len(ids) == 2 else [9 + i]

    def stop(ids, scores):
        seen.append((ids.shape, None if scores is None else len(scores)))
        return np.zeros(len(ids), bool)

    ids = model.generate(**batch, prefix_allowed_tokens_fn=allowed, num_beams=2)
    assert ids.tolist() == [[2, 9, 2], [2, 10, 2]]
    assert asked == {0, 1}
    model.generate(batch.input_features[:1], num_beams=1, stopping_criteria=[stop], **FULL)
    assert [count for _, count in seen] == list(range(1, len(seen) + 1))
    seen.clear()
    model.generate(batch.input_features[:1], num_beams=1, stopping_criteria=stop)
    assert {count for _, count in seen} == {None}


def test_stop_strings_read_the_tokenizer(model, batch, processor):
    for tokenizer in (processor.tokenizer, processor, processor.tokenizer.tokenizer):
        ids = model.generate(**batch, stop_strings=["zero o", "five"], tokenizer=tokenizer)
        assert processor.batch_decode(ids, skip_special_tokens=True) == ["zero one", "five"]


class TheirConfig:
    """As an object of transformers' GenerationConfig: everything that is not set is None."""

    def __init__(self, **options):
        self.options = options

    def to_dict(self):
        nothing = {"max_length": None, "num_beams": None, "temperature": None, "transformers_version": "5.24.0"}
        return nothing | {"use_cache": True, "_from_model_config": False, "num_beam_groups": 1} | self.options


def test_a_generation_config_of_any_kind(model, batch):
    expected = model.generate(**batch, num_beams=1, max_length=4)
    options = {"num_beams": 1, "max_length": 4}
    for config in (options, TheirConfig(**options), SimpleNamespace(**options)):
        assert np.array_equal(model.generate(**batch, generation_config=config), expected)
        longer = model.generate(**batch, generation_config=config, max_length=5)
        assert longer.shape[1] == 5
    full = model.generate(**batch, generation_config=TheirConfig(**options, return_dict_in_generate=True))
    assert np.array_equal(full.sequences, expected)


def test_sampling_keeps_the_beams_of_the_model(model, batch):
    assert model.generation_config.num_beams == 5
    found = model.generate(**batch, do_sample=True, seed=1, return_dict_in_generate=True)
    assert found.beam_indices.max() >= 5  # the second utterance's beams begin there
    single = model.generate(**batch, do_sample=True, seed=1, num_beams=1, return_dict_in_generate=True)
    assert single.beam_indices is None


def test_time_is_that_of_the_whole_call(model, batch):
    features = np.repeat(batch.input_features[:1], 3, axis=0)
    assert model.generate(features, np.ones(features.shape[:2]), num_beams=1, max_time=0.0).shape == (3, 2)
