"""Training the second reader: what it learns from, and that the same lines make the same bytes."""

from importlib.resources import files

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from hegui.cli import app
from hegui.evaluation.anew import Anew
from hegui.evaluation.corpus import Corpus, read_corpus
from hegui.evaluation.folds import pack_files
from hegui.reading.examples import (
    CORPORA,
    LINES,
    Example,
    corpus_examples,
    line_examples,
    lines_digest,
)
from hegui.reading.features import Vocabulary, counts_of, sentences_of
from hegui.reading.learn import Labels
from hegui.reading.settle import Settled
from hegui.reading.train import Material, learn, written
from rules import Pack
from rules.reader import FILE, read_reader
from service.packs import load_pack


@pytest.fixture(scope="module")
def pack() -> Pack:
    """The collection pack."""
    return load_pack()


def some_lines(count: int) -> list[Example]:
    """So many of the lines, evenly spread."""
    lines = list(line_examples())
    return lines[:: max(1, len(lines) // count)]


def test_the_reader_of_the_pack_was_made_of_the_lines_that_lie_here() -> None:
    text = (files("rules") / "packs" / "collection" / FILE).read_text("utf-8")
    assert f'lines: "{lines_digest()}"' in text


def test_every_line_is_read_and_names_rules_of_the_pack(pack: Pack) -> None:
    known = {rule.id for rule in pack.rules}
    count = 0
    for path in LINES.glob("*.yaml"):
        groups = yaml.safe_load(path.read_text("utf-8"))
        count += sum(len(group["lines"]) for group in groups)
    examples = list(line_examples())
    assert len(examples) == count
    assert {rule for e in examples for rule in e.wanted | e.tolerated} <= known


def test_the_same_lines_make_the_same_bytes(pack: Pack) -> None:
    texts = []
    for _ in range(2):
        material = Material.of(some_lines(900), pack)
        learned = learn(material)
        names = learned.families.names
        settled = Settled(
            (0,) * len(names),
            (-900,) * len(names),
            (-800,) * len(names),
            (tuple(range(10)),) * len(names),
        )
        texts.append(written(learned, settled, lines_digest(), len(material.examples)))
    assert texts[0] == texts[1]
    reader = read_reader(texts[0])
    assert reader.families == learned.families
    assert np.array_equal(reader.families.keys, learned.families.keys)
    assert np.array_equal(reader.families.rows, learned.families.rows)


def test_unseen_cases_are_never_learned_from(pack: Pack) -> None:
    corpus = read_corpus(CORPORA / "harbor")
    learned = {example.contact.rsplit("/", 1)[1] for example in corpus_examples(pack, corpus)}
    assert corpus.unseen
    assert learned
    assert not learned & corpus.unseen


def test_a_fold_has_a_reader_that_never_saw_its_cases(pack: Pack) -> None:
    corpus = read_corpus(CORPORA / "market")
    own = [example for example in corpus_examples(pack, corpus) if example.wanted]
    name = own[0].contact.rsplit("/", 1)[1]
    case = next(i.case_id for i in corpus.interactions() if i.interaction_id == name)
    anew = Anew(pack_files())
    material = Material.of([*some_lines(300), *own], pack)
    anew.__dict__["_material"] = material  # as collected, but of fewer lines
    changed = anew.files_without(pack_files(), corpus, [case])
    again = anew.files_without(pack_files(), corpus, [])
    assert changed[FILE] != again[FILE]
    stranger = Corpus("elsewhere", corpus.events, corpus.expected)
    assert anew.files_without(pack_files(), stranger, [case]) == pack_files()


def test_what_is_only_tolerated_teaches_nothing() -> None:
    examples = [
        Example("一", frozenset({"THR-01"}), frozenset({"ABU-01"})),
        Example("二"),
        Example("三", frozenset({"TPC-02"}), to_third=True),
    ]
    read = frozenset({"THR-01", "ABU-01", "TPC-02"})
    threats = Labels.of_family(examples, "THR", read)
    abuse = Labels.of_family(examples, "ABU", read)
    told = Labels.of_family(examples, "TPC", read)
    assert threats.belongs.tolist() == [True, False, False]
    assert threats.tells.tolist() == [True, True, True]
    assert abuse.tells.tolist() == [False, True, True]
    assert told.tells.tolist() == [False, False, True]


def test_rows_are_of_length_one_and_know_only_what_is_met_twice() -> None:
    texts = [counts_of(line) for line in ("今天还钱", "今天还款", "明天再说")]
    vocabulary = Vocabulary.of(texts)
    rows = vocabulary.matrix(texts).toarray()
    assert np.linalg.norm(rows[0]) == pytest.approx(1.0)
    assert set(vocabulary.keys.tolist()) <= set(texts[0]) | set(texts[1])
    assert sentences_of("你好。我们明天上门！行。") == ["我们明天上门"]


def test_explaining_a_sentence_tells_what_the_reader_adds() -> None:
    said = "楼下停的白车是你家的吧，夜里露天放着，油箱盖可不结实"
    told = CliRunner().invoke(app, ["rules", "explain", said])
    assert told.exit_code == 0
    assert "review. A second reader suggests" in told.stdout.splitlines()[-1]
