"""A pickled model is its name: small, whole in another process, and refused where the name would be a lie."""

import copy
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

import s2t_np
from s2t_np.errors import HubError, ModelError, OptionError
from s2t_np.sending import Place
from tests.support.paths import DIGITS, RECORDINGS, ROOT

FIVE = RECORDINGS / "five-five.flac"
SMALL = 10_000  # bytes; the weights of the bundled model have 2 MB


@pytest.fixture(scope="module")
def digits():
    """The bundled model, computing in numpy."""
    return s2t_np.load("digits", backend="numpy")


def in_fresh_process(pickled: bytes, code: str, folder: Path) -> str:
    """The output of `code`, to which the unpickled object is known as `it`, in a process that runs in `folder`."""
    start = f"import sys, pickle; sys.path.insert(0, {str(ROOT)!r}); it = pickle.load(sys.stdin.buffer); "
    command = [sys.executable, "-c", start + code]
    done = subprocess.run(command, input=pickled, cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("backend", "dtype"), [("numpy", "float32"), ("numpy", "float64"), ("numba", "float32"), ("numba", "int8")]
)
def test_a_pickled_model_is_small_and_the_same(backend, dtype):
    model = s2t_np.load("digits", backend=backend, dtype=dtype)
    data = pickle.dumps(model)
    assert len(data) < SMALL
    back = pickle.loads(data)
    assert (back.backend.name, back.dtype) == (model.backend.name, model.dtype)
    ours, theirs = model.transcribe(FIVE), back.transcribe(FIVE)
    assert (ours.text, theirs.text) == ("five five", "five five")
    assert ours.hypotheses[0].token_log_probs == theirs.hypotheses[0].token_log_probs


def test_a_pickled_model_is_whole_in_a_fresh_process(digits, tmp_path):
    said = in_fresh_process(pickle.dumps(digits), f"print(it.transcribe({str(FIVE)!r}).text)", tmp_path)
    assert said == "five five\n"


def test_a_model_goes_to_a_spawned_pool(digits):
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(digits.transcribe, FIVE).result().text == "five five"


def test_a_process_loads_a_model_once(digits):
    data = pickle.dumps(digits)
    assert pickle.loads(data).weights is pickle.loads(data).weights


def test_settings_go_along(digits):
    changed = replace(digits, generation_config=digits.generation_config.replace(max_length=3))
    back = pickle.loads(pickle.dumps(changed))
    assert back.generation_config.max_length == 3
    assert pickle.loads(pickle.dumps(digits)).generation_config == digits.generation_config


def test_an_ensemble_sends_the_names_of_its_models(tmp_path):
    other = shutil.copytree(DIGITS, tmp_path / "other")
    both = s2t_np.load(f"digits:{other}", backend="numpy")
    data = pickle.dumps(both)
    assert len(data) < SMALL
    back = pickle.loads(data)
    assert back.places == both.places == (DIGITS, other)
    assert back.transcribe(FIVE).text == "five five"


def test_the_class_named_as_in_transformers_is_pickled_too(digits):
    model = s2t_np.Speech2TextForConditionalGeneration.from_pretrained("digits", backend="numpy")
    data = pickle.dumps(model)
    assert len(data) < SMALL
    features = digits.features(FIVE)[None]
    assert pickle.loads(data).generate(features).tolist() == model.generate(features).tolist()


def test_a_copy_of_a_model_is_the_model(digits):
    assert copy.copy(digits) is digits and copy.deepcopy(digits) is digits


def test_other_weights_than_the_folder_holds_are_not_sent(digits):
    decoder = digits.weights.decoder
    changed = replace(digits, weights=digits.weights._replace(decoder=decoder._replace(layers=decoder.layers[:1])))
    for model in (changed, replace(digits, backend=digits.backend._replace(name="mine"))):
        with pytest.raises(ModelError, match=r"cannot be pickled.*save it as a folder"):
            pickle.dumps(model)


def test_another_model_in_its_place_is_noticed(tmp_path):
    folder = shutil.copytree(DIGITS, tmp_path / "mine")
    data = pickle.dumps(s2t_np.load(folder, backend="numpy"))
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"scale_embedding": true', '"scale_embedding": false'))
    assert (folder / "config.json").read_text() != config
    with pytest.raises(ModelError, match="another model here"):
        pickle.loads(data)
    shutil.rmtree(folder)
    again = pickle.dumps(s2t_np.load("digits", backend="numpy")).replace(b"digits", b"digitz")
    with pytest.raises(HubError, match="digitz"):
        pickle.loads(again)


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_model_of_the_hub_is_sent_by_id_and_commit():
    """The cache of another machine lies elsewhere, and its main may be newer."""
    snapshot = Path(f"/home/me/hub/models--facebook--s2t-small/snapshots/{COMMIT}")
    assert Place.of(snapshot) == (str(snapshot), "facebook/s2t-small", COMMIT)
    assert Place.of(DIGITS)[1:] == ("digits", None)
    assert Place.of(Path("/models/x"))[1:] == (None, None)


def test_the_hubs_model_is_found_in_another_cache(tmp_path, monkeypatch):
    repository = tmp_path / "hub" / "models--me--mine"
    there = shutil.copytree(DIGITS, repository / "snapshots" / COMMIT)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    gone = Path(f"/not/here/models--me--mine/snapshots/{COMMIT}")
    assert Place.of(gone).find() == there


def test_a_transcriber_refuses_what_is_no_model():
    with pytest.raises(OptionError, match="model is 3"):
        s2t_np.Transcriber(3)
