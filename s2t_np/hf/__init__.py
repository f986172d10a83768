"""The classes that people coming from transformers know by name; thin, all behaviour lives in the rooms below.

    from s2t_np import Speech2TextForConditionalGeneration, Speech2TextProcessor

    model = Speech2TextForConditionalGeneration.from_pretrained("facebook/s2t-small-librispeech-asr")
    processor = Speech2TextProcessor.from_pretrained("facebook/s2t-small-librispeech-asr")
    inputs = processor(array, sampling_rate=16000, return_tensors="np")
    generated_ids = model.generate(inputs.input_features, attention_mask=inputs.attention_mask)
    texts = processor.batch_decode(generated_ids, skip_special_tokens=True)

Names, arguments and results are those of transformers 5.x `models/speech_to_text`, with numpy arrays for tensors.
"""

from .feature_extractor import Speech2TextFeatureExtractor
from .model import Speech2TextForConditionalGeneration
from .processor import Speech2TextProcessor
from .tokenizer import Speech2TextTokenizer


def __getattr__(name: str):
    """Raise an ImportError that says what to write, for a name of transformers that is not here."""
    from .elsewhere import INSTEAD, told

    if name in INSTEAD:
        raise ImportError(told(name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Speech2TextFeatureExtractor",
    "Speech2TextForConditionalGeneration",
    "Speech2TextProcessor",
    "Speech2TextTokenizer",
]
