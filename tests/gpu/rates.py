"""Prints the pictures per second of each stage of a run, one JSON line per stage: rates.py METRICS.json NAME ROUND."""

import json
import sys

path, name, turn = sys.argv[1:]
try:
    with open(path) as file:
        run = json.load(file)["run"]
except FileNotFoundError:
    sys.exit(0)
for stage, epochs in run["curves"]:
    if not epochs:
        continue
    # The first epoch warms up.
    rate = max(epoch["samples_per_second"] for epoch in (epochs[1:] or epochs))
    print(json.dumps({"name": name, "round": int(turn), "stage": stage, "loop": "host-trainer", "samples_per_second": rate}))
