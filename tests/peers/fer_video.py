"""Frames a second of the PyPI package `fer` on a y4m video, to be compared with `edge-runtime run --profile`.

    python3 -m venv fer && fer/bin/pip install fer==25.10.3
    fer/bin/python tests/peers/fer_video.py VIDEO.y4m [FRAMES]

Loading is not counted, and neither is reading the video. Faces are found by fer's default, OpenCV's Haar cascade.
"""

import sys
import time

import numpy
from fer.fer import FER


def frames(path, most):
    with open(path, "rb") as file:
        header = file.readline().decode().split()
        width, height = (next(int(word[1:]) for word in header if word[0] == kind) for kind in "WH")
        chroma = next((word[1:] for word in header if word[0] == "C"), "420")
        rest = 0 if chroma.startswith("mono") else 2 * ((width + 1) // 2) * ((height + 1) // 2)
        while most > 0 and file.readline().startswith(b"FRAME"):
            luma = numpy.frombuffer(file.read(width * height), numpy.uint8).reshape(height, width)
            file.read(rest)
            most -= 1
            yield numpy.repeat(luma[:, :, None], 3, axis=2)


def main():
    pictures = list(frames(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 300))
    detector = FER()
    detector.detect_emotions(pictures[0])
    started = time.perf_counter()
    faces = sum(len(detector.detect_emotions(picture)) for picture in pictures)
    seconds = time.perf_counter() - started
    print(f"{len(pictures)} frames, {faces} faces, {len(pictures) / seconds:.2f} frames/s")


main()
