"""Runs another engine on a net that convert.py has written, as `cargo xtask bench` asks on stdin.

    python peer.py ENGINE FOLDER --threads N --faces N

Prints the logits of the faces in `faces.u8` on one line, or `cannot: REASON`. Each line of stdin then asks for a turn: `seconds S` or
`calls N`. The answer is the processor time of the turn, then the times of its calls, all in nanoseconds. A turn begins and ends with
the system call getppid, by which an emulator tells where to count instructions.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy


class Net:
    """The files of a net and its faces, u8 [faces, channels, size, size]."""

    def __init__(self, folder, faces, threads):
        self.folder, self.count, self.threads = Path(folder), faces, threads
        shape = [int(word) for word in (self.folder / "shape").read_text().split()]
        stored = numpy.fromfile(self.folder / "faces.u8", numpy.uint8)
        self.faces = stored.reshape(-1, *shape)[:faces].copy()
        # What the first layer's quantization makes of a byte.
        self.floats = (self.faces.astype(numpy.float32) - 128) / 64

    def file(self, name):
        return str(self.folder / name)


def onnxruntime(net, form):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = net.threads, 1
    options.log_severity_level = 3
    path = net.file(f"qlinear-{net.count}.onnx" if form == "int8" else "float.onnx")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    faces = net.faces if form == "int8" else net.floats
    binding.bind_ortvalue_input(session.get_inputs()[0].name, onnxruntime.OrtValue.ortvalue_from_numpy(faces))
    shape = [net.count, *session.get_outputs()[0].shape[1:]]
    logits = onnxruntime.OrtValue.ortvalue_from_numpy(numpy.zeros(shape, numpy.float32))
    binding.bind_ortvalue_output(session.get_outputs()[0].name, logits)
    return lambda: session.run_with_iobinding(binding), logits.numpy


def openvino(net):
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": net.threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    # The other engines are not pinned to cores either.
    settings["ENABLE_CPU_PINNING"] = False
    compiled = core.compile_model(core.read_model(net.file(f"qdq-{net.count}.onnx")), "CPU", settings)
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(net.faces))
    return request.infer, lambda: request.get_output_tensor().data


def litert(net):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(net.file(f"int8-{net.count}.tflite"), num_threads=net.threads)
    interpreter.allocate_tensors()
    face, logits = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    signed = (net.faces.astype(numpy.int16) - 128).astype(numpy.int8)
    interpreter.set_tensor(face["index"], numpy.ascontiguousarray(signed.transpose(0, 2, 3, 1)))
    scale, zero = logits["quantization"]
    read = lambda: (interpreter.get_tensor(logits["index"]).astype(numpy.float32) - zero) * scale
    return interpreter.invoke, read


def ncnn(net, form):
    import ncnn

    loaded = ncnn.Net()
    loaded.opt.num_threads = net.threads
    loaded.opt.use_vulkan_compute = False
    loaded.load_param(net.file(f"ncnn-{form}.param"))
    loaded.load_model(net.file(f"ncnn-{form}.bin"))
    mats = [ncnn.Mat(face).clone() for face in net.floats]
    logits = [None] * net.count

    # It has no batches.
    def run():
        for index, mat in enumerate(mats):
            extractor = loaded.create_extractor()
            extractor.input("face", mat)
            logits[index] = extractor.extract("logits")[1]

    return run, lambda: numpy.stack([numpy.array(mat) for mat in logits])


def mnn(net):
    import MNN

    interpreter = MNN.Interpreter(net.file("float.mnn"))
    session = interpreter.createSession({"numThread": net.threads, "precision": "low", "backend": "CPU"})
    shape, layout = net.floats.shape, MNN.Tensor_DimensionType_Caffe
    if net.count > 1:
        interpreter.resizeTensor(interpreter.getSessionInput(session), shape)
        interpreter.resizeSession(session)
    host = MNN.Tensor(shape, MNN.Halide_Type_Float, net.floats, layout)
    face = interpreter.getSessionInput(session)

    # A run overwrites its input.
    def run():
        face.copyFrom(host)
        interpreter.runSession(session)

    output = interpreter.getSessionOutput(session)

    def read():
        shape = output.getShape()
        host = MNN.Tensor(shape, MNN.Halide_Type_Float, numpy.zeros(shape, numpy.float32), layout)
        output.copyToHostTensor(host)
        # Its memory goes with `host`.
        return host.getNumpyData().copy()

    return run, read


ENGINES = {
    "onnxruntime": lambda net: onnxruntime(net, "int8"),
    "onnxruntime-float": lambda net: onnxruntime(net, "float"),
    "openvino": openvino,
    "litert": litert,
    "ncnn": lambda net: ncnn(net, "int8"),
    "ncnn-float": lambda net: ncnn(net, "float"),
    "mnn-float": mnn,
}


def take_turn(run, kind, amount, answers):
    clock, calls = time.perf_counter_ns, []
    os.getppid()
    used, begun = time.process_time_ns(), clock()
    more = (lambda: len(calls) < amount) if kind == "calls" else (lambda: clock() - begun < amount * 1e9)
    while more():
        before = clock()
        run()
        calls.append(clock() - before)
    used = time.process_time_ns() - used
    os.getppid()
    print(used, *calls, file=answers, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("folder")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--faces", type=int, default=1)
    arguments = parser.parse_args()
    # What engines say of themselves goes to stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        run, read = ENGINES[arguments.engine](Net(arguments.folder, arguments.faces, arguments.threads))
        # The second call finds everything that the first has set up.
        run()
        run()
        logits = numpy.asarray(read()).ravel().tolist()
    except Exception as error:
        print("cannot:", " ".join(str(error).split()) or type(error).__name__, file=answers, flush=True)
        os._exit(0)
    print(*logits, file=answers, flush=True)
    for line in sys.stdin:
        kind, amount = line.split()
        take_turn(run, kind, float(amount), answers)
    # Some engines do not end well within Python.
    os._exit(0)


main()
