"""What one would write without much thought, to measure against: requests, json, csv.writer, zipfile.

python -m bench.plain_client URL RESOURCE ZIP
"""

import csv
import io
import sys
import zipfile

import requests

PAGE = 5000


def main(url: str, resource_id: str, path: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("resource.csv", "w") as binary:
        file = io.TextIOWrapper(binary, "utf-8", newline="")
        writer, offset = None, 0
        while True:
            answer = requests.post(url, json={"resource_id": resource_id, "limit": PAGE, "offset": offset}, timeout=60)
            result = answer.json()["result"]
            if writer is None:
                writer = csv.DictWriter(file, [field["id"] for field in result["fields"]])
                writer.writeheader()
            if not result["records"]:
                break
            writer.writerows(result["records"])
            offset += len(result["records"])
        file.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
