"""View-dependent prompts: one wording per view, shading and background, and their embeddings.

A prior that reads the viewing direction in its prompt paints fewer faces on other sides
(DreamFusion 3.2, "view-dependent conditioning"). Wordings are encoded once per asset, then looked up.

Dimension key:  S shadings (0 textured, 1 textureless) · V view wordings: every azimuth word in the
lowest band of elevations, then in the next, the last being overhead · G backgrounds · L tokens ·
D width · B rows (views of a step) · N negatives per row
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.errors import ConfigError
from dreamfoundry.records import Prompt, View
from dreamfoundry.settings.prior import WordingConfig

_PLACEHOLDER = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True)
class ViewTexts:
    """All wordings of one prompt: `text[shading][view][background]`, `unconditional[background]`."""

    text: tuple[tuple[tuple[str, ...], ...], ...]
    unconditional: tuple[str, ...]

    def __iter__(self) -> Iterator[str]:
        """Every text, repeated as often as it is used."""
        for views in self.text:
            for backgrounds in views:
                yield from backgrounds
        yield from self.unconditional


@dataclass(frozen=True)
class PromptEmbeds:
    """The embeddings of one asset, in the order of `ViewTexts`."""

    text: Float[Tensor, "2 V G L D"]
    unconditional: Float[Tensor, "G L D"]

    @property
    def rows(self) -> Float[Tensor, "R L D"]:
        """All of them in one table, the unconditional ones last: what `ViewRows` counts in."""
        return torch.cat([self.text.flatten(0, 2), self.unconditional])


@dataclass(frozen=True)
class ViewRows:
    """Rows of a table of embeddings for the B views of a step, still numbers on the host.

    The columns of `rows` are the unconditional text, the text (one row, or the two between which
    `share` in [0, 1] interpolates), and the N negatives, each with a weight >= 0.
    """

    rows: Int[Tensor, "B columns"]
    share: Float[Tensor, " B"]
    negative_weights: Float[Tensor, "B N"]

    def in_table(self, first_row: int) -> ViewRows:
        """The same rows in a larger table that has this one from `first_row` on."""
        return ViewRows(self.rows + first_row, self.share, self.negative_weights)

    @classmethod
    def joined(cls, parts: Sequence[ViewRows]) -> ViewRows:
        """The views of all parts, one part after the other."""
        return cls(
            torch.cat([part.rows for part in parts]),
            torch.cat([part.share for part in parts]),
            torch.cat([part.negative_weights for part in parts]),
        )


@dataclass(frozen=True)
class ViewEmbeds:
    """Embeddings for the B views of a step: positive, unconditional and negative.

    `negatives` are N embeddings per view to steer away from, each with a weight >= 0
    (`diffusion.perp_neg`); N is 0 without them.
    """

    text: Float[Tensor, "B L D"]
    unconditional: Float[Tensor, "B L D"]
    negatives: Float[Tensor, "B N L D"]
    negative_weights: Float[Tensor, "B N"]


def gather_embeds(table: Float[Tensor, "R L D"], views: ViewRows) -> ViewEmbeds:
    """The embeddings of `views`, whose numbers lie on the device of the table by now: one gather for all of them."""
    found = table[views.rows]
    num_texts = found.shape[1] - 1 - views.negative_weights.shape[1]
    text = found[:, 1]
    if num_texts == 2:
        text = torch.lerp(text, found[:, 2], views.share.to(text)[:, None, None])
    return ViewEmbeds(text, found[:, 0], found[:, 1 + num_texts :], views.negative_weights)


def view_texts(prompt: Prompt, wording: WordingConfig) -> ViewTexts:
    """The texts of `prompt` for both shadings, each view and each background.

    `prompt.view_texts` replaces {prompt} for the views of `records.VIEWS`. Without configured
    backgrounds there is one unnamed background. ConfigError if a template has a placeholder that
    cannot be filled.
    """
    backgrounds: tuple[str | None, ...] = wording.backgrounds or (None,)
    views = view_words(wording)

    def filled_text(key: str, index: int, background: str | None) -> str:
        text = prompt.view_texts.get(view_of(index, wording), prompt.text)
        return _filled(f"wording.{key}", getattr(wording, key), {"prompt": text, "view": views[index]}, background)

    return ViewTexts(
        text=tuple(
            tuple(
                tuple(filled_text(key, index, background) for background in backgrounds) for index in range(len(views))
            )
            for key in ("text", "textureless")
        ),
        unconditional=tuple(
            _filled("wording.unconditional", wording.unconditional, {"negative": prompt.negative_text}, background)
            for background in backgrounds
        ),
    )


def encode(prior: ScorePrior, prompt: Prompt, wording: WordingConfig) -> PromptEmbeds:
    """The embeddings of `prompt`: one call of the prior, every distinct text once."""
    texts = view_texts(prompt, wording)
    distinct = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    embeds = prior.encode_prompts(list(distinct))
    rows = embeds[torch.tensor([distinct[text] for text in texts], device=embeds.device)]
    num_backgrounds = len(texts.unconditional)
    return PromptEmbeds(
        text=rows[:-num_backgrounds].reshape(2, -1, num_backgrounds, *rows.shape[1:]),
        unconditional=rows[-num_backgrounds:],
    )


def nearest_view_rows(
    azimuth_deg: Float[Tensor, " B"],
    elevation_deg: Float[Tensor, " B"],
    textureless: bool,
    background: Int[Tensor, " B"],
    wording: WordingConfig,
) -> ViewRows:
    """The rows in `PromptEmbeds.rows` of the nearest view wording for B cameras, without negatives.

    `background` is the index of each view's background among the configured ones, or 0.
    """
    text = text_row(textureless, view_index(azimuth_deg, elevation_deg, wording), background, wording)
    return ViewRows(
        rows=torch.stack([unconditional_row(background, wording), text], dim=1),
        share=torch.zeros(len(text)),
        negative_weights=torch.zeros(len(text), 0),
    )


def text_row(
    textureless: bool, view: Int[Tensor, " B"], background: Int[Tensor, " B"], wording: WordingConfig
) -> Int[Tensor, " B"]:
    """The row in `PromptEmbeds.rows` of a text, by the indices of its view and background."""
    num_views = len(wording.azimuth_words) * len(wording.elevation_words)
    return (int(textureless) * num_views + view) * max(1, len(wording.backgrounds)) + background


def unconditional_row(background: Int[Tensor, " B"], wording: WordingConfig) -> Int[Tensor, " B"]:
    """The row in `PromptEmbeds.rows` of the unconditional text on a background: behind all others."""
    num_views = len(wording.azimuth_words) * len(wording.elevation_words)
    return 2 * num_views * max(1, len(wording.backgrounds)) + background


def view_words(wording: WordingConfig) -> tuple[str, ...]:
    """The values of {view}: every azimuth word in the lowest band of elevations, then in the next."""
    return tuple(
        _filled("wording.elevation_words", band, {"azimuth": word}, None)
        for band in wording.elevation_words
        for word in wording.azimuth_words
    )


def view_index(
    azimuth_deg: Float[Tensor, "*rows"], elevation_deg: Float[Tensor, "*rows"], wording: WordingConfig
) -> Int[Tensor, "*rows"]:
    """The index into `view_words` for a camera. Azimuth 0 is the front, any multiple of 360 may be added.

    Front and back within the half angle around 0 and 180 degrees; the other words share what is
    between them; the same again in every band of elevations (DreamFusion 3.2, nearest wording).
    """
    num_words = len(wording.azimuth_words)
    away_deg = from_front_deg(azimuth_deg)
    beyond_deg = away_deg.abs() - wording.front_half_angle_deg

    # front and back have a fixed width; the words of a side share the rest evenly
    per_side = num_words // 2 - 1
    side_deg = (180.0 - 2.0 * wording.front_half_angle_deg) / per_side
    index = (beyond_deg / side_deg).floor().long().clamp(0, per_side - 1) + 1
    index[beyond_deg <= 0.0] = 0
    index[beyond_deg >= side_deg * per_side] = num_words // 2

    # words go around in one direction, angles from the front in two
    index = torch.where(away_deg < 0.0, num_words - index, index) % num_words
    return index + num_words * elevation_band(elevation_deg, wording)


def elevation_band(elevation_deg: Float[Tensor, "*rows"], wording: WordingConfig) -> Int[Tensor, "*rows"]:
    """The index into `wording.elevation_words` for a camera; on a bound, the lower one."""
    return torch.bucketize(elevation_deg, torch.tensor(wording.elevation_bounds_deg, device=elevation_deg.device))


def from_front_deg(azimuth_deg: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """An azimuth as an angle from the front, in [-180, 180)."""
    return torch.remainder(azimuth_deg + 180.0, 360.0) - 180.0


def view_of(index: int, wording: WordingConfig) -> View:
    """The one of `records.VIEWS` that a view word belongs to: half way between front and back is a side."""
    num_words = len(wording.azimuth_words)
    band, azimuth = divmod(index, num_words)
    if band == len(wording.elevation_words) - 1:
        return "overhead"
    from_front = min(azimuth, num_words - azimuth) / (num_words / 2)
    return "front" if from_front <= 0.25 else "back" if from_front >= 0.75 else "side"


def _filled(key: str, template: str, words: dict[str, str], background: str | None) -> str:
    """`template` with its placeholders replaced, in one pass: braces in a prompt stay as they are.

    What an empty word leaves at the ends (spaces, commas) is dropped.
    """
    known = words if background is None else {**words, "background": background}

    def word(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in known:
            hint = "; {background} needs wording.backgrounds" if name == "background" else ""
            raise ConfigError(
                f"{key} = {template!r}: {{{name}}} cannot be filled; known here: "
                f"{', '.join(f'{{{known_name}}}' for known_name in known)}{hint}"
            )
        return known[name]

    return _PLACEHOLDER.sub(word, template).strip(" ,")
