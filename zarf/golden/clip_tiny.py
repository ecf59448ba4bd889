"""Makes tests/data/clip-tiny: a CLIP of random weights, exported to ONNX like the models of the hub, and the
vectors that transformers makes of images and texts with it.

    python -m venv /some/venv
    /some/venv/bin/pip install torch transformers onnx onnx-ir onnxruntime pillow numpy
    /some/venv/bin/python zarf/golden/clip_tiny.py

With `--variants` it only makes the fp16, int8 and q4 files of the committed model again. With `--transformers FOLDER` it only makes a folder of the committed model that transformers itself can load; this also works
with older versions of transformers (`make test-peers`).
"""

import base64
import collections
import json
import re
import subprocess
import shutil
import sys
from pathlib import Path

import numpy
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPModel

from weights_of_onnx import weights

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "tests" / "data" / "clip-tiny"
SIDE = 32
DIMENSION = 24
MERGES = 600
BEGIN, END = "<|startoftext|>", "<|endoftext|>"

TEXTS = [
    "a photo of a cat",
    "a cat",
    "A CAT",
    "cat.",
    "  a   cat \t and\na dog ",
    "a red car in the snow",
    "two people walking on a beach at sunset",
    "it's the dog's, they're late, I'll go, we've been, I'm here, he'd say",
    "x",
    "3",
    "1234567890",
    "an f/2.8 lens, 50mm, ISO-100 -- #nofilter!!!",
    "café, naïve, Zoë",
    "cafe\u0301",
    "İstanbul",
    "straße GROSSE",
    "日本の写真",
    "фотография кота",
    "صورة قطة",
    "🦀",
    "a 🐈 and 👩‍👩‍👧",
    "\u200b",
    "…—“”",
    "a\u00a0b\u2003c",
    "a\x00b",
    "<|endoftext|>",
    "a cat <|endoftext|> a dog",
    "<|startoftext|>a cat<|endoftext|>",
    "<|EndOfText|> shouted",
    "half-finished <|endof",
    "x" * 500,
    "a photograph of a small cat that sleeps on a red chair. " * 20,
    "a " * 74 + "x",
    "a " * 75 + "x",
    "a " * 76 + "x",
    "日本" * 100,
    "🦀" * 100,
    "!?" * 200,
]
# The results of Pillow for alpha and orientation are in tests/data/reference, written by make.py.
IMAGES = [f"tests/data/reference/{name}-png.png" for name in ("alpha", "palette", "gray", "orientation-6")]
IMAGES += ["demo/cat.jpg", "demo/rocket.jpg", "demo/leaning-tower.jpg", "demo/wrench.jpg"]


def bytes_as_letters():
    """The printable letter of each byte, by the rule of GPT-2."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {**{byte: chr(byte) for byte in printable}, **{byte: chr(256 + at) for at, byte in enumerate(rest)}}


def vocabulary():
    """A byte pair encoding like CLIP's, learnt from our own texts: every byte, every byte at a word's end, merges."""
    letters = bytes_as_letters()
    # The README.md from which the committed tokenizer was made: another text would give another vocabulary.
    readme = subprocess.check_output(["git", "-C", ROOT, "show", "03b7a18:README.md"], text=True)
    text = readme + (ROOT / "demo" / "captions.json").read_text() * 3
    words = collections.Counter()
    for word in re.findall(r"[a-z]+|[0-9]|[^\sa-z0-9]+", text.lower()):
        parts = [letters[byte] for byte in word.encode()]
        words[(*parts[:-1], parts[-1] + "</w>")] += 1
    merges = []
    while len(merges) < MERGES:
        pairs = collections.Counter()
        for parts, count in words.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += count
        # By count, then by name: the same file on every machine.
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        merged = collections.Counter()
        for parts, count in words.items():
            out, at = [], 0
            while at < len(parts):
                if parts[at : at + 2] == best:
                    out.append(parts[at] + parts[at + 1])
                    at += 2
                else:
                    out.append(parts[at])
                    at += 1
            merged[tuple(out)] += count
        words = merged
    single = [letters[byte] for byte in sorted(letters, key=lambda byte: ord(letters[byte]))]
    names = single + [letter + "</w>" for letter in single] + ["".join(pair) for pair in merges] + [BEGIN, END]
    return {name: number for number, name in enumerate(names)}, merges


def model(size):
    torch.manual_seed(7)
    config = CLIPConfig(
        text_config=dict(
            projection_dim=DIMENSION,
            vocab_size=size,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=77,
            bos_token_id=size - 2,
            # As in the configuration of OpenAI's checkpoints: the tower then finds the highest id with ArgMax.
            eos_token_id=2,
        ),
        vision_config=dict(
            projection_dim=DIMENSION,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=SIDE,
            patch_size=8,
        ),
        projection_dim=DIMENSION,
    )
    config._attn_implementation = "eager"
    clip = CLIPModel(config).eval()
    with torch.no_grad():
        for name, weight in clip.named_parameters():
            # Also biases and norms: a parity test would not cover them otherwise.
            centre = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            # Enough attention that the row that is read depends on the others: images and texts must differ.
            attended = any(part in name for part in ("v_proj", "out_proj")) and name.endswith("weight")
            spread = 0.6 if attended else 0.5 if "embedding" in name else 0.25
            weight.copy_(centre + spread * torch.randn_like(weight))
    return clip


def export(clip, folder):
    folder.mkdir(parents=True)

    class Vision(torch.nn.Module):
        def forward(self, given):
            return clip.get_image_features(pixel_values=given).pooler_output

    class Text(torch.nn.Module):
        def forward(self, given):
            return clip.get_text_features(input_ids=given).pooler_output

    for name, tower, example, given, output, dynamic in [
        ("vision", Vision(), torch.randn(2, 3, SIDE, SIDE), "pixel_values", "image_embeds", {0: "batch"}),
        ("text", Text(), torch.randint(0, 500, (2, 9)), "input_ids", "text_embeds", {0: "batch", 1: "length"}),
    ]:
        tower.clip = clip
        path = folder / f"{name}_model.onnx"
        torch.onnx.export(
            tower.eval(),
            (example,),
            path,
            input_names=[given],
            output_names=[output],
            dynamic_axes={given: dynamic, output: {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    variants(folder)


def variants(folder):
    """The towers in fp16, int8 and q4, with the numbers of transformers.js for q4."""
    import onnx
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    from onnxruntime.transformers.float16 import convert_float_to_float16

    for name in ("vision", "text"):
        path = folder / f"{name}_model.onnx"
        # Both kinds of exports exist: with inputs and outputs in 16 bits, and with 16 bits only inside.
        half = convert_float_to_float16(onnx.load(path), keep_io_types=name == "text")
        onnx.save(half, folder / f"{name}_model_fp16.onnx")
        quantize_dynamic(
            path,
            folder / f"{name}_model_int8.onnx",
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["MatMul"],
        )
        quantizer = MatMulNBitsQuantizer(onnx.load(path), block_size=32, is_symmetric=True)
        quantizer.process()
        onnx.save(quantizer.model.model, folder / f"{name}_model_q4.onnx")
        for variant in ("fp16", "int8", "q4"):
            # Fails if the file is not valid.
            onnxruntime.InferenceSession(folder / f"{name}_model_{variant}.onnx")


def rounded(vector):
    return [round(float(value), 6) for value in vector]


def main():
    from transformers import CLIPImageProcessorPil, CLIPTokenizer

    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    vocab, merges = vocabulary()
    tokenizer = CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77)
    tokenizer.backend_tokenizer.save(str(OUT / "tokenizer.json"), pretty=False)
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, do_convert_rgb=True
    )
    processor.save_pretrained(OUT)
    clip = model(len(vocab))
    clip.config.save_pretrained(OUT)
    export(clip, OUT / "onnx")

    golden = {"texts": [], "images": []}
    with torch.no_grad():
        for text in TEXTS:
            tokens = tokenizer(text, truncation=True, return_tensors="pt").input_ids
            vector = clip.get_text_features(input_ids=tokens).pooler_output[0]
            golden["texts"].append({"text": text, "tokens": tokens[0].tolist(), "embedding": rounded(vector)})
        for file in IMAGES:
            image = Image.open(ROOT / file).convert("RGB")
            pixels = processor(image, do_normalize=False, do_rescale=False, return_tensors="np").pixel_values[0]
            rgb = numpy.asarray(pixels).round().astype(numpy.uint8).transpose(1, 2, 0)
            values = processor(image, return_tensors="pt").pixel_values
            vector = clip.get_image_features(pixel_values=values).pooler_output[0]
            golden["images"].append(
                {
                    "file": file,
                    "rgb": base64.b64encode(rgb.tobytes()).decode(),
                    "first_values": rounded(values[0, :, 0, 0]),
                    "embedding": rounded(vector),
                }
            )
    (OUT / "golden.json").write_text(json.dumps(golden, ensure_ascii=True, indent=1))
    for kind in ("texts", "images"):
        # Texts with the same tokens up to the first end have the same vector, and 75 times `a` is similar to 74 times.
        end = len(vocab) - 1
        seen = [(one["tokens"] if kind == "texts" else [one["rgb"]], one["embedding"]) for one in golden[kind]]
        seen = [(given, vector) for given, vector in seen if len(given) < 77]
        rows = {json.dumps(given[: given.index(end)] if end in given else given): vector for given, vector in seen}
        vectors = torch.nn.functional.normalize(torch.tensor(list(rows.values())))
        alike = (vectors @ vectors.T - torch.eye(len(vectors))).max().item()
        print(f"{kind}: {len(vectors)} different, the most similar two have a cosine of {alike:.4f}")
        assert alike < 0.99, "a tower that ignores most of its input would pass"


def for_transformers(folder):
    """The committed model with its own tokenizer and settings."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("tokenizer.json", "preprocessor_config.json"):
        shutil.copy(OUT / file, folder / file)
    tokenizer = {"tokenizer_class": "CLIPTokenizerFast", "model_max_length": 77, "bos_token": BEGIN}
    tokenizer |= {name: END for name in ("eos_token", "pad_token", "unk_token")}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    clip = CLIPModel(CLIPConfig.from_pretrained(OUT))
    towers = [weights(OUT / "onnx" / f"{name}_model.onnx", "clip.", "") for name in ("vision", "text")]
    missing, unknown = clip.load_state_dict(towers[0] | towers[1], strict=False)
    missing = [name for name in missing if not name.endswith(("logit_scale", "position_ids"))]
    assert not missing and not unknown, (missing, unknown)
    clip.save_pretrained(folder)
    # infinity truncates texts to this; older transformers default to 20, which is for generated texts.
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_length": 77}))


if sys.argv[1:2] == ["--transformers"]:
    for_transformers(Path(sys.argv[2]))
elif sys.argv[1:] == ["--variants"]:
    variants(OUT / "onnx")
else:
    main()
