"""Makes a SigLIP 2 B/16-256 of random weights in a folder, exported to ONNX in fp32, fp16 and int8: with the published sizes, so
that it takes the time of the published model. Only the vocabulary is small. It is not kept in the repository (1.2 GB).

    target/peers/bin/python zarf/peers/siglip2_b16.py target/peers/siglip2-b16-256
"""

import json
import shutil
import sys
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16
from transformers import SiglipConfig, SiglipModel

TINY = Path(__file__).resolve().parents[2] / "tests/data/families/siglip2"
SIDE = 256


class Tower(torch.nn.Module):
    def __init__(self, tower):
        super().__init__()
        self.tower = tower

    def forward(self, given):
        return self.tower(given).pooler_output


def description(name, **changes):
    return json.loads((TINY / name).read_text()) | changes


def main(out):
    folder = Path(out)
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    for name in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]:
        shutil.copy(TINY / name, folder)
    size = {"height": SIDE, "width": SIDE}
    (folder / "preprocessor_config.json").write_text(json.dumps(description("preprocessor_config.json", size=size)))
    config = description("config.json")
    config["vision_config"]["image_size"] = SIDE
    (folder / "config.json").write_text(json.dumps(config))

    torch.manual_seed(7)
    words = config["text_config"]["vocab_size"]
    siglip = SiglipConfig(text_config={"vocab_size": words}, vision_config={"image_size": SIDE, "patch_size": 16})
    siglip._attn_implementation = "eager"
    siglip = SiglipModel(siglip).eval()
    for name, tower, example, given, dynamic in [
        ("vision", siglip.vision_model, torch.randn(2, 3, SIDE, SIDE), "pixel_values", {0: "batch"}),
        ("text", siglip.text_model, torch.randint(0, words, (2, 64)), "input_ids", {0: "batch"}),
    ]:
        path = folder / "onnx" / f"{name}_model.onnx"
        torch.onnx.export(
            Tower(tower),
            (example,),
            path,
            input_names=[given],
            output_names=["pooler_output"],
            dynamic_axes={given: dynamic, "pooler_output": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
        half = convert_float_to_float16(onnx.load(path), keep_io_types=True)
        onnx.save(half, path.with_name(f"{name}_model_fp16.onnx"))
        # As in clip_b32.py.
        quantize_dynamic(
            path,
            path.with_name(f"{name}_model_int8.onnx"),
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["MatMul"],
        )


main(sys.argv[1])
