"""Names of transformers that are not here, and what to write instead."""

MODEL = "Speech2TextForConditionalGeneration"
NAME = '"facebook/s2t-small-librispeech-asr"'
INSTEAD = {
    "AutoProcessor": f"Speech2TextProcessor.from_pretrained({NAME})",
    "AutoFeatureExtractor": f"Speech2TextFeatureExtractor.from_pretrained({NAME})",
    "AutoTokenizer": f"Speech2TextTokenizer.from_pretrained({NAME})",
    **dict.fromkeys(
        ("AutoModel", "AutoModelForSpeechSeq2Seq", "Speech2TextModel", "Speech2TextPreTrainedModel"),
        f"{MODEL}.from_pretrained({NAME})",
    ),
    **dict.fromkeys(("AutoConfig", "Speech2TextConfig"), f"{MODEL}.from_pretrained(...).config"),
    "GenerationConfig": "model.generation_config.replace(num_beams=1), or the options of generate",
    "pipeline": f's2t_np.load({NAME}).transcribe("talk.flac").text',
    "set_seed": "generate(..., do_sample=True, seed=0)",
}


def told(name: str) -> str:
    """The words for an import of one of INSTEAD."""
    return f"transformers' {name} is not in s2t_np; write {INSTEAD[name]}"
