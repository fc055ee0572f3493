#!/bin/sh
# What host-trainer does on a machine with a GPU, within ten minutes: a smoke run with its parity ladder, pictures per second of each
# stage beside the same loop in PyTorch, and then as much of a training as fits: its teachers first, then the student.
# docs/training.md explains the results.
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
#   PRESET=FILE.toml    preset of the training; by default ferplus-distilled with more views, epochs and teachers: OUT/preset.toml
#   FROM=DIR            folder with the checkpoints of an earlier call (its OUT): the training continues from there
#   ONLY_TRAINING=1     no smoke run and no rates: all the time for the training
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
all=${SECONDS_ALL:-540}
here=$(cd "$(dirname "$0")" && pwd)
presets=$here/../../host-trainer/presets
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
work=$(mktemp -d)
results=$work/runs/results
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
mkdir -p "$short" "$results"
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

teacher() { # NAME SIZE EPOCHS SEED: a residual net from scratch, as a table of a preset
    widths='64, 128, 256, 512'
    [ -z "$quick" ] || widths='8, 16'
    cat <<END

[[teachers]]
name = "$1"
source = "scratch"
size = $2
epochs = $3
batch = 64
optimizer = "adamw"
rate = 1e-3
head_rate = 1.0
weight_decay = 0.05
average = 0.999
frozen = 0
seed = $4
scratch = { block = "residual", widths = [$widths], depth = 2 }
END
}

teacher_of_face_net() { # SIZE: the face net, tuned for an epoch
    teacher faceres "$1" 1 1 | sed -e 's/"scratch"/"face-net"/' -e '/^scratch/d'
}

measure() {
say "smoke run"
rungs=held
run smoke smoke --data "ferplus:$short" --limit $((train / 2)) --accept-rung3 || rungs=failed
tail -n 25 "$work/smoke.log"
[ -e "$work/runs/smoke/metrics.json" ] || { say "the smoke run failed"; exit 1; }
cp "$work/runs/smoke/metrics.json" "$results/smoke.json"
[ $rungs = held ] || { say "a rung of the parity ladder failed"; exit 1; }

say "pictures per second"
: > "$results/throughput.jsonl"
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
        python3 "$here/rates.py" "$work/runs/$name-$round/metrics.json" "$name" "$round" >> "$results/throughput.jsonl"
        [ -z "$torch" ] || python3 "$here/../peers/torch_loop.py" --preset "$work/$name.toml" --name "$name" --round "$round" \
            --device $device ${quick:+--seconds 1} >> "$results/throughput.jsonl"
    done
done
python3 "$here/compare.py" "$results/throughput.jsonl" ${PEAK_TFLOPS:+--peak "$PEAK_TFLOPS"} | tee "$OUT/throughput.md"
}
[ -n "${ONLY_TRAINING:-}" ] || measure

# The preset of the training. Teachers of other settings are other teachers: who continues elsewhere takes OUT/preset.toml.
preset_trained=$OUT/preset.toml
if [ -n "${PRESET:-}" ]; then
    [ "$PRESET" -ef "$preset_trained" ] || cp "$PRESET" "$preset_trained"
elif [ -n "${FROM:-}" ]; then
    [ "$FROM" -ef "$OUT" ] || cp "$FROM/preset.toml" "$preset_trained"
elif [ -n "$quick" ]; then
    sed -e 's/^teacher = .*/teacher = 0.5/' -e 's/^teacher_views = .*/teacher_views = 2/' -e 's/^size = 224/size = 64/' \
        -e 's/^epochs = [1-9].*/epochs = 2/' -e 's/^calibration_samples = .*/calibration_samples = 16/' \
        "$presets/smoke.toml" > "$preset_trained"
    teacher small 64 2 1 >> "$preset_trained"
    teacher_of_face_net 64 >> "$preset_trained"
else
    # What two cores have no time for: four times the views, longer tuning, two more teachers of another lineage.
    sed -e 's/^teacher_views = .*/teacher_views = 16/' -e 's/^epochs = 36/epochs = 200/' -e 's/^epochs = 8$/epochs = 12/' \
        -e 's/^epochs = 4$/epochs = 8/' "$presets/ferplus-distilled.toml" > "$preset_trained"
    teacher residual-1 64 40 1 >> "$preset_trained"
    teacher residual-2 96 40 2 >> "$preset_trained"
fi

# The training, until time is up: stage two's schedule ends early enough for measuring. What is interrupted before loses at most an epoch.
runs=$work/runs
resume=
if [ -n "${FROM:-}" ]; then
    cat "$FROM"/checkpoints.part-* | tar xf - -C "$runs"
    # A run that was finished, or never began, is not resumed; its teachers are taken.
    if [ -e "$runs/training/metrics.json" ]; then resume=--overwrite; elif [ -e "$runs/training/config.toml" ]; then resume=--resume; fi
fi
set_of_all=$data
[ -z "$quick" ] || set_of_all=$short
limit_s=$(left) status=0
minutes=$(((limit_s - 100) / 60))
[ $minutes -ge 1 ] || minutes=1
if [ "$limit_s" -gt 30 ]; then
    say "training for $limit_s s"
    timeout --signal=TERM --kill-after=20 "$limit_s" "$HOST_TRAINER" run-all --preset "$preset_trained" --device $device --runs "$runs" \
        --name training --data "ferplus:$set_of_all" --max-minutes $minutes --accept-rung3 $resume >"$OUT/training.log" 2>&1 || status=$?
    tail -n 5 "$OUT/training.log"
fi
# Into pieces goes what a training elsewhere needs. Target maps are large, and computed again where they are needed; of a teacher that
# has answered all views, the answers are enough, but for the face net; of a finished training, the bundle is.
rm -f "$OUT"/checkpoints.part-*
cd "$runs"
views=$(sed -n 's/^teacher_views = \([0-9]*\).*/\1/p' "$preset_trained")
{
    find results training teachers -type f ! -name '*maps*' ! -name report.html ! -name net.safetensors ! -name 'stage-*' 2>/dev/null || true
    [ -e training/metrics.json ] || find training -name 'stage-*' 2>/dev/null || true
    for folder in teachers/*/; do
        [ -e "$folder/net.safetensors" ] || continue
        last=$(printf 'answers-training-%02d.f16' $((views - 1)))
        case $folder in teachers/faceres-*) last= ;; esac
        [ -n "$last" ] && [ -e "$folder/$last" ] || echo "${folder}net.safetensors"
    done
} | tar cf - -T - | split -b 15m - "$OUT/checkpoints.part-"
# 124 and 1: stopped by the clock, or by the parity ladder, of which the log tells. Whatever stopped it, its checkpoints are kept.
[ $status -le 1 ] || [ $status -eq 124 ] || { say "the training failed with status $status"; exit 1; }
say "done in $(($(date +%s) - started)) s"
