"""Measures training time by the number of rows, which should grow linearly.

python benchmarks/scaling.py [--data ../shared/data/cola/in_domain_train.tsv]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from record import write

import tunesmith

ROWS = (1000, 2000, 4000, 8000)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="../shared/data/cola/in_domain_train.tsv")
    args = parser.parse_args()
    lines = [line.split("\t") for line in Path(args.data).read_text(encoding="utf-8").splitlines()]
    rows = [{"text": cells[3], "label": cells[1]} for cells in lines]
    table = []
    with tempfile.TemporaryDirectory() as place:
        for count in ROWS:
            run = tunesmith.train(
                rows[:count],
                output=f"{place}/{count}",
                evaluate={"baselines": ["majority"]},
                train={"num_train_epochs": 1, "n_evaluations": 1, "per_device_train_batch_size": 32},
            )
            training = run.result.training
            used = run.result.data["splits"]["train"]["rows"]
            seconds = used / training["rows_per_second"]
            table.append(
                {
                    "rows": used,
                    "loop_seconds": seconds,
                    "rows_per_second": training["rows_per_second"],
                    "timings": run.result.timings_seconds,
                }
            )
    slope, start = np.polyfit([row["rows"] for row in table], [row["loop_seconds"] for row in table], 1)
    power = np.polyfit(np.log([row["rows"] for row in table]), np.log([row["loop_seconds"] for row in table]), 1)[0]
    write("scaling", {"table": table, "seconds_per_row": slope, "seconds_at_zero": start, "exponent": power})


if __name__ == "__main__":
    main()
