"""The map of the explorer and its tour, as texts: true shapes, and targets that exist."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

import s2t_np
from s2t_np.inspect.explorer import PROGRAM, STAGES, mel_centres, page, read
from s2t_np.inspect.explorer.model_map import BOXES, WIDTH, model_map
from s2t_np.inspect.explorer.sections import SECTIONS
from s2t_np.inspect.explorer.tour import TOUR, tour_of
from s2t_np.inspect.trace import trace
from tests.support.paths import DIGITS
from tests.support.small_models import SHAPES
from tools.random_checkpoint import variant_config, write_checkpoint
from tools.signals import harmonics

RECORDING = DIGITS.parent.parent / "recordings" / "five-five.flac"


@pytest.fixture(scope="module")
def model():
    return s2t_np.load("digits", backend="numpy")


@pytest.fixture(scope="module")
def seen(model):
    return trace(model, RECORDING, STAGES)


@pytest.fixture(scope="module")
def drawn(seen):
    return ElementTree.fromstring(model_map(seen))


def links(drawn, kind: str) -> list:
    """The links of one class."""
    return [link for link in drawn.iter("a") if link.get("class") == kind]


def test_every_arrow_carries_the_shape_of_its_array(drawn, seen):
    arrows = [group for group in drawn.iter("g") if group.get("class") == "flow"]
    assert len(arrows) == len(BOXES) - 1
    for arrow in arrows:
        told = next(text.text for text in arrow.iter("text") if text.get("class") == "shape")
        assert tuple(int(size.replace(",", "")) for size in told.split(" × ")) == seen[arrow.get("data-stage")].shape
    stages = [arrow.get("data-stage") for arrow in arrows]
    assert stages[2:5] == ["features.cmvn", "encoder.conv.conv_layers.1.glu", "encoder.layer_norm"]


def test_every_section_has_one_row_on_the_map_and_every_link_a_section(drawn):
    ids = [section.id for section in SECTIONS]
    assert [link.get("href") for link in links(drawn, "row")] == [f"#{name}" for name in ids]
    assert {link.get("href").removeprefix("#") for link in drawn.iter("a")} <= set(ids)
    assert all(link.get("aria-label") for link in drawn.iter("a"))
    assert len(links(drawn, "box")) == len(BOXES)


def test_the_map_counts_the_layers_of_the_model(drawn, model):
    layers = [link.get("href") for link in links(drawn, "layer")]
    assert layers.count("#encoder") == model.config.encoder_layers == 6
    assert layers.count("#decoder") == model.config.decoder_layers == 3
    assert {"6 encoder layers", "3 decoder layers", "2 convolutions"} <= {text.text for text in drawn.iter("text")}


def test_nothing_on_the_map_lies_outside_of_it(drawn):
    for rect in drawn.iter("rect"):
        left, width = float(rect.get("x")), float(rect.get("width"))
        assert left >= 0 and width > 0 and left + width <= WIDTH


def test_the_map_is_on_the_page_with_all_that_the_program_asks_for(seen, model):
    document = page(seen, model)
    assert document.count('<svg id="map"') == 1
    assert "{{" not in re.sub(r"<script.*?</script>", "", document, flags=re.S)
    asked = set(re.findall(r"\$\(\"([a-z-]+)\"\)", "".join(map(read, PROGRAM))))
    there = set(re.findall(r'id="([a-z-]+)"', document)) | {section.id for section in SECTIONS}
    assert asked <= there
    own = re.findall(r'id="([a-z-]+)"', read("page.html"))
    assert len(own) == len(set(own))
    assert not {section.id for section in SECTIONS} & set(own)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_model_of_every_shape_has_its_map_and_tour(shape, tmp_path):
    """One convolution, two or three; no layer, one or several."""
    model = s2t_np.load(write_checkpoint(tmp_path / "model", variant_config(shape)), backend="numpy")
    seen = trace(model, harmonics(0, 1.0), STAGES, sampling_rate=16000, num_beams=2, max_length=6)
    drawn = ElementTree.fromstring(model_map(seen))
    assert len(links(drawn, "layer")) == model.config.encoder_layers + model.config.decoder_layers
    count = model.config.num_conv_layers
    assert {f"{count} convolutions" if count > 1 else "1 convolution"} <= {text.text for text in drawn.iter("text")}
    shapes = [text.text for text in drawn.iter("text") if text.get("class") == "shape"]
    assert shapes[3] == shapes[4] == " × ".join(map(str, seen["encoder.layer_norm"].shape))
    assert page(seen, model).startswith("<!doctype html>")


def test_the_frequencies_of_mel_bins_are_the_tops_of_the_filters(seen, model):
    centres, bank = np.array(mel_centres(model.feature_config)), seen["features.mel_bank"]
    assert abs(centres[1] - 65.7) < 0.1  # by hand: 2840.0 and 31.7 mel, 81 steps of 34.67; 101.1 mel
    peaks = bank.argmax(axis=0) * 16000 / 512
    assert np.abs(centres - peaks)[bank.any(axis=0)].max() <= 16000 / 512


def test_the_tour_has_ten_stops_in_the_order_of_the_page(seen):
    ids = [section.id for section in SECTIONS]
    places = [ids.index(stop.section) for stop in TOUR]
    assert len(TOUR) == 10 and places == sorted(set(places))
    stops = tour_of(seen, 16000)
    frames, bins = seen["features.cmvn"].shape
    assert f"{seen['samples'].size:,} numbers, 16,000 for each second" in stops[0]["text"]
    assert f"{frames} by {bins}" in stops[3]["surprise"]
    assert "There are 6 layers with 4 heads each." in stops[5]["text"]
    assert not any("{" in stop[key] for stop in stops for key in ("text", "surprise"))
