"""Where each of the classes comes from and goes to: a checkpoint folder, by name, and back."""

import os
from pathlib import Path
from typing import Self

from ..checkpoint.hub import find
from ..errors import OptionError


class Pretrained:
    """`from_pretrained` and `save_pretrained`; a child reads and writes its own files of a folder."""

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike,
        revision: str | None = None,
        *,
        local_files_only: bool = False,
        token: str | bool | None = None,
        **overrides,
    ) -> Self:
        """Load from "digits" (bundled), a folder, or a hub id; `overrides` replace settings that the files hold.

        revision: a branch, tag or commit of a hub id. `local_files_only`: ask nothing of the network. Raises ModelError
        (HubError where the model cannot be had), OptionError.
        """
        return cls.from_folder(find(name, revision, download=not local_files_only, token=token), **overrides)

    @classmethod
    def from_folder(cls, folder: Path, **overrides) -> Self:
        """Load from the files in `folder`."""
        raise NotImplementedError

    def write_files(self, folder: Path) -> None:
        """Write the files that `from_folder` reads into an existing folder."""
        raise NotImplementedError

    def save_pretrained(self, save_directory: str | os.PathLike) -> None:
        """Write the files that `from_pretrained`, here and in transformers, loads again. Raises OptionError."""
        folder = Path(save_directory)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.write_files(folder)
        except OSError as error:
            raise OptionError(f"{error.filename or folder}: cannot be written ({error.strerror})") from None


def check_names(given: dict, known, what: str) -> None:
    """Raise OptionError for a setting that is not known."""
    if unknown := sorted(set(given) - set(known)):
        raise OptionError(f"unknown {what} setting {', '.join(unknown)}; known are {', '.join(sorted(known))}")
