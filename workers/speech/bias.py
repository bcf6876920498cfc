"""The tenant's own words in the model's ear, and which heard words are owed to them alone."""

from collections.abc import Iterator

from workers.speech.engines.protocol import PROMPT, EngineOptions
from workers.speech.text import letters_of, simplified


def told(options: EngineOptions) -> str:
    """Return what the model is told before each clip."""
    return ",".join(filter(None, (options.prompt.strip(), *options.hotwords)))


def told_without(options: EngineOptions) -> str:
    """Return what a model is told that does not know the tenant's words."""
    return PROMPT if options.hotwords or options.prompt not in {"", PROMPT} else options.prompt


def terms(options: EngineOptions) -> frozenset[str]:
    """Return the pairs of characters that only the tenant's words put into the model's ear.

    Pairs, because a model that is told 泼油漆 may hear 油漆.
    """
    own = [*options.hotwords, *([] if options.prompt == PROMPT else [options.prompt])]
    return frozenset(pair for words in own for pair in _pairs(words)) - frozenset(_pairs(PROMPT))


def found(text: str, among: frozenset[str]) -> frozenset[str]:
    """Return those of the pairs that are in the text."""
    return among.intersection(_pairs(text)) if among else frozenset()


def _pairs(text: str) -> Iterator[str]:
    letters = letters_of(simplified(text)).lower()
    if len(letters) == 1:
        yield letters
    for at in range(len(letters) - 1):
        yield letters[at : at + 2]
