"""The floor: receive the same pages with requests, and do nothing with them.

python -m bench.floor URL RESOURCE
"""

import sys

import requests

PAGE = 10_000


def main(url: str, resource_id: str) -> None:
    session = requests.Session()
    last, received = 0, PAGE
    while received >= PAGE:  # less is nothing but the fields
        query = {"resource_id": resource_id, "limit": PAGE, "records_format": "csv", "filters": {"_id": {"gt": last}}}
        received = 0
        with session.post(url, json=query, timeout=60, stream=True) as answer:
            while chunk := answer.raw.read(64 * 1024):
                received += len(chunk)
        last += PAGE


if __name__ == "__main__":
    main(*sys.argv[1:])
