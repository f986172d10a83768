"""The bundled model and its processor under upstream's names, and two recordings as a batch."""

import numpy as np
import pytest

import s2t_np
from s2t_np.hf import Speech2TextForConditionalGeneration, Speech2TextProcessor
from tests.support.paths import DIGITS

RATE = 16000
NAMES = {"synthetic-zero-one-four-two": "zero one four two", "five-five": "five five"}


def read(name: str) -> np.ndarray:
    return s2t_np.audio.load(DIGITS.parent.parent / "recordings" / f"{name}.flac", RATE)


@pytest.fixture(scope="module")
def audio() -> list[np.ndarray]:
    return [read(name) for name in NAMES]


@pytest.fixture(scope="module")
def processor() -> Speech2TextProcessor:
    return Speech2TextProcessor.from_pretrained("digits")


@pytest.fixture(scope="module")
def model() -> Speech2TextForConditionalGeneration:
    return Speech2TextForConditionalGeneration.from_pretrained("digits")


@pytest.fixture(scope="module")
def batch(processor, audio):
    return processor(audio, sampling_rate=RATE, padding=True, return_tensors="np")
