"""Each camera is told what it looks at, in the words of the recipe."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.diffusion.prompts import encode, view_index, view_texts, view_words
from dreamfoundry.errors import ConfigError
from dreamfoundry.records import VIEWS, Prompt
from dreamfoundry.settings.prior import WordingConfig

CHAIR = Prompt("chair", "a red chair", negative_text="blurry")


def test_every_view_names_itself() -> None:
    texts = view_texts(CHAIR, WordingConfig())
    assert texts.text[0] == (
        ("a red chair, front view",),
        ("a red chair, side view",),
        ("a red chair, back view",),
        ("a red chair, side view",),
        *[("a red chair, overhead view",)] * 4,
    )
    assert texts.unconditional == ("blurry",)


def test_shadings_and_backgrounds_have_their_own_words() -> None:
    wording = WordingConfig(
        text="{prompt}, {view} view, {background} background",
        textureless="a plaster model of {prompt}, {view} view, {background} background",
        unconditional="{negative}, {background} background",
        backgrounds=("white", "black"),
    )
    texts = view_texts(CHAIR, wording)
    assert texts.text[0][2][1] == "a red chair, back view, black background"
    assert texts.text[1][0][0] == "a plaster model of a red chair, front view, white background"
    assert texts.unconditional == ("blurry, white background", "blurry, black background")


def test_an_empty_negative_leaves_no_comma_behind() -> None:
    wording = WordingConfig(unconditional="{negative}, {background} background", backgrounds=("grey",))
    assert view_texts(Prompt("chair", "a chair"), wording).unconditional == ("grey background",)


def test_a_row_may_word_single_views_itself() -> None:
    prompt = Prompt("owl", "an owl", view_texts={"back": "the feathers of an owl"})
    front, _, back, *_ = view_texts(prompt, WordingConfig()).text[0]
    assert (front, back) == (("an owl, front view",), ("the feathers of an owl, back view",))


def test_braces_in_a_prompt_are_only_braces() -> None:
    prompt = Prompt("odd", "a {view} \\1 {nothing}")
    assert view_texts(prompt, WordingConfig()).text[0][0] == ("a {view} \\1 {nothing}, front view",)


@pytest.mark.parametrize(
    ("wording", "message"),
    [
        (WordingConfig(text="{prompt} {side}"), r"wording.text = .*\{side\} cannot be filled; .*\{prompt\}, \{view\}"),
        (WordingConfig(text="{prompt}, {background}"), r"\{background\} needs wording.backgrounds"),
        (WordingConfig(text="{prompt}, {negative}"), r"\{negative\} cannot be filled"),
        (WordingConfig(unconditional="{prompt}"), r"wording.unconditional = .*known here: \{negative\}"),
    ],
)
def test_a_placeholder_that_cannot_be_filled_is_named(wording: WordingConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        view_texts(CHAIR, wording)


def test_embeddings_stand_where_their_texts_stand() -> None:
    prior = AnalyticPrior(picture_px=4)
    wording = WordingConfig(
        text="{prompt} on {background} seen from the {view}",
        textureless="grey {prompt} on {background}",
        backgrounds=("white", "grey", "black"),
    )
    embeds = encode(prior, CHAIR, wording)
    texts = view_texts(CHAIR, wording)
    assert embeds.text.shape == (2, 8, 3, 1, 48)
    assert embeds.unconditional.shape == (3, 1, 48)
    for shading in range(2):
        for view in range(8):
            for background in range(3):
                alone = prior.encode_prompts([texts.text[shading][view][background]])[0]
                assert torch.equal(embeds.text[shading, view, background], alone)
    assert torch.equal(embeds.unconditional[1], prior.encode_prompts(["blurry"])[0])


def test_each_distinct_text_is_encoded_once() -> None:
    asked: list[list[str]] = []

    class Listening(AnalyticPrior):
        def encode_prompts(self, texts: Sequence[str]) -> torch.Tensor:
            asked.append(list(texts))
            return super().encode_prompts(texts)

    encode(Listening(picture_px=4), CHAIR, WordingConfig())
    assert asked == [[*(f"a red chair, {view} view" for view in VIEWS), "blurry"]]


@pytest.mark.parametrize(
    ("azimuth_deg", "elevation_deg", "view"),
    [
        (0.0, 0.0, "front"),
        (44.0, 0.0, "front"),
        (-44.0, 10.0, "front"),
        (316.0, 59.0, "front"),
        (46.0, 0.0, "side"),
        (90.0, -10.0, "side"),
        (270.0, 0.0, "side"),
        (134.0, 0.0, "side"),
        (136.0, 0.0, "back"),
        (180.0, 0.0, "back"),
        (-180.0, 0.0, "back"),
        (224.0, 60.0, "back"),
        (540.0, 0.0, "back"),
        (720.0, 0.0, "front"),
        (180.0, 61.0, "overhead"),
        (0.0, 90.0, "overhead"),
    ],
)
def test_a_camera_sees_the_nearest_view(azimuth_deg: float, elevation_deg: float, view: str) -> None:
    index = view_index(torch.tensor([azimuth_deg]), torch.tensor([elevation_deg]), WordingConfig())
    assert view_words(WordingConfig())[int(index)] == view


def test_the_front_may_be_narrower_and_cameras_come_in_any_shape() -> None:
    wording = WordingConfig(front_half_angle_deg=30.0, elevation_bounds_deg=(50.0,))
    azimuth_deg = torch.tensor([[29.0, 31.0], [151.0, 149.0]])
    index = view_index(azimuth_deg, torch.tensor([[0.0, 0.0], [0.0, 51.0]]), wording)
    words = view_words(wording)
    assert [[words[item] for item in row] for row in index.tolist()] == [["front", "side"], ["back", "overhead"]]


COMPASS = WordingConfig(
    azimuth_words=("front", "front left", "left", "back left", "back", "back right", "right", "front right"),
    front_half_angle_deg=22.5,
    elevation_words=("{azimuth}", "overhead {azimuth}"),
)


def test_eight_words_go_around_with_the_azimuth_and_again_from_overhead() -> None:
    azimuth_deg = torch.arange(0.0, 360.0, 45.0)
    words = view_words(COMPASS)
    seen = [words[i] for i in view_index(azimuth_deg, torch.zeros(8), COMPASS)]
    above = [words[i] for i in view_index(azimuth_deg, torch.full((8,), 70.0), COMPASS)]
    assert seen == list(COMPASS.azimuth_words)
    assert above == [f"overhead {word}" for word in COMPASS.azimuth_words]


HEIGHTS = WordingConfig(elevation_words=("low {azimuth}", "{azimuth}", "overhead"), elevation_bounds_deg=(-5.0, 55.0))


@pytest.mark.parametrize(
    ("elevation_deg", "view"),
    [(-90.0, "low back"), (-6.0, "low back"), (-5.0, "low back"), (-4.0, "back"), (55.0, "back"), (56.0, "overhead")],
)
def test_every_band_of_elevations_has_its_word(elevation_deg: float, view: str) -> None:
    index = view_index(torch.tensor([180.0]), torch.tensor([elevation_deg]), HEIGHTS)
    assert view_words(HEIGHTS)[int(index)] == view


def test_of_several_bands_only_the_last_is_overhead() -> None:
    texts = view_texts(Prompt("p", "a face", view_texts={"back": "hair", "overhead": "a parting"}), HEIGHTS)
    assert [words[0] for words in texts.text[0]] == [
        *("a face, low front view", "a face, low side view", "hair, low back view", "a face, low side view"),
        *("a face, front view", "a face, side view", "hair, back view", "a face, side view"),
        *["a parting, overhead view"] * 4,
    ]


@pytest.mark.parametrize("bounds_deg", [(), (10.0,), (10.0, 10.0), (20.0, 10.0), (10.0, 20.0, 30.0)])
def test_bounds_that_do_not_stand_between_the_elevation_words_are_refused(bounds_deg: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match=r"wording.elevation_bounds_deg = .*must rise and stand between the 3"):
        WordingConfig(elevation_words=("low", "{azimuth}", "overhead"), elevation_bounds_deg=bounds_deg)


def test_every_azimuth_gets_the_word_whose_middle_is_nearest() -> None:
    azimuth_deg = torch.arange(-179.95, 540.0, 0.9)  # never half way between two words
    middles_deg = 45.0 * torch.arange(8)
    apart_deg = (torch.remainder(azimuth_deg[:, None] - middles_deg + 180.0, 360.0) - 180.0).abs()
    assert torch.equal(view_index(azimuth_deg, torch.zeros_like(azimuth_deg), COMPASS), apart_deg.argmin(dim=1))


def test_a_text_for_one_view_is_used_for_all_words_of_that_view() -> None:
    texts = view_texts(Prompt("p", "a face", view_texts={"back": "hair", "overhead": "a parting"}), COMPASS)
    assert [words[0] for words in texts.text[0]] == [
        "a face, front view",
        "a face, front left view",
        "a face, left view",
        "hair, back left view",
        "hair, back view",
        "hair, back right view",
        "a face, right view",
        "a face, front right view",
        *(f"a parting, overhead {word} view" for word in COMPASS.azimuth_words),
    ]


@pytest.mark.parametrize("words", [("front",), ("front", "side", "back")])
def test_an_odd_or_too_small_number_of_words_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"wording.azimuth_words = .*even number"):
        WordingConfig(azimuth_words=words)
