"""The two baselines every score stands beside: plain keywords, and keywords on word borders."""

from collections.abc import Iterator
from functools import cache
from importlib import resources

import jieba
import yaml

from hegui.evaluation.corpus import Corpus
from rules.events import Interaction, Speaker


@cache
def keywords() -> dict[str, tuple[str, ...]]:
    """The keyword list, by rule."""
    text = resources.files("hegui.evaluation").joinpath("keywords.yaml").read_text("utf-8")
    return {rule: tuple(words) for rule, words in yaml.safe_load(text).items()}


def collector_texts(interaction: Interaction) -> Iterator[str]:
    """What the collector said or wrote in one interaction."""
    for segment in interaction.transcript or ():
        if segment.speaker is Speaker.COLLECTOR:
            yield segment.text
    if interaction.text is not None and interaction.direction == "outbound":
        yield interaction.text


def plain_keywords(corpus: Corpus) -> dict[str, set[str]]:
    """Report a rule wherever one of its keywords is a substring of the collector's words."""
    return {
        interaction.interaction_id: {
            rule
            for text in collector_texts(interaction)
            for rule, words in keywords().items()
            if any(word in text for word in words)
        }
        for interaction in corpus.interactions()
    }


def segmented_keywords(corpus: Corpus) -> dict[str, set[str]]:
    """Report a rule only where a keyword starts and ends on a border that jieba found."""
    return {
        interaction.interaction_id: {
            rule for text in collector_texts(interaction) for rule in _on_borders(text)
        }
        for interaction in corpus.interactions()
    }


def _on_borders(text: str) -> set[str]:
    borders, place = {0}, 0
    for token in jieba.lcut(text):
        place += len(token)
        borders.add(place)
    return {
        rule
        for rule, words in keywords().items()
        if any(_stands(text, word, borders) for word in words)
    }


def _stands(text: str, word: str, borders: set[int]) -> bool:
    start = text.find(word)
    while start >= 0:
        if start in borders and start + len(word) in borders:
            return True
        start = text.find(word, start + 1)
    return False
