#!/bin/sh
# What host-trainer does on a machine with a GPU, within ten minutes: a smoke run with its parity ladder, pictures per second of each
# stage beside the same loop in PyTorch, and then as much of a training as fits. docs/training.md explains the results.
#
#   HOST_TRAINER=PROGRAM FERPLUS=FILE.tar.xz-or-DIR OUT=DIR tests/gpu/run.sh [--cpu] [--quick]
#
# It needs python3 with PyTorch 2.11.0, whose libtorch the program then uses, and the assets of `cargo xtask setup`
# (EXPRESSION_ASSETS names their folder). With --cpu, PyTorch may be absent; the program then uses the libtorch that it was built with.
#
#   --cpu     run on the CPU
#   --quick   a few pictures and one preset: tests the script itself
#   SECONDS_ALL=540     when to be done, in seconds from the start
#   PEAK_TFLOPS=N       the GPU's peak in bf16, for shares of it; by default that of its name, if the script knows it
#   PRESET=ferplus      preset of the training
#   FROM=DIR            folder with the checkpoints of an earlier call (its OUT): the training continues from there
set -eu

started=$(date +%s)
device=cuda quick=
for argument in "$@"; do
    case $argument in
        --cpu) device=cpu ;;
        --quick) quick=1 ;;
        *) echo "unknown argument $argument; --cpu and --quick are known" >&2; exit 2 ;;
    esac
done
: "${HOST_TRAINER:?name the program}" "${FERPLUS:?name the archive or folder of FER+}" "${OUT:?name a folder for the results}"
all=${SECONDS_ALL:-540} preset_trained=${PRESET:-ferplus}
here=$(cd "$(dirname "$0")" && pwd)
presets=$here/../../host-trainer/presets
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say() { echo "gpu: $*" >&2; }
left() { echo $((all - ($(date +%s) - started))); }

# The program's libtorch.
if torch=$(python3 -c 'import torch; print(torch.__path__[0])' 2>/dev/null); then
    version=$(python3 -c 'import torch; print(torch.__version__.split("+")[0])')
    if [ "$version" = 2.11.0 ]; then
        export LD_LIBRARY_PATH="$torch/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" LIBTORCH_CUDA="$torch/lib"
    elif [ $device = cuda ]; then
        say "python3 has PyTorch $version; the program needs 2.11.0"; exit 2
    fi
elif [ $device = cuda ]; then
    say "python3 has no PyTorch; install PyTorch 2.11.0"; exit 2
else
    torch=
    say "python3 has no PyTorch: nothing to compare with"
fi

# FER+, and a short one: its first pictures.
case $FERPLUS in
    *.tar.*) tar xf "$FERPLUS" -C "$work"; data=$work/FERPlus ;;
    *) data=$(cd "$FERPLUS" && pwd) ;;
esac
train=6000 test=256
[ -z "$quick" ] || { train=96 test=24; }
short=$work/short
mkdir "$short"
ln -s "$data/data" "$short/data"
awk -F, -v train=$train -v test=$test '
    NR == 1 || ($1 == "Training" && $2 != "" && train-- > 0) || ($1 == "PublicTest" && $2 != "" && test-- > 0)
' "$data/fer2013new.csv" > "$short/fer2013new.csv"

run() { # FOLDER PRESET [FLAG ...]; sh has no local variables, so it has names of its own
    run_folder=$1 run_preset=$2
    shift 2
    "$HOST_TRAINER" run-all --preset "$run_preset" --device $device --runs "$work/runs" --name "$run_folder" "$@" \
        >"$work/$run_folder.log" 2>&1
}

say "smoke run"
rungs=held
run smoke smoke --data "ferplus:$short" --limit $((train / 2)) --accept-rung3 || rungs=failed
tail -n 25 "$work/smoke.log"
[ -e "$work/runs/smoke/metrics.json" ] || { say "the smoke run failed"; exit 1; }
cp "$work/runs/smoke/metrics.json" "$OUT/smoke.json"
[ $rungs = held ] || { say "a rung of the parity ladder failed"; exit 1; }

say "pictures per second"
: > "$OUT/throughput.jsonl"
names="edge ferplus paper"
[ -z "$quick" ] || names=edge
rounds="1 2"
for name in $names; do
    [ "$(left)" -gt 120 ] || [ -n "$quick" ] || { say "no time for $name"; continue; }
    # Two epochs of each stage: the first one warms up. VGG-Face is in no package, so that MobileNetV1 stands in for it: the expression
    # net and its loop are the same.
    sed -e 's/^epochs = .*/epochs = 2/' -e 's/^teacher = .*/teacher = 0.0/' -e 's/^teacher_views = .*/teacher_views = 0/' \
        -e 's/^average = .*/average = 0.0/' -e 's/^prior = .*/prior = 0.0/' -e 's/^views = .*/views = 1/' \
        -e 's/^model = "vgg-16"/model = "mobilenet-v1"/' -e 's/^layer = "pool5"/layer = "conv_pw_11_relu"/' \
        -e 's/^calibration_samples = .*/calibration_samples = 32/' "$presets/$name.toml" > "$work/$name.toml"
    # A face net that is not tuned needs no time: `ferplus` measures its tuning too.
    [ "$name" = ferplus ] || sed -i '/^\[face_net_tuning\]/,/^\[stage_one\]/s/^epochs = .*/epochs = 0/' "$work/$name.toml"
    for round in $rounds; do
        limit=$train
        [ "$name" != paper ] || limit=$((train / 4))
        run "$name-$round" "$work/$name.toml" --data "ferplus:$short" --limit $limit --accept-rung3 \
            || say "$name: $(tail -n 1 "$work/$name-$round.log")"
        python3 "$here/rates.py" "$work/runs/$name-$round/metrics.json" "$name" "$round" >> "$OUT/throughput.jsonl"
        [ -z "$torch" ] || python3 "$here/../peers/torch_loop.py" --preset "$work/$name.toml" --name "$name" --round "$round" \
            --device $device ${quick:+--seconds 1} >> "$OUT/throughput.jsonl"
    done
done
python3 "$here/compare.py" "$OUT/throughput.jsonl" ${PEAK_TFLOPS:+--peak "$PEAK_TFLOPS"} | tee "$OUT/throughput.md"

# The training, until time is up. SIGTERM ends it after the step at hand; at most one epoch is lost.
runs=$work/runs
resume=
if [ -n "${FROM:-}" ]; then
    cat "$FROM"/checkpoints.part-* | tar xf - -C "$runs"
    resume=--resume
fi
set_of_all=$data flags=
[ -z "$quick" ] || { set_of_all=$short preset_trained=smoke; }
limit_s=$(left) status=0
if [ "$limit_s" -gt 30 ]; then
    say "training $preset_trained for $limit_s s"
    timeout --signal=TERM --kill-after=20 "$limit_s" "$HOST_TRAINER" run-all --preset "$preset_trained" --device $device --runs "$runs" \
        --name training --data "ferplus:$set_of_all" $resume >"$OUT/training.log" 2>&1 || status=$?
    tail -n 5 "$OUT/training.log"
fi
# What the net answers is computed again where it is needed: caches stay here.
if [ -d "$runs/training" ]; then
    (cd "$runs" && find training -type f ! -name '*maps*' ! -name '*answers*' ! -name report.html | tar cf - -T -) |
        split -b 15m - "$OUT/checkpoints.part-"
fi
# 124 and 1: stopped by the clock, or by the parity ladder, of which the log tells. Whatever stopped it, its checkpoints are kept.
[ $status -le 1 ] || [ $status -eq 124 ] || { say "the training failed with status $status"; exit 1; }
say "done in $(($(date +%s) - started)) s"
