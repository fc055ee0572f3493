"""The training loop of stage one and stage two in PyTorch: the same net, batch, views and precision as a preset of host-trainer.

    python3 torch_loop.py --preset host-trainer/presets/edge.toml --name edge --device cuda

It trains on random faces that lie on the device and prints one JSON line per stage with the pictures per second. It is a measure for
host-trainer's own loop, written as a PyTorch user would write it: eager, channels first, autocast where the preset computes in bf16.
"""

import argparse
import json
import time
import tomllib

import torch
from torch import nn
from torch.nn import functional

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--preset", required=True)
parser.add_argument("--name", required=True)
parser.add_argument("--round", type=int, default=1)
parser.add_argument("--device", default="cuda")
parser.add_argument("--seconds", type=float, default=5.0, help="how long to measure each stage")
arguments = parser.parse_args()
with open(arguments.preset, "rb") as file:
    preset = tomllib.load(file)
net, augment = preset["net"], preset["augment"]
device = torch.device(arguments.device)
# `auto` is bf16 on CUDA; on a CPU it depends on the processor, and this loop takes single precision.
bf16 = preset["run"]["precision"] == "bf16" or (preset["run"]["precision"] == "auto" and device.type == "cuda")
ADAPTER, LABELS, FACES = 512, 8, 2048


class Net(nn.Module):
    """Convolutions with batch norm, ReLU and pools, the 1x1 adapter, the hidden layer over the whole map, the classifier."""

    def __init__(self):
        super().__init__()
        layers, channels, side, self.macs = [], net["channels"], net["size"], 0
        for number, to in enumerate(net["convolutions"], 1):
            layers += self.block(channels, to, 3, 1)
            self.macs += 9 * channels * to * side * side
            channels = to
            if number in net["pools"]:
                layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
                side = (side - 2) // 2 + 1 if side > 2 else 1
        self.maps = nn.Sequential(*layers, *self.block(channels, ADAPTER, 1, 0))
        self.macs += channels * ADAPTER * side * side
        with torch.no_grad():
            side = self.maps.eval()(torch.zeros(1, net["channels"], net["size"], net["size"])).shape[-1]
        self.maps.train()
        self.hidden = nn.Sequential(*self.block(ADAPTER, net["hidden"], side, 0))
        self.macs_hidden = ADAPTER * net["hidden"] * side * side + net["hidden"] * LABELS
        self.classifier = nn.Linear(net["hidden"], LABELS)
        self.side = side

    @staticmethod
    def block(channels, to, kernel, padding):
        norm = [nn.BatchNorm2d(to)] if net["batch_norm"] else []
        return [nn.Conv2d(channels, to, kernel, padding=padding), *norm, nn.ReLU(inplace=True)]

    def forward(self, faces):
        hidden = self.hidden(self.maps(faces)).flatten(1)
        return self.classifier(functional.dropout(hidden, net["dropout"], self.training))


def views(count):
    """Random rotation, scale, shift and mirroring as affine maps, from the ranges of the preset."""
    within = lambda value: (torch.rand(count) * 2 - 1) * value
    angle, size = torch.deg2rad(within(augment["rotation"])), 1 + within(augment["scale"])
    right, down = 2 * within(augment["shift"]), 2 * within(augment["shift"])
    mirror = torch.where(torch.rand(count) < 0.5, -1.0, 1.0) if augment["mirror"] else torch.ones(count)
    unit = net["size"] / net["aligned"] * size
    rows = [unit * angle.cos() * mirror, -unit * angle.sin(), right, unit * angle.sin() * mirror, unit * angle.cos(), down]
    return torch.stack(rows, 1).view(count, 2, 3).to(device)


def seen(aligned, rows):
    faces = aligned[rows].float()
    shape = [len(rows), net["channels"], net["size"], net["size"]]
    grid = functional.affine_grid(views(len(rows)), shape, align_corners=False)
    return (functional.grid_sample(faces, grid, padding_mode="border", align_corners=False) - 128) / 64


def measure(stage, step, batch, macs):
    """Pictures per second of `step`, after some steps to warm up."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    for _ in range(3):
        step(torch.randint(FACES, (batch,), device=device)).item()
    wait()
    started, pictures = time.perf_counter(), 0
    while time.perf_counter() - started < arguments.seconds:
        # The loss is read at each step, as host-trainer does: it ends a training whose loss is not a number.
        step(torch.randint(FACES, (batch,), device=device)).item()
        pictures += batch
    wait()
    rate = pictures / (time.perf_counter() - started)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "the CPU"
    line = {"name": arguments.name, "round": arguments.round, "stage": stage, "loop": "pytorch", "samples_per_second": rate}
    print(json.dumps(line | {"macs": macs, "device": name}))


def loop(parameters, settings, loss):
    optimizer = torch.optim.SGD(parameters, settings["rate"], settings["momentum"], weight_decay=settings["weight_decay"])

    def step(rows):
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            value = loss(rows)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value.detach()

    return step


torch.manual_seed(1)
model = Net().to(device)
aligned = torch.randint(256, (FACES, net["channels"], net["aligned"], net["aligned"]), dtype=torch.uint8, device=device)
targets = torch.rand(FACES, ADAPTER, model.side, model.side, device=device).half()
votes = torch.rand(FACES, LABELS, device=device).softmax(1)
power = preset["stage_one"]["power"]


def stage_one(rows):
    maps = model.maps(seen(aligned, rows))
    return (maps.float() - targets[rows].float()).abs().pow(power).mean()


def stage_two(rows):
    logits = model(seen(aligned, rows))
    return -(logits.float().log_softmax(1) * votes[rows]).sum(1).mean()


step = loop(model.maps.parameters(), preset["stage_one"], stage_one)
measure("stage one", step, preset["stage_one"]["batch"], model.macs)
step = loop(model.parameters(), preset["stage_two"], stage_two)
measure("stage two", step, preset["stage_two"]["batch"], model.macs + model.macs_hidden)
