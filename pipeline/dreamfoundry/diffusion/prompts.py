"""The wording of a prompt for each view, and the embeddings of that wording.

A prior that is told which side it looks at does not paint a face on every side (DreamFusion
3.2, "view-dependent conditioning"). Wordings are encoded once per asset, then looked up.

Dimension key:  S shadings (0 textured, 1 textureless) · V views as in `records.VIEWS` ·
G backgrounds · L tokens · D width
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamfoundry.config import WordingConfig
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.errors import ConfigError
from dreamfoundry.records import VIEWS, Prompt

_PLACEHOLDER = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True)
class ViewTexts:
    """What the prior is told: `text[shading][view][background]`, `unconditional[background]`."""

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

    text: Float[Tensor, "2 4 G L D"]
    unconditional: Float[Tensor, "G L D"]


def view_texts(prompt: Prompt, wording: WordingConfig) -> ViewTexts:
    """`prompt` worded for both shadings, each view and each background.

    `prompt.view_texts` replaces {prompt} for single views. Without configured backgrounds there
    is one unnamed background. ConfigError if a template has a placeholder that cannot be filled.
    """
    backgrounds: tuple[str | None, ...] = wording.backgrounds or (None,)

    def worded(key: str, view: str, background: str | None) -> str:
        words = {"prompt": prompt.view_texts.get(view, prompt.text), "view": view}
        return _filled(f"wording.{key}", getattr(wording, key), words, background)

    return ViewTexts(
        text=tuple(
            tuple(tuple(worded(key, view, background) for background in backgrounds) for view in VIEWS)
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
        text=rows[:-num_backgrounds].reshape(2, len(VIEWS), num_backgrounds, *rows.shape[1:]),
        unconditional=rows[-num_backgrounds:],
    )


def view_index(
    azimuth_deg: Float[Tensor, "*rows"], elevation_deg: Float[Tensor, "*rows"], wording: WordingConfig
) -> Int[Tensor, "*rows"]:
    """Which of `VIEWS` a camera sees. Azimuth 0 is the front, any multiple of 360 may be added.

    Overhead above the threshold, whatever the azimuth; then front and back within the half angle
    around 0 and 180 degrees; all else is a side (DreamFusion 3.2, nearest wording).
    """
    from_front_deg = (torch.remainder(azimuth_deg + 180.0, 360.0) - 180.0).abs()
    index = torch.full_like(azimuth_deg, VIEWS.index("side"), dtype=torch.long)
    index[from_front_deg <= wording.front_half_angle_deg] = VIEWS.index("front")
    index[from_front_deg >= 180.0 - wording.front_half_angle_deg] = VIEWS.index("back")
    index[elevation_deg > wording.overhead_elevation_deg] = VIEWS.index("overhead")
    return index


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
