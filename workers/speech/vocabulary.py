"""The tokens that a model may choose for Chinese talk, and the way to its own numbers and back.

Of Whisper's 51,865 tokens some 9,000 can stand in it; the choice among all of them is half of what
a small model's decoder does for each token.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from whisper.tokenizer import Tokenizer

# A token's number is its rank by frequency; rarer Latin words are spelled in shorter tokens.
COMMON_RANK = 3_000
LETTERS_KEPT = 2
CAPITALS_KEPT = 6
# First bytes of characters from U+3000 to U+9FFF, of full-width forms, and bytes that go on.
LEADS = (*range(0xE3, 0xEA), 0xEF)
TRAILS = range(0x80, 0xC0)
ASCII = 0x80
# General marks, marks of Chinese, characters, full-width forms.
SCRIPTS = ((0x2010, 0x203A), (0x3000, 0x303F), (0x4E00, 0x9FFF), (0xFF00, 0xFF65))


class Vocabulary:
    """The tokens that a narrowed model knows; `kept` are their numbers in the tokenizer, rising."""

    def __init__(self, tokenizer: Tokenizer, size: int, *, is_whole: bool = False) -> None:
        """Choose among the `size` tokens of a model; what steers a model is always kept."""
        self._encoding = tokenizer.encoding
        texts = range(tokenizer.eot)
        spoken = texts if is_whole else filter(self._is_chinese, texts)
        self.kept = (*spoken, *range(tokenizer.eot, size))
        self._outer = np.array(self.kept)
        self._inner = np.full(size, -1)
        self._inner[self._outer] = np.arange(len(self.kept))

    def inner(self, tokens: Iterable[int]) -> list[int]:
        """Return the model's numbers; a token that it does not know is spelled in shorter ones."""
        return [int(self._inner[part]) for token in tokens for part in self._spelled(token)]

    def known(self, tokens: Iterable[int]) -> list[int]:
        """Return the model's numbers of those of the tokens that it knows."""
        return [int(self._inner[token]) for token in tokens if self._inner[token] >= 0]

    def outer(self, tokens: Sequence[int]) -> list[int]:
        """Return the tokenizer's numbers."""
        return [self.kept[token] for token in tokens]

    def _spelled(self, token: int) -> Iterator[int]:
        if self._inner[token] >= 0:
            yield token
            return
        left = self._encoding.decode_single_token_bytes(token)
        while left:
            part, length = self._longest(left)
            yield part
            left = left[length:]

    def _longest(self, text: bytes) -> tuple[int, int]:
        """Return the longest known token that the text begins with; every byte is one."""
        for length in range(len(text), 1, -1):
            try:
                token = self._encoding.encode_single_token(text[:length])
            except KeyError:
                continue
            if self._inner[token] >= 0:
                return token, length
        return self._encoding.encode_single_token(text[:1]), 1

    def _is_chinese(self, number: int) -> bool:
        raw = self._encoding.decode_single_token_bytes(number)
        if len(raw) <= 1:
            return True
        if max(raw) < ASCII:
            letters = bytes(byte for byte in raw if chr(byte).isalpha())
            return (
                len(letters) <= LETTERS_KEPT
                or number < COMMON_RANK
                or (letters.isupper() and len(letters) <= CAPITALS_KEPT)
            )
        try:
            text = raw.decode().strip()
        except UnicodeDecodeError:
            first = raw.strip()[0]
            return first in LEADS or first in TRAILS
        return all(
            ord(char) < ASCII or any(low <= ord(char) <= high for low, high in SCRIPTS)
            for char in text
        )
