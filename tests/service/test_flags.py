"""Every flag that the speech side can raise has words in the report."""

from service.evidence.report_hearing import FLAGS
from workers.speech.decode import FLAGS as DECODED


def test_the_report_has_words_for_every_flag_of_the_decoder() -> None:
    assert set(DECODED) <= set(FLAGS)
