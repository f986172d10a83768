"""Loading and saving of each class: from a checkpoint folder, by name, and back."""

import os
import warnings
from pathlib import Path
from typing import Self

from ..checkpoint import hub
from ..errors import InputWarning, OptionError
from .elsewhere import no_attribute

# Arguments of upstream's from_pretrained that choose what is the same here, and their values that ask for nothing else.
ALREADY_SO = {
    "device_map": (None, "auto", "cpu"),
    "low_cpu_mem_usage": (None, True, False),
    "use_safetensors": (None, True, False),
    "trust_remote_code": (None, False),
    "attn_implementation": (None, "eager", "sdpa"),
    "ignore_mismatched_sizes": (None, False),
    "output_loading_info": (None, False),
    "weights_only": (None, True),
    "proxies": (None, {}),
    "max_memory": (None,),
    "offload_folder": (None,),
    "use_fast": (None, True, False),
    "mirror": (None,),
    "resume_download": (None, True, False),
    "_from_auto": (None, True, False),
    "_commit_hash": (None,),
}


class Pretrained:
    """`from_pretrained` and `save_pretrained`; a child reads and writes its own files of a folder."""

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike, *, revision: str | None = None, **options
    ) -> Self:
        """Load from "digits" (bundled), a folder, or a hub id.

        revision: a branch, tag or commit of a hub id. Other `options`: cache_dir, local_files_only, force_download and
        token say how to find it; subfolder is a folder below; other arguments of upstream's are accepted, with an
        InputWarning where they ask for something that does not exist here; the rest replace settings of the files.
        Raises ModelError (HubError where the model cannot be had), OptionError.
        """
        place = {name: options.pop(name) for name in tuple(options) if name in PLACES}
        drop_what_is_so_anyway(options)
        folder = find(pretrained_model_name_or_path, revision, **place)
        with hub.naming_damage(folder):
            return cls.from_folder(folder, **options)

    @classmethod
    def from_folder(cls, folder: Path, **overrides) -> Self:
        """Load from the files in `folder`."""
        raise NotImplementedError

    def write_files(self, folder: Path) -> list[Path]:
        """Write the files that `from_folder` reads into an existing folder; their paths."""
        raise NotImplementedError

    def __getattr__(self, name: str):
        """Raise an AttributeError that says what to write, for what upstream's class has and this one has not."""
        raise no_attribute(self, name)

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs) -> list[str]:
        """Write the files that `from_pretrained`, here and in transformers, loads again; their paths.

        Raises OptionError, also for `push_to_hub`.
        """
        if kwargs.pop("push_to_hub", False):
            raise OptionError("push_to_hub is not supported: upload the folder with huggingface_hub")
        folder = Path(save_directory)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return [str(path) for path in self.write_files(folder)]
        except OSError as error:
            raise OptionError(f"{error.filename or folder}: cannot be written ({error.strerror})") from None


PLACES = ("cache_dir", "local_files_only", "force_download", "token", "use_auth_token", "subfolder")


def find(name: str | os.PathLike, revision: str | None, **place) -> Path:
    """The folder of a model, by upstream's arguments. Raises HubError, OptionError."""
    subfolder = place.get("subfolder") or ""
    token = place.get("token", place.get("use_auth_token"))
    local = hub.local_folder(name)
    if local is None and subfolder:
        raise OptionError(f"subfolder {subfolder!r:.80}: models of the hub are taken from its top folder only")
    if local is None and place.get("force_download"):
        return hub.download(name, revision, token=token, force=True, cache_dir=place.get("cache_dir"))
    download = not place.get("local_files_only", False)
    folder = hub.find(name, revision, download=download, token=token, cache_dir=place.get("cache_dir"))
    return folder / subfolder


def drop_what_is_so_anyway(options: dict) -> None:
    """Take upstream's arguments without an effect out of `options`; others than neutral values get an InputWarning."""
    for name in [name for name in options if name in ALREADY_SO]:
        value = options.pop(name)
        neutral = ALREADY_SO[name]
        if not any(value is known or value == known for known in neutral) and value != {"": "cpu"}:
            told = f"{name}={value!r:.60} changes nothing: s2t-np computes on the CPU and executes no code of a model"
            warnings.warn(told, InputWarning, stacklevel=4)


def check_names(given: dict, known, what: str) -> None:
    """Raise OptionError for a setting that is not known."""
    if unknown := sorted(set(given) - set(known)):
        raise OptionError(f"unknown {what} setting {', '.join(unknown)}; known are {', '.join(sorted(known))}")
