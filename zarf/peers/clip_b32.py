"""Makes a CLIP ViT-B/32 of random weights in a folder, exported to ONNX in fp32 and in int8: with the published sizes, so that
it takes the time of the published model. It is not kept in the repository (600 MB).

    target/peers/bin/python zarf/peers/clip_b32.py target/peers/clip-b32
"""

import json
import sys
from pathlib import Path

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import CLIPConfig, CLIPModel

ROOT = Path(__file__).resolve().parents[2]


class Vision(torch.nn.Module):
    def __init__(self, clip):
        super().__init__()
        self.clip = clip

    def forward(self, given):
        return self.clip.get_image_features(pixel_values=given).pooler_output


class Text(torch.nn.Module):
    def __init__(self, clip):
        super().__init__()
        self.clip = clip

    def forward(self, given):
        return self.clip.get_text_features(input_ids=given).pooler_output


def main(out):
    folder = Path(out)
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    # The tokenizer of the tiny model: a small vocabulary of the same kind. The tower keeps its 49,408 rows.
    tokenizer = (ROOT / "tests/data/clip-tiny/tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(tokenizer)
    end = json.loads(tokenizer)["added_tokens"][-1]["id"]
    pixels = json.loads((ROOT / "tests/data/clip-tiny/preprocessor_config.json").read_text())
    pixels |= {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}}
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels))

    torch.manual_seed(7)
    config = CLIPConfig(text_config={"eos_token_id": 2, "bos_token_id": end - 1})
    config._attn_implementation = "eager"
    clip = CLIPModel(config).eval()
    with torch.no_grad():
        for name, weight in clip.named_parameters():
            if weight.dim() == 1:
                weight.add_(0.02 * torch.randn_like(weight))
    # The file describes the tokenizer: a tokenizer of another size than `vocab_size` is refused.
    described = config.to_dict()
    described["text_config"]["vocab_size"] = end + 1
    (folder / "config.json").write_text(json.dumps(described))
    for name, tower, example, given, output, dynamic in [
        ("vision", Vision(clip), torch.randn(2, 3, 224, 224), "pixel_values", "image_embeds", {0: "batch"}),
        ("text", Text(clip), torch.randint(0, 900, (2, 9)), "input_ids", "text_embeds", {0: "batch", 1: "length"}),
    ]:
        path = folder / "onnx" / f"{name}_model.onnx"
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
        # Signed, per channel, only matrix products: other ways lose more and are not faster.
        quantize_dynamic(
            path,
            folder / "onnx" / f"{name}_model_int8.onnx",
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["MatMul"],
        )


main(sys.argv[1])
