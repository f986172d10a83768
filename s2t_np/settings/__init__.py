"""The options of a model and of a search as frozen dataclasses, and the rules for what each field may hold.

`fields` has the rules. `generation_config` is generation_config.json, with transformers' names; `generation_refusals`
says of every option of transformers' that this search does not have why not. `architecture` holds the flags by which
a network of fairseq's may differ from the released models. The sizes of a model and of its features, which a reader
of the model needs, are in config.py beside the model.
"""
