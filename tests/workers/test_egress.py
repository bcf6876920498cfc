"""No spelling of an internal address is ever dialled, and what is dialled is what was checked."""

import time
from collections.abc import Iterator, Sequence

import httpcore
import pytest

from tests.receiver import Receiver
from workers.egress import Egress, EgressFailedError, EgressRefusedError, Resolve, resolve_name


class Dialer:
    """Counts what would be dialled and connects nothing."""

    def __init__(self) -> None:
        self.dialled: list[tuple[str, int]] = []

    def __call__(self, address: str, port: int, _timeout_s: float) -> httpcore.NetworkStream:
        self.dialled.append((address, port))
        raise httpcore.ConnectError("nothing listens in this test")


class Resolver:
    """Gives the next of its answers each time it is asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, _port: int, _timeout_s: float) -> Sequence[str]:
        self.asked.append(host)
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


SPELLINGS = [
    "https://127.0.0.1/", "https://127.1/", "https://127.0.1/", "https://2130706433/",
    "https://0x7f000001/", "https://0x7f.1/", "https://0177.0.0.1/", "https://017700000001/",
    "https://127.0.0.1./", "https://127.0.0.01/", "https://127.255.255.254/",
    "https://0.0.0.0/", "https://0/", "https://0.1.2.3/", "https://localhost/",
    "https://localhost./", "https://LOCALHOST/", "https://a.localhost/",
    "https://10.0.0.1/", "https://10.255.255.255/", "https://172.16.0.1/",
    "https://172.31.255.255/", "https://192.168.0.1/", "https://192.168.255.255/",
    "https://100.64.0.1/", "https://100.100.100.200/", "https://100.127.255.255/",
    "https://169.254.169.254/latest/meta-data/", "https://169.254.0.1/",
    "https://168.63.129.16/", "https://192.0.0.192/", "https://192.0.2.1/",
    "https://192.88.99.1/", "https://198.18.0.1/", "https://198.19.255.255/",
    "https://198.51.100.7/", "https://203.0.113.9/", "https://224.0.0.1/",
    "https://239.255.255.250/", "https://240.0.0.1/", "https://255.255.255.255/",
    "https://[::]/", "https://[::1]/", "https://[0:0:0:0:0:0:0:1]/", "https://[::127.0.0.1]/",
    "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::ffff:8.8.8.8]/",
    "https://[::ffff:0:127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://[64:ff9b::8.8.8.8]/",
    "https://[64:ff9b:1::a00:1]/", "https://[100::1]/", "https://[2001::1]/",
    "https://[2001:0:7f00:1::]/", "https://[2001:10::1]/", "https://[2001:2::1]/",
    "https://[2001:db8::1]/", "https://[2002:7f00:1::]/", "https://[2002:a00:1::1]/",
    "https://[3fff::1]/", "https://[5f00::1]/", "https://[fc00::1]/", "https://[fd00:ec2::254]/",
    "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[::1%251]/", "https://[fec0::1]/",
    "https://[ff02::1]/", "https://[ff0e::1]/", "https://[v1.x]/",
    "https://user@example.com/", "https://user:word@example.com/", "https://example.com@127.0.0.1/",
    "https://127.0.0.1@example.com/", "https://example.com\\@127.0.0.1/",
    "https://127.0.0.1\\.example.com/", "https://example.com/#@127.0.0.1/",
    "https://127.0.0.1#.example.com/", "https://example.com\t/", "https://exam\nple.com/",
    "https:// example.com/", "https://１２７.0.0.1/", "https://ⓛocalhost/",
    "https://例子.example/", "https://%31%32%37.0.0.1/", "https://127%2e0.0.1/",
    "http://example.com/", "http://127.0.0.1/", "ftp://example.com/", "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_INFO", "data:text/plain,x", "//example.com/", "https:example.com",
    "https:///example.com", "javascript:alert(1)", "", "https://", "https://example.com:22/",
    "https://example.com:25/", "https://example.com:5432/", "https://example.com:6379/",
    "https://example.com:80/", "https://example.com:0/", "https://example.com:99999/",
    "https://example.com:443:80/", "https://example.com:+443/", "https://example..com/",
    "https://-example.com/", "https://intranet/", "https://metadata/",
    "https://example.com/" + "a" * 2048,
    # the same places, otherwise spelt
    "https://0x7f.0x0.0x0.0x1/", "https://0177.0x0.0.1/", "https://0x7F000001/",
    "https://0000177.0.0.1/", "https://127.0.0.1%00.example.com/", "https://127.0.0.1%0d%0a/",
    "https://127。0。0。1/", "https://127．0．0．1/", "https://127｡0｡0｡1/", "https://①②⑦.0.0.1/",
    "https://2852039166/", "https://0xa9fea9fe/", "https://0251.0376.0251.0376/",
    "https://0xA9.0xFE.0xA9.0xFE/", "https://169.254.43518/", "https://169.16689662/",
    "https://[::ffff:a9fe:a9fe]/", "https://[::ffff:169.254.169.254]/",
    "https://[0:0:0:0:0:ffff:7f00:1]/", "https://[0000:0000:0000:0000:0000:0000:0000:0001]/",
    "https://[::ffff:0:0]/", "https://[::a9fe:a9fe]/", "https://[2002:a9fe:a9fe::1]/",
    "https://[64:ff9b::169.254.169.254]/", "https://[64:ff9b::a9fe:a9fe]/",
    "https://[2001:0000:4136:e378:8000:63bf:3fff:fdd2]/", "https://[::1]:443/", "https://[::1/",
    "https://::1/", "https://[]/", "https://[127.0.0.1]/", "https://[::1].example.com/",
    "https://metadata.google.internal./x y", "https://xn--/", "https://xn--a.xn--b-/",
    "https://EXAMPLE.com:443@127.0.0.1/", "https://example.com:443@127.0.0.1:443/",
    "https://example.com%40127.0.0.1/", "https://example.com%2f@127.0.0.1/",
    "https://127.0.0.1?.example.com/", "https://example.com/\r\nHost: 127.0.0.1/",
    "https://example.com/?a\r\nX: y", "https://example.com\r\n.evil/", "https://exa\x00mple.com/",
    "https://example.com:443\r\n/", "https://example.com/\u2028", "https://\u200b127.0.0.1/",
    "\thttps://example.com/", " https://example.com/", "https://example.com/ ",
    "HTTPS:\\\\127.0.0.1",
    "https:\\/\\/127.0.0.1", "ws://example.com/", "wss://example.com/", "ldap://127.0.0.1/",
    "dict://127.0.0.1:11211/", "jar:https://example.com!/", "https+unix://%2Frun/",
    "unix:/run/x",
    "https://example.com:443000/", "https://example.com:-1/", "https://example.com:０/",
    "https://example.com:0x1bb/", "https://.example.com/", "https://example.com./",
    "https://ex_ample.com/", "https://example-.com/", "https://" + "a" * 64 + ".com/",
    "https://kubernetes.default.svc:6443/", "https://127.0.0.1.:443/", "https://[fe80::1%eth0]/",
]  # fmt: skip


def test_the_table_of_spellings_is_long_and_says_nothing_twice() -> None:
    assert len(set(SPELLINGS)) == len(SPELLINGS) >= 180


@pytest.mark.parametrize("url", SPELLINGS)
@pytest.mark.asvs("1.3.6", "13.2.4")
def test_no_spelling_of_a_forbidden_place_is_dialled(url: str) -> None:
    dialer = Dialer()
    egress = Egress(resolve=resolve_name, dial=dialer, connect_s=2)

    with pytest.raises((EgressRefusedError, EgressFailedError)):
        egress.post(url, headers={}, content=b"{}")

    assert dialer.dialled == []


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(["127.0.0.1"], id="loopback"),
        pytest.param(["8.8.8.8", "10.0.0.1"], id="one bad among good"),
        pytest.param(["8.8.8.8", "fe80::1%eth0"], id="zone"),
        pytest.param(["64:ff9b::a9fe:a9fe"], id="metadata behind NAT64"),
        pytest.param(["100.100.100.200"], id="cloud metadata in carrier space"),
        pytest.param([f"8.8.{n}.8" for n in range(100)], id="a hundred answers"),
        pytest.param(["not an address"], id="no address"),
        pytest.param([], id="none"),
    ],
)
def test_a_name_with_any_bad_answer_is_not_dialled(answers: list[str]) -> None:
    dialer = Dialer()

    with pytest.raises(EgressRefusedError):
        Egress(resolve=Resolver(answers), dial=dialer).post(
            "https://hooks.example.com/in", headers={}, content=b"{}"
        )

    assert dialer.dialled == []


@pytest.mark.asvs("1.3.6")
def test_a_name_that_flips_after_the_check_gains_nothing() -> None:
    dialer, resolver = Dialer(), Resolver(["8.8.8.8"], ["127.0.0.1"])
    egress = Egress(resolve=resolver, dial=dialer)

    with pytest.raises(EgressFailedError):
        egress.post("https://hooks.example.com/in", headers={}, content=b"{}")
    assert (resolver.asked, dialer.dialled) == (["hooks.example.com"], [("8.8.8.8", 443)])

    with pytest.raises(EgressRefusedError):
        egress.post("https://hooks.example.com/in", headers={}, content=b"{}")
    assert dialer.dialled == [("8.8.8.8", 443)]


def test_public_addresses_just_outside_the_ranges_are_dialled() -> None:
    edges = [
        "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2001:200::1",
        "2400:3200::1", "2606:4700::1111",
    ]  # fmt: skip
    for edge in edges:
        dialer = Dialer()
        with pytest.raises(EgressFailedError, match="connection_failed"):
            Egress(resolve=Resolver([edge]), dial=dialer).post(
                "https://hooks.example.com/", headers={}, content=b""
            )
        assert dialer.dialled == [(edge, 443)]


def test_a_resolver_that_hangs_is_left_behind() -> None:
    def slow(host: str, port: int, timeout_s: float) -> Sequence[str]:
        time.sleep(min(timeout_s, 0.3))
        raise EgressFailedError("name_timed_out")

    resolve: Resolve = slow
    started = time.monotonic()
    with pytest.raises(EgressFailedError, match="name_timed_out"):
        Egress(resolve=resolve, dial=Dialer(), connect_s=0.3).post(
            "https://hooks.example.com/", headers={}, content=b""
        )
    assert time.monotonic() - started < 1


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def test_a_listed_receiver_is_reached_and_proxies_of_the_environment_are_not(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    reply = Egress(allow=[receiver.address]).post(receiver.url, headers={}, content=b"{}")

    assert reply.status == 204


@pytest.mark.asvs("13.2.4")
def test_a_redirect_is_an_answer_and_not_an_order(receiver: Receiver) -> None:
    receiver.answer(302, {"Location": f"{receiver.url}/elsewhere"})

    reply = Egress(allow=[receiver.address]).post(receiver.url, headers={}, content=b"{}")

    assert reply.status == 302
    assert len(receiver.requests) == 1


def test_a_receiver_that_stalls_costs_no_more_than_the_limit(receiver: Receiver) -> None:
    receiver.stall()
    started = time.monotonic()

    with pytest.raises(EgressFailedError, match="timed_out"):
        Egress(allow=[receiver.address], total_s=0.5).post(receiver.url, headers={}, content=b"")

    assert time.monotonic() - started < 2


def test_a_header_that_trickles_ends_at_the_limit_too(receiver: Receiver) -> None:
    receiver.trickle()
    started = time.monotonic()

    with pytest.raises(EgressFailedError, match="timed_out"):
        Egress(allow=[receiver.address], total_s=0.6).post(receiver.url, headers={}, content=b"")

    assert time.monotonic() - started < 2


def test_an_answer_without_end_does_not_hide_its_status(receiver: Receiver) -> None:
    receiver.answer_endlessly(200)

    reply = Egress(allow=[receiver.address], total_s=5).post(receiver.url, headers={}, content=b"")

    assert reply.status == 200


def test_a_body_over_the_cap_is_refused(receiver: Receiver) -> None:
    receiver.serve("/big", b"x" * 300_000)
    egress = Egress(allow=[receiver.address])

    with (
        pytest.raises(EgressFailedError, match="too_large"),
        egress.get(f"{receiver.url}/big", max_bytes=200_000) as (_, chunks),
    ):
        list(chunks)
    with egress.get(f"{receiver.url}/big", max_bytes=300_000) as (reply, chunks):
        assert (reply.status, sum(map(len, chunks))) == (200, 300_000)


def test_a_certificate_for_another_name_is_refused(receiver: Receiver) -> None:
    with pytest.raises(EgressFailedError, match=r"tls_failed|connection_failed"):
        Egress(allow=[receiver.address]).post(
            receiver.url.replace("http://", "https://"), headers={}, content=b""
        )
