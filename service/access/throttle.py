"""Attempts to sign in: the more failed, for an account or from an address, the longer the wait.

The database counts for all processes. An attempt is counted before its password is looked at, so
that many at once are not checked for the price of one; an account that nobody has counts as well.
"""

from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network, ip_address

from sqlalchemy import text

from service.db import front_door_session
from service.errors import LimitedError

FREE_OF_ACCOUNT, FREE_OF_ADDRESS = 5, 50
LONGEST_WAIT_S = 900
# NIST SP 800-63B-4 §3.2.2: no more failures in a row than this; then a new password is needed.
MOST_OF_ACCOUNT = 100
_OVER_S = 86_400
_ADDRESS_KEPT_S = 3600

_KNOW = text(
    "insert into sign_in_attempt (subject, failures, last_at)"
    " values (:subject, 0, clock_timestamp()) on conflict do nothing"
)
_LOOK = text(
    "select failures, extract(epoch from clock_timestamp() - last_at)::float8 as age_s"
    " from sign_in_attempt where subject = :subject for update"
)
_COUNT = text(
    "update sign_in_attempt set failures = :failures, last_at = clock_timestamp()"
    " where subject = :subject"
)
_FORGET = text("delete from sign_in_attempt where subject = :subject")
_FORGIVE = text(
    "update sign_in_attempt set failures = greatest(failures - 1, 0) where subject = :subject"
)
_SWEEP = text(
    "delete from sign_in_attempt where subject in (select subject from sign_in_attempt"
    " where last_at < now() - interval '30 days' limit 100 for update skip locked)"
)


def account_of(owner: str, email: str) -> str:
    """Name an account for counting; what is kept says nothing of the person."""
    return sha256(f"account|{owner}|{email}".encode()).hexdigest()


def address_of(address: str) -> str:
    """Name where an attempt comes from: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        found = ip_address(address)
    except ValueError:
        return sha256(b"address|unknown").hexdigest()
    if isinstance(found, IPv6Address):
        place = str(IPv6Network((found, 64), strict=False))
    else:
        place = str(found)
    return sha256(f"address|{place}".encode()).hexdigest()


def begin_attempt(account: str, address: str) -> None:
    """Count an attempt; raises `LimitedError` where it must wait, and counts nothing then."""
    with front_door_session() as session:
        connection = session.connection()
        connection.execute(_SWEEP)
        counts: dict[str, int] = {}
        for subject in sorted((account, address)):
            connection.execute(_KNOW, {"subject": subject})
            failures, age_s = connection.execute(_LOOK, {"subject": subject}).one()
            if subject == address:
                failures = 0 if age_s > _ADDRESS_KEPT_S else failures
                wait_s = _wait(failures - FREE_OF_ADDRESS, age_s)
            else:
                wait_s = _wait(failures - FREE_OF_ACCOUNT, age_s)
                wait_s = _OVER_S if failures >= MOST_OF_ACCOUNT else wait_s
            if wait_s > 0:
                raise LimitedError(
                    "Too many attempts failed; wait, or have a new password set.",
                    wait_s=wait_s,
                    policy={},
                )
            counts[subject] = failures + 1
        for subject, failures in counts.items():
            connection.execute(_COUNT, {"subject": subject, "failures": failures})


def end_attempt(account: str, address: str) -> None:
    """Take the failures of an account back after it signed in, and this attempt of the address."""
    with front_door_session() as session:
        for statement, subject in sorted(
            ((_FORGET, account), (_FORGIVE, address)), key=lambda pair: pair[1]
        ):
            session.connection().execute(statement, {"subject": subject})


def forget_account(account: str) -> None:
    """Let an account be tried anew: it has a new password."""
    with front_door_session() as session:
        session.connection().execute(_FORGET, {"subject": account})


def _wait(over: int, age_s: float) -> float:
    """Seconds still to wait when `over` attempts beyond the free ones failed, the last `age_s` ago.

    It doubles with each, from one second to a quarter of an hour.
    """
    if over < 0:
        return 0.0
    return float(min(2 ** min(over, 20), LONGEST_WAIT_S)) - age_s
