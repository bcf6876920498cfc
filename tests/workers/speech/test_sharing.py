import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from workers.speech.sharing import Sharing, Wish

HEAVIEST = 8.0
Asked = Wish[int, int]


class Model:
    """Squares numbers, holds the door shut until it is told, and remembers its batches."""

    def __init__(self) -> None:
        self.sharing: Sharing[int, int] = Sharing(HEAVIEST)
        self.batches: list[list[int]] = []
        self.is_open = threading.Event()
        self.entered = threading.Event()

    def serve(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.entered.set()
        assert self.is_open.wait(10)
        if any(item < 0 for item in items):
            raise ValueError("below nothing")
        return [item * item for item in items]

    def ask(self, items: Sequence[int], kind: str = "long") -> list[int]:
        return self.sharing.ask([Wish(item, kind, 1.0, self.serve) for item in items])

    def gathered(self, count: int) -> None:
        """Wait until so many wishes stand before the door."""
        until = threading.Event()
        for _ in range(1000):
            if len(self.sharing._waiting) >= count:
                return
            until.wait(0.005)
        raise AssertionError("they did not come")


@pytest.fixture
def model() -> Model:
    return Model()


def asked_meanwhile(
    model: Model, *requests: tuple[Sequence[int], str]
) -> list["Future[list[int]]"]:
    """Let callers ask, one after another, while the model is busy with a first wish; then open."""
    futures = []
    with ThreadPoolExecutor(len(requests) + 1) as pool:
        futures.append(pool.submit(model.ask, [0]))
        assert model.entered.wait(10)
        expected = 0
        for items, kind in requests:
            futures.append(pool.submit(model.ask, items, kind))
            expected += len(items)
            model.gathered(expected)
        model.is_open.set()
    return futures[1:]


def test_callers_share_batches_of_one_kind_and_get_their_own(model: Model) -> None:
    found = asked_meanwhile(model, ([1, 2], "long"), ([3], "short"), ([4, 5], "long"))

    assert [each.result() for each in found] == [[1, 4], [9], [16, 25]]
    assert sorted(map(sorted, model.batches)) == [[0], [1, 2, 4, 5], [3]]


def test_an_error_reaches_its_own_caller_alone(model: Model) -> None:
    good, bad, other = asked_meanwhile(model, ([1, 2], "long"), ([3, -4], "long"), ([5], "long"))

    assert (good.result(), other.result()) == ([1, 4], [25])
    with pytest.raises(ValueError, match="below nothing"):
        bad.result()
    assert model.ask([6]) == [36]


def test_a_caller_with_much_to_ask_does_not_hold_up_one_with_little(model: Model) -> None:
    long = list(range(100, 140))
    asked_meanwhile(model, (long, "long"), ([1, 2], "long"), ([3], "long"))

    assert {1, 2, 3} <= set(model.batches[1])
    assert sum(map(len, model.batches)) == 1 + len(long) + 3
    assert max(map(len, model.batches)) == HEAVIEST


def test_newcomers_do_not_hold_up_a_long_request_for_ever(model: Model) -> None:
    model.is_open.set()
    ended: list[int] = []
    is_over = threading.Event()

    def crowd() -> None:
        while not is_over.is_set():
            model.ask([1], "short")

    def long() -> None:
        model.ask(range(2, 42), "long")
        ended.append(len(model.batches))
        is_over.set()

    threads = [threading.Thread(target=crowd) for _ in range(4)]
    threads.append(threading.Thread(target=long))
    for each in threads:
        each.start()
    for each in threads:
        each.join(20)

    assert ended
    own = [at for at, batch in enumerate(model.batches) if batch[0] > 1]
    assert len(own) == 40 / HEAVIEST
    assert own[-1] - own[0] < 60  # each of its turns comes after a few of theirs
