"""s2t-np: the S2T speech-to-text transformer in numpy, without PyTorch.

    import s2t_np
    model = s2t_np.load("digits")
    print(model.transcribe("recording.wav").text)

To read how it works, begin with `model.py` and follow the imports downward; README.md has the map.
"""

__version__ = "0.1.0"


def _homes() -> dict[str, str]:
    """Every public name and the module it is imported from: the lines of __init__.pyi."""
    with open(f"{__path__[0]}/__init__.pyi", encoding="utf-8") as stub:
        lines = [line.split() for line in stub if line.startswith("from ")]
    return {words[-1]: words[1] for words in lines}


_HOMES = _homes()
__all__ = list(_HOMES)


def __getattr__(name: str):
    """Names are imported when they are first used: the command can be interrupted before numpy is loaded."""
    import importlib.util

    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name], __name__), name)
    if importlib.util.find_spec(f"{__name__}.{name}"):
        return importlib.import_module(f".{name}", __name__)
    if not name.startswith("_"):
        from .hf.elsewhere import INSTEAD, told

        if name in INSTEAD:  # an AttributeError would lose its words in `from s2t_np import ...`
            raise ImportError(told(name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
