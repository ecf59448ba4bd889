"""Prints one line for a finished job: images per second, how busy the GPU was, its memory, and the stage that limits.

    report.py LABEL JOB.json [GPU.csv]
"""

import json
import statistics
import sys
from pathlib import Path


def main(label, job, samples=None):
    # The last line is the job at its end.
    job = json.loads(Path(job).read_text().strip().splitlines()[-1])
    assert job["status"] == "SUCCEEDED", job
    parts = [f"{label}: {job['images_per_second_overall']:.0f} images/s"]
    if samples and Path(samples).exists():
        rows = [line.split(",") for line in Path(samples).read_text().splitlines() if line.count(",") == 1]
        busy = [int(row[0]) for row in rows]
        if busy:
            parts.append(f"GPU busy {statistics.mean(busy):.0f} % (median {statistics.median(busy):.0f} %)")
            parts.append(f"{max(int(row[1]) for row in rows)} MB of its memory")
    stages = ", ".join(f"{name} {100 * stage['busy']:.0f} %" for name, stage in job["stages"].items() if isinstance(stage, dict))
    parts += [f"busy: {stages}", f"limit: {job['bottleneck']}"]
    print("; ".join(parts), flush=True)


main(*sys.argv[1:])
