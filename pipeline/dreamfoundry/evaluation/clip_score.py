"""R-Precision by CLIP: rank the own prompt of a picture among many others.

R-Precision (Park et al. 2021, NeurIPS Datasets and Benchmarks; DreamFusion 4) is the share of
pictures whose own text is nearer than every distractor. Bare similarities are no score: results
with several faces have higher ones. Textureless pictures judge the shape alone, which pictures
with colour can hide.

Dimension key:  N pictures · M texts · H picture side in pixels · D width of the embeddings
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.functional import interpolate, normalize
from transformers import AutoTokenizer, CLIPModel

from dreamfoundry.errors import ConfigError
from dreamfoundry.settings.values import require

ROWS_PER_PASS = 32
"""Pictures or texts that go through the model together, which is what bounds its memory."""


class ClipScorer:
    """A frozen CLIP. `model_id` (name of the folder, digest of the weights) belongs to every result."""

    def __init__(
        self, model: Any, tokenizer: Any, image_mean: Sequence[float], image_std: Sequence[float], model_id: str
    ) -> None:
        self.model_id = model_id
        self.picture_px = int(model.config.vision_config.image_size)
        self._model = model
        self._tokenizer = tokenizer
        self._max_tokens = int(model.config.text_config.max_position_embeddings)
        self._image_mean, self._image_std = (torch.tensor(list(v)).view(3, 1, 1) for v in (image_mean, image_std))

    @torch.no_grad()
    def similarities(self, pictures: Float[Tensor, "N 3 H H"], texts: Sequence[str]) -> Float[Tensor, "N M"]:
        """Cosine similarity, in [-1, 1], of each picture (sRGB in [0, 1]) and each text.

        Texts are cut off at CLIP's limit of 77 tokens.
        """
        picture_embeds = torch.cat([self._picture_embeds(part) for part in pictures.split(ROWS_PER_PASS)])
        starts = range(0, len(texts), ROWS_PER_PASS)
        text_embeds = torch.cat([self._text_embeds(texts[start : start + ROWS_PER_PASS]) for start in starts])
        return picture_embeds @ text_embeds.T

    def _picture_embeds(self, pictures: Float[Tensor, "N 3 H H"]) -> Float[Tensor, "N D"]:
        side = (self.picture_px, self.picture_px)
        if tuple(pictures.shape[-2:]) != side:
            pictures = interpolate(pictures, side, mode="bicubic", antialias=True, align_corners=False).clamp(0.0, 1.0)
        pixels = (pictures - self._image_mean) / self._image_std
        return normalize(self._model.visual_projection(self._model.vision_model(pixel_values=pixels).pooler_output))

    def _text_embeds(self, texts: Sequence[str]) -> Float[Tensor, "M D"]:
        tokens = self._tokenizer(
            list(texts), padding="max_length", max_length=self._max_tokens, truncation=True, return_tensors="pt"
        )
        hidden = self._model.text_model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask)
        return normalize(self._model.text_projection(hidden.pooler_output))


def load_clip(path: Path | str) -> ClipScorer:
    """The CLIP in a local transformers folder. ConfigError, with what is wrong, for any other folder."""
    folder = Path(path).expanduser()
    try:
        _require_clip(folder)
        preprocessing = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        model_class: Any = CLIPModel
        model, info = model_class.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
        if info["missing_keys"]:
            raise ValueError(f"it lacks weights: {', '.join(sorted(info['missing_keys'])[:3])} …")
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        mean, std = preprocessing["image_mean"], preprocessing["image_std"]
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ConfigError(
            f"clip = {str(path)!r}: no CLIP can be loaded from there ({error}); it must be a local folder of "
            "transformers with config.json, preprocessor_config.json, a tokenizer and *.safetensors"
        ) from error
    return ClipScorer(model.eval().requires_grad_(False), tokenizer, mean, std, _model_id(folder))


def _require_clip(folder: Path) -> None:
    """ValueError unless `folder` has the configuration of a CLIP and a tokenizer: transformers would make one up."""
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    if kind != "clip":
        raise ValueError(f"its model_type is {kind!r}, not 'clip'")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        raise ValueError("it has neither tokenizer.json nor vocab.json")


def own_text_first(similarities: Float[Tensor, "N M"], own: Int[Tensor, " N"]) -> Bool[Tensor, " N"]:
    """True for each picture that is nearer to its text `own` than to all others; a tie is a miss.

    Texts must differ from one another, and there must be at least two.
    """
    require(similarities.shape[1] >= 2, "similarities", tuple(similarities.shape), "must have at least two texts")
    mine = similarities.gather(1, own[:, None])
    others = similarities.scatter(1, own[:, None], -torch.inf)
    return (mine > others).all(dim=1)


def _model_id(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            whole.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return f"{folder.resolve().name}@{whole.hexdigest()[:16]}"
