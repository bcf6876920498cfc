"""Train the pack's second reader anew without the cases of a fold, where it learned from them."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from hegui.evaluation.corpus import Corpus
from rules import parse
from rules.reader import FILE

if TYPE_CHECKING:
    from hegui.reading.train import Material


class MissingLibraryError(Exception):
    """Folds need scikit-learn to train the reader."""


class Anew:
    """Trains readers for folds; what there is to learn from is collected once."""

    def __init__(
        self, files: Mapping[str, str], on_step: Callable[[str], None] = lambda _: None
    ) -> None:
        """`files` are the texts of the pack."""
        self._files, self._on_step = files, on_step

    def files_without(
        self, files: Mapping[str, str], corpus: Corpus, cases: Iterable[str]
    ) -> dict[str, str]:
        """These files with a reader that never saw the cases, unless it saw none of the corpus.

        Raises `MissingLibraryError`.
        """
        if FILE not in files or not self._learned_from(corpus):
            return dict(files)
        material = self._material
        from hegui.reading.train import trained_like  # noqa: PLC0415  needs scikit-learn

        gone = set(cases)
        contacts = frozenset(
            f"corpus/{corpus.name}/{each.interaction_id}"
            for each in corpus.interactions()
            if each.case_id in gone
        )
        text = trained_like(files[FILE], material.without(contacts), "of a fold")
        return {**files, FILE: text}

    def _learned_from(self, corpus: Corpus) -> bool:
        from hegui.reading.examples import CORPORA  # noqa: PLC0415  only where there is a reader

        seen = any(each.interaction_id not in corpus.unseen for each in corpus.interactions())
        return seen and (CORPORA / corpus.name).is_dir()

    @cached_property
    def _material(self) -> "Material":
        try:
            from hegui.reading.train import Material  # noqa: PLC0415  needs scikit-learn
        except ModuleNotFoundError as error:
            raise MissingLibraryError(
                f"the five folds train the reader anew, which needs {error.name}: "
                "run `make venv`, or leave them out with --no-folds"
            ) from error
        from hegui.reading.examples import all_examples, seen_corpora  # noqa: PLC0415

        self._on_step("collecting what the reader learns from")
        pack = parse(self._files)
        return Material.of(all_examples(pack, seen_corpora()), pack)
