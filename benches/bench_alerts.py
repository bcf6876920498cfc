"""How long a critical message takes from the agency's webhook to the lender's alert.

Run: .venv/bin/python -m benches.bench_alerts [COUNT]; API, worker and database as deployed.
"""

import statistics
import sys
import time

import httpx

from service import db
from service.alerts import endpoints
from tests.factories import encode, make_agency, make_case, make_sms, make_tenant, sign
from tests.receiver import Receiver
from tests.workers.system import running_system

THREAT = "再不还钱，我们今天就上门泼油漆，让你家里人都不得安宁。"
START_S = 60


def main(count: int) -> None:
    waits: list[float] = []
    with Receiver() as receiver, running_system(receiver.address) as system:
        lender = make_tenant()
        agency = make_agency(lender)
        with db.tenant_session(lender.id) as session:
            wish = endpoints.EndpointWish(url=receiver.url)
            endpoints.add_endpoint(session, tenant_id=lender.id, wish=wish, by="bench")
        transport = httpx.HTTPTransport(retries=50)
        with httpx.Client(base_url=system.url, timeout=20, transport=transport) as client:
            system.wait_until(lambda: is_up(client), START_S)
            for number in range(count + 1):
                case_id = f"K-{number}"
                sms = make_sms(case_id=case_id, text=THREAT)
                for event in (make_case(case_id=case_id), sms):
                    begun = time.time()
                    body = encode(event)
                    headers = sign(agency.secret, body)
                    client.post(f"/v1/webhooks/{agency.id}", content=body, headers=headers)
                receiver.wait_for(number + 1, START_S)
                waits.append(receiver.requests[number].at - begun)
    del waits[0]  # the worker reads its pack for the first one
    p95 = statistics.quantiles(waits, n=20)[-1]
    print(f"{count} messages: median {statistics.median(waits):.2f} s, p95 {p95:.2f} s")


def is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").is_success
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
