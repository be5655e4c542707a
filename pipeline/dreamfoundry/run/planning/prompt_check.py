"""Refusal of words that a prior was never trained on, before anything is loaded."""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from itertools import islice

from dreamfoundry.diffusion.weights import bundled_prior
from dreamfoundry.records import Prompt
from dreamfoundry.settings.prior import PriorConfig
from dreamfoundry.toybox.captions import COLORS, KINDS, VOCABULARY, unknown_words

MAX_WORDS = 5
"""Unknown words of a prompt that its refusal names."""


class VocabularyCheck:
    """Refuses prompts with words outside of the toybox's vocabulary; `num_refused` counts them."""

    hint = (
        f"toybox knows {', '.join(KINDS)} and some synonyms; {', '.join(COLORS)}; a, an, one, the, small, toy. "
        "Any other prior takes any words: --set prior.path=FOLDER"
    )
    """The words that a prompt may use, for the end of a list of refused rows."""

    def __init__(self) -> None:
        self.num_refused = 0

    def __call__(self, prompt: Prompt) -> str | None:
        """The reason of a refusal, with the nearest words; None if the prompt is fine."""
        texts = (prompt.text, prompt.negative_text, *prompt.view_texts.values())
        words = dict.fromkeys(word for text in texts for word in unknown_words(text))
        if not words:
            return None
        self.num_refused += 1
        named = ", ".join(map(_with_suggestion, islice(words, MAX_WORDS)))
        more = f" and {len(words) - MAX_WORDS} more" if len(words) > MAX_WORDS else ""
        return f"toybox was never trained on {named}{more}"


def vocabulary_check(prior: PriorConfig) -> VocabularyCheck | None:
    """The check of a prior with a vocabulary; None for one that takes any words."""
    bundled = bundled_prior(prior.path)
    return VocabularyCheck() if bundled is not None and bundled.has_closed_vocabulary else None


@lru_cache(maxsize=4096)  # the same words stand in row after row
def _with_suggestion(word: str) -> str:
    close = get_close_matches(word, VOCABULARY, n=1, cutoff=0.7)
    return f"{word!r} (did you mean {close[0]!r}?)" if close else repr(word)
