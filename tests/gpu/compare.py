"""Prints a table of pictures per second, host-trainer beside PyTorch: compare.py THROUGHPUT.jsonl [--peak TFLOPS].

The share of the peak counts three times the multiply-accumulates of the net's forward pass, two operations each.
"""

import argparse
import json

# Dense bf16, from the vendor's data sheets, TFLOP/s.
PEAKS = {"H100": 989.0, "H200": 989.0, "A100": 312.0, "L40": 181.0, "4090": 165.0}

parser = argparse.ArgumentParser()
parser.add_argument("file")
parser.add_argument("--peak", type=float, help="TFLOP/s; by default that of the device's name")
arguments = parser.parse_args()
with open(arguments.file) as file:
    rows = [json.loads(line) for line in file if line.strip()]
best, macs, device = {}, {}, ""
for row in rows:
    key = row["name"], row["stage"]
    of_loop = best.setdefault(key, {})
    of_loop[row["loop"]] = max(of_loop.get(row["loop"], 0.0), row["samples_per_second"])
    if "macs" in row:
        macs[key], device = row["macs"], row["device"]
peak = arguments.peak or next((peak for name, peak in PEAKS.items() if name in device), None)
print(f"Pictures per second, the better of two rounds{f', {device}' if device else ''}.\n")
print("| preset | stage | host-trainer | PyTorch | ratio | share of the peak |\n| --- | --- | --- | --- | --- | --- |")
for (name, stage), loops in best.items():
    ours, torch = loops.get("host-trainer"), loops.get("pytorch")
    ratio = f"{ours / torch:.2f}" if ours and torch else "-"
    share = f"{6 * macs[name, stage] * ours / peak / 1e10:.1f} %" if ours and peak and (name, stage) in macs else "-"
    show = lambda rate: f"{rate:,.0f}" if rate else "-"
    print(f"| {name} | {stage} | {show(ours)} | {show(torch)} | {ratio} | {share} |")
