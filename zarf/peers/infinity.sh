#!/bin/sh
# Runs the contract of embedding providers against infinity from PyPI, which serves tests/data/clip-tiny, and the tiny SigLIP and SigLIP 2
# under the names of published models: `make test-peers`. Installs infinity into target/peers/infinity once (about 6 GB: its torch includes
# CUDA); only this needs the network. The pinned versions work together; transformers before 4.49 does not load SigLIP 2.
set -eu

here=target/peers/infinity
url=http://127.0.0.1:${INFINITY_PORT:-7997}
siglip=google/siglip-base-patch16-224 siglip2=google/siglip2-base-patch16-224
# The name says what is installed.
if [ ! -e "$here/transformers-4.51.3" ]; then
    python3 -m venv "$here/venv"
    "$here/venv/bin/pip" install --quiet 'infinity-emb[torch,vision,server]==0.0.78' transformers==4.51.3 'click<8.2' aiohttp onnx sentencepiece
    touch "$here/transformers-4.51.3"
fi
"$here/venv/bin/python" zarf/golden/clip_tiny.py --transformers "$here/clip-tiny"
for family in siglip siglip2; do
    "$here/venv/bin/python" zarf/peers/tiny_siglip.py $family "$here/$family"
done

HF_HUB_OFFLINE=1 INFINITY_ANONYMOUS_USAGE_STATS=0 "$here/venv/bin/infinity_emb" v2 \
    --model-id "$here/clip-tiny" --served-model-name clip-tiny --model-id "$here/siglip" --served-model-name $siglip \
    --model-id "$here/siglip2" --served-model-name $siglip2 --engine torch --device cpu --dtype float32 \
    --no-bettertransformer --host 127.0.0.1 --port "${url##*:}" >"$here/log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null' EXIT

tries=0
until "$here/venv/bin/python" -c 'import sys, urllib.request as http; http.urlopen(sys.argv[1] + "/models")' "$url" 2>/dev/null; do
    tries=$((tries + 1))
    if [ $tries -gt 180 ] || ! kill -0 $server 2>/dev/null; then
        cat "$here/log" >&2
        echo "infinity did not start" >&2
        exit 1
    fi
    sleep 1
done
GLIMPSE_INFINITY_URL=$url REQUIRE=infinity "${CARGO:-cargo}" test --locked --test it contract::embed::peers::
