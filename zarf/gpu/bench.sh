#!/usr/bin/env bash
# Indexes demo images on a machine with an NVIDIA GPU, with models of real size and random weights, and prints images per second, how busy
# the GPU was, and the stage that limits. Needs Rust, python3, PyPI and the driver of the GPU; about 10 GB under target.
#
#     zarf/gpu/bench.sh                                # CLIP ViT-B/32 and SigLIP 2 B/16-256, fp32 and fp16, by CUDA
#     DEVICE=tensorrt COUNT=20000 BATCH=128 zarf/gpu/bench.sh
#     DEVICE=cpu COUNT=200 BATCH=8 zarf/gpu/bench.sh   # the same without a GPU, to test this script
set -euo pipefail
cd "$(dirname "$0")/../.."

device=${DEVICE:-cuda}
count=${COUNT:-10000}
batch=${BATCH:-256}
models=${MODELS:-clip-b32 siglip2-b16-256}
precisions=${PRECISIONS:-fp32 fp16}
peers=${PEERS:-target/peers}
glimpse=${GLIMPSE:-target/release/glimpse}

case $device in
cpu) package=onnxruntime precisions=fp32 ;;
*)
    command -v nvidia-smi >/dev/null || { echo "nvidia-smi was not found: this machine has no NVIDIA driver" >&2; exit 1; }
    nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader
    package='onnxruntime-gpu[cuda,cudnn]'
    ;;
esac
# TensorRT is a package of its own; onnxruntime-gpu 1.31 is built for its version 10.
if [[ $device == tensorrt* ]]; then package+=' tensorrt-cu13<11'; fi

if [ -z "${ORT_DYLIB_PATH:-}" ]; then
    ORT_DYLIB_PATH=$PWD/$(PACKAGE=${package%% *} zarf/onnxruntime/install.sh)
    [ -f "$ORT_DYLIB_PATH" ] || { echo "$package could not be installed from PyPI" >&2; exit 1; }
    if [[ $package == *' '* ]]; then "${ORT_DYLIB_PATH%%/lib/python*}/bin/pip" install --quiet "${package#* }"; fi
fi
export ORT_DYLIB_PATH
# The packages of NVIDIA put their libraries where the loader does not look.
packages=${ORT_DYLIB_PATH%/onnxruntime/capi/*}
nvidia=$(find "$packages" -name '*.so*' \( -path '*/nvidia/*' -o -path '*/tensorrt_libs/*' \) -printf '%h\n' 2>/dev/null | sort -u | paste -sd:)
export LD_LIBRARY_PATH=${ORT_DYLIB_PATH%/*}${nvidia:+:$nvidia}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

[ -n "${GLIMPSE:-}" ] || "${CARGO:-cargo}" build --release --locked --features onnxruntime
[ -d "$peers/clip-b32" ] || make target/peers/clip-b32
[ -d "$peers/siglip2-b16-256" ] || make target/peers/siglip2-b16-256

folder=$(mktemp -d)
service='' watcher=''
stop() {
    for process in $service $watcher; do
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    service='' watcher=''
}
trap 'stop; rm -rf "$folder"' EXIT

# Two free ports, for the service and for the bucket in it.
read -r port bucket_port < <(python3 -c 'import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*[one.getsockname()[1] for one in sockets])')
export GLIMPSE_DATA_DIR=$folder/data GLIMPSE_ADDR=127.0.0.1:$port GLIMPSE_S3_ADDR=127.0.0.1:$bucket_port GLIMPSE_LOG=warn
export GLIMPSE_CALIBRATE=false GLIMPSE_MEMORY_MB=4096 IMAGE_EMBED_BATCH_SIZE=$batch IMAGE_BATCH_SIZE=$batch
export GLIMPSE_FETCH_LANES=64 GLIMPSE_EMBED_LANES=4 GLIMPSE_UPSERT_LANES=4

# Starts a service with the variables that are given, and waits until its model is loaded: TensorRT compiles it first.
start() {
    env "$@" "$glimpse" serve >"$folder/log" 2>&1 &
    service=$!
    for _ in {1..3600}; do
        "$glimpse" doctor --quick >/dev/null 2>&1 && return
        kill -0 "$service" 2>/dev/null || break
        sleep 1
    done
    cat "$folder/log" >&2
    echo "the service did not become ready" >&2
    exit 1
}

# Uploads the images once: the bucket is in the data folder, and every model gets a collection of its own.
start CLIP_ENGINE=rten
"$glimpse" seed --count "$count" --prefix images/ >/dev/null
stop

for model in $models; do
    for precision in $precisions; do
        suffix=_$precision
        [ -f "$peers/$model/onnx/vision_model${suffix%_fp32}.onnx" ] || continue
        collection=$(tr -cd '[:alnum:]' <<<"$model$precision")
        model_settings=(CLIP_MODEL="$(realpath "$peers/$model")" CLIP_PRECISION="$precision" VECTOR_DB_COLLECTION="$collection")
        start "${model_settings[@]}" CLIP_ENGINE=onnxruntime CLIP_DEVICE="$device"
        # The first runs choose kernels and allocate memory.
        "$glimpse" ingest --prefix images/ --max-items "$batch" >/dev/null
        if [ "$device" != cpu ]; then
            nvidia-smi --query-gpu=utilization.gpu,memory.used --format=csv,noheader,nounits --loop-ms=200 >"$folder/gpu" &
            watcher=$!
        fi
        "$glimpse" ingest --prefix images/ --json >"$folder/job"
        stop
        python3 zarf/gpu/report.py "$model $precision $device" "$folder/job" "$folder/gpu"
        # The space must be that of rten: a search with another one is refused.
        start "${model_settings[@]}" CLIP_ENGINE=rten
        "$glimpse" search --limit 1 -- 'a cat' >/dev/null || echo "$model $precision: rten has another space" >&2
        stop
    done
done
