"""Refusal of words that a prior was never trained on, before anything is loaded."""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache

from dreamfoundry.diffusion.weights import bundled_prior
from dreamfoundry.records import Prompt
from dreamfoundry.settings.prior import PriorConfig
from dreamfoundry.toybox.captions import COLORS, KINDS, VOCABULARY, unknown_words


class VocabularyCheck:
    """Refuses prompts with words outside of the toybox's vocabulary; `num_refused` counts them."""

    hint = (
        f"toybox knows the kinds {', '.join(' = '.join((kind, *synonyms)) for kind, synonyms in KINDS.items())}; "
        f"the colours {', '.join(COLORS)}; and a, an, one, the, small, toy. "
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
        return "toybox was never trained on " + ", ".join(map(_with_suggestion, words))


def vocabulary_check(prior: PriorConfig) -> VocabularyCheck | None:
    """The check of a prior with a vocabulary; None for one that takes any words."""
    bundled = bundled_prior(prior.path)
    return VocabularyCheck() if bundled is not None and bundled.has_closed_vocabulary else None


@lru_cache(maxsize=4096)  # the same words stand in row after row
def _with_suggestion(word: str) -> str:
    close = get_close_matches(word, VOCABULARY, n=1, cutoff=0.7)
    return f"{word!r} (did you mean {close[0]!r}?)" if close else repr(word)
