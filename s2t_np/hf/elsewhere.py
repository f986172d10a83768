"""Names of transformers that are not here, and what to write instead: classes, and attributes of those that are."""

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
WEIGHTS = "s2t_np.checkpoint.read_tensors(model.s2t.folder), a dict of arrays"
TRAINING = "`s2t-np train`: this class is for inference"
ATTRIBUTES = {
    **dict.fromkeys(("parameters", "named_parameters", "state_dict"), WEIGHTS),
    **dict.fromkeys(("modules", "named_modules", "children", "model", "lm_head", "get_decoder"), "model.s2t.weights"),
    **dict.fromkeys(("get_input_embeddings", "get_output_embeddings"), "model.s2t.weights"),
    **dict.fromkeys(("load_state_dict", "resize_token_embeddings"), "from_pretrained(folder): it reads the weights"),
    **dict.fromkeys(("zero_grad", "gradient_checkpointing_enable", "freeze_feature_encoder"), TRAINING),
    **dict.fromkeys(("compile", "tie_weights"), "nothing: from_pretrained has done all of it"),
    "register_forward_hook": "generate(..., output_hidden_states=True, return_dict_in_generate=True), or s2t_np.trace",
    "double": 'from_pretrained(..., backend="numpy", dtype="float64")',
    "push_to_hub": "save_pretrained(folder), and upload the folder with huggingface_hub",
    "as_target_processor": "processor(text=texts).input_ids",
    "current_processor": "processor.feature_extractor or processor.tokenizer",
    "pad": "processor.feature_extractor.pad(...) or processor.tokenizer.pad(...)",
}


def no_attribute(owner: object, name: str) -> AttributeError:
    """The error for an attribute that an object does not have."""
    kind = type(owner).__name__
    instead = f"; write {ATTRIBUTES[name]}" if name in ATTRIBUTES else ""
    return AttributeError(f"{kind!r} object has no attribute {name!r}{instead}", name=name, obj=owner)


def told(name: str) -> str:
    """The words for an import of one of INSTEAD."""
    return f"transformers' {name} is not in s2t_np; write {INSTEAD[name]}"
