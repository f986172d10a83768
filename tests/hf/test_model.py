"""Generation, logits and loss of batches."""

import numpy as np
import pytest

import s2t_np
from s2t_np.errors import InputWarning, OptionError
from s2t_np.hf import Speech2TextForConditionalGeneration

RATE = 16000
NAMES = {"synthetic-zero-one-four-two": "zero one four two", "five-five": "five five"}


def test_a_result_does_not_depend_on_its_neighbours(model, batch, processor, audio):
    together = model.generate(**batch, num_return_sequences=3, return_dict_in_generate=True, output_scores=True)
    assert together.sequences.dtype == np.int64
    for i, samples in enumerate(audio):
        inputs = processor(samples, sampling_rate=RATE, return_tensors="np")
        alone = model.generate(**inputs, num_return_sequences=3, return_dict_in_generate=True, output_scores=True)
        rows = together.sequences[3 * i : 3 * i + 3]
        assert np.array_equal(rows[:, : alone.sequences.shape[1]], alone.sequences)
        assert (rows[:, alone.sequences.shape[1] :] == model.config.pad_token_id).all()
        assert np.array_equal(together.sequences_scores[3 * i : 3 * i + 3], alone.sequences_scores)


def test_upstreams_padded_numbers_on_request(model, batch):
    s2t, ids = s2t_np.load("digits"), [[2, 5], [2, 5]]
    own, theirs = (model(**batch, decoder_input_ids=ids, padded_as_upstream=flag).logits for flag in (False, True))
    assert np.array_equal(own[0], theirs[0]) and not np.array_equal(own[1], theirs[1])
    frames = batch.attention_mask[1].sum()
    memory = s2t.encode(batch.input_features[1, :frames], padded_length=batch.input_features.shape[1])
    assert np.array_equal(theirs[1], s2t.logits(memory, [2, 5]))


def test_generate_takes_features_by_any_name_and_as_a_list(model, batch, processor, audio):
    expected = model.generate(**batch)
    assert np.array_equal(model.generate(inputs=batch.input_features, attention_mask=batch.attention_mask), expected)
    assert np.array_equal(model.generate(batch.input_features, batch.attention_mask), expected)
    assert np.array_equal(model.generate(processor(audio, sampling_rate=RATE).input_features), expected)


def test_prompts_and_options(model, batch):
    for prompt in ([[2, 9], [2, 9]], [[9], [9]]):
        rows = model.generate(**batch, decoder_input_ids=np.array(prompt), max_new_tokens=2)
        assert rows.shape == (2, 4) and rows[:, :2].tolist() == [[2, 9], [2, 9]]
    options = model.generation_config.replace(num_beams=1, forced_bos_token_id=7)
    assert (model.generate(**batch, generation_config=options)[:, 1] == 7).all()
    other = Speech2TextForConditionalGeneration(model.s2t)
    other.generation_config = options
    assert (other.generate(**batch)[:, 1] == 7).all()
    drawn = [model.generate(**batch, do_sample=True, num_beams=1, temperature=3.0, seed=s) for s in (1, 1, 2)]
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])


def test_rows_without_a_hypothesis_are_filled_up(model, batch):
    allowed = {"suppress_tokens": [i for i in range(30) if i != 5], "max_new_tokens": 1, "num_beams": 3}
    more = {"num_return_sequences": 3, "return_dict_in_generate": True, "output_scores": True}
    found = model.generate(**batch, **allowed, **more)
    assert found.sequences.tolist() == 2 * [[2, 5], [2, 1], [2, 1]]
    assert found.sequences_scores[1] == -1e9 and [len(row) for row in found.hypotheses] == [3, 3]


def test_loss_is_the_cross_entropy_of_score(model, processor, audio):
    for samples, text in zip(audio, NAMES.values(), strict=True):
        inputs = processor(samples, text=text, sampling_rate=RATE, return_tensors="np")
        expected = s2t_np.load("digits").score(samples, text, RATE).cross_entropy
        assert model(**inputs).loss.item() == pytest.approx(expected, rel=1e-5)


def test_loss_leaves_out_minus_100(model, batch):
    labels = np.array([[10, 8, 9, 2], [5, 5, 2, -100]])
    both = model(**batch, labels=labels)
    assert both.logits.shape == (2, 4, 30)
    parts = [
        model(batch.input_features[i : i + 1], batch.attention_mask[i : i + 1], labels=labels[i : i + 1, :n]).loss * n
        for i, n in enumerate((4, 3))
    ]
    assert both.loss == pytest.approx(sum(parts) / 7, rel=1e-5)


# ---- arguments written for torch


NEUTRAL = {
    "use_cache": True,
    "output_attentions": False,
    "output_hidden_states": False,
    "synced_gpus": False,
    "assistant_model": None,
    "logits_processor": [],
    "num_beam_groups": 1,
    "num_beams": np.int64(5),
    "length_penalty": np.float32(1.0),
}


def test_arguments_that_ask_for_nothing(model, batch):
    assert np.array_equal(model.generate(**batch, **NEUTRAL), model.generate(**batch, num_beams=5))
    plain = model(**batch, labels=[[5, 2], [5, 2]])
    assert np.array_equal(
        model(**batch, labels=[[5, 2], [5, 2]], use_cache=False, return_dict=True).logits, plain.logits
    )


class Tensor:
    """Anything with `__array__`, as a torch tensor on the CPU has it."""

    def __init__(self, array, error=None):
        self.array, self.error = array, error

    def __array__(self, dtype=None, copy=None):
        if self.error:
            raise self.error
        return np.asarray(self.array, dtype)

    def __len__(self):
        return len(self.array)

    def __getitem__(self, index):
        return self.array[index]

    @property
    def ndim(self):
        return self.array.ndim

    @property
    def shape(self):
        return self.array.shape


def test_tensors_are_taken_as_arrays(model, batch, processor, audio):
    features, mask = Tensor(batch.input_features), Tensor(batch.attention_mask)
    expected = model.generate(**batch)
    assert np.array_equal(model.generate(features, attention_mask=mask), expected)
    rows = [Tensor(row) for row in batch.input_features]
    assert np.array_equal(model.generate(rows, [Tensor(row) for row in batch.attention_mask]), expected)
    assert processor.batch_decode(Tensor(expected)) == processor.batch_decode(expected)
    labels = np.array([[5, 2], [5, 2]])
    assert model(**batch, labels=Tensor(labels)).loss == model(**batch, labels=labels).loss
    one = processor(Tensor(audio[0]), sampling_rate=RATE, return_tensors="np").input_features
    assert np.array_equal(one[0], batch.input_features[0][: len(one[0])])
    same = Tensor(np.stack([x[:8000] for x in audio]))
    assert processor(same, sampling_rate=RATE, return_tensors="np").input_features.shape[0] == 2
    with pytest.raises(OptionError, match=r"a Tensor cannot be taken as an array .*use Tensor\.cpu"):
        model.generate(Tensor(batch.input_features, TypeError("can't convert cuda:0, use Tensor.cpu() first")))


def test_methods_of_torch(model, batch):
    with pytest.warns(InputWarning, match="computes on the CPU"):
        assert model.cuda() is model
    with pytest.warns(InputWarning, match=r"half\(\) changes nothing"):
        assert model.half() is model
    with pytest.warns(InputWarning, match=r"train\(\) changes nothing"):
        assert model.train() is model
    features = batch.input_features
    assert model.cpu().float().requires_grad_(False).train(False).eval() is model
    assert features.cpu().detach().float() is features and type(features.numpy()) is np.ndarray
    assert model.num_parameters() == 2_254_464 and model.can_generate()


@pytest.mark.parametrize("kind", [bool, np.float32])
def test_masks_of_any_type(model, batch, kind):
    assert np.array_equal(
        model.generate(batch.input_features, batch.attention_mask.astype(kind)), model.generate(**batch)
    )


def test_a_missing_mask_is_warned_of(model, batch, processor, audio, recwarn):
    model.generate(batch.input_features[:1])
    model.generate(processor(audio, sampling_rate=RATE).input_features)  # lists, nothing padded
    assert not [w for w in recwarn if "attention_mask" in str(w.message)]
    with pytest.warns(InputWarning, match="pass attention_mask: without it the padding"):
        model.generate(batch.input_features)
