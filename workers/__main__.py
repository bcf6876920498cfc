"""Starts one worker process: `python -m workers --queue audio --queue rules`."""

import argparse
import sys

from service import log
from service.config import settings
from service.jobs import Queue
from workers.app import run


def main() -> int:
    """Read the command line, run, and give the exit status: 0 told to end, 1 database lost."""
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument(
        "--queue",
        action="append",
        choices=[queue.value for queue in Queue],
        help="a queue to work on; may be given twice; both when absent",
    )
    chosen = parser.parse_args().queue or [queue.value for queue in Queue]
    log.configure(settings())
    return run([Queue(name) for name in dict.fromkeys(chosen)])


if __name__ == "__main__":
    sys.exit(main())
