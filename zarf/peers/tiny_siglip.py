"""Makes folders of the tiny SigLIP and SigLIP 2 of tests/data/families that transformers, and so infinity, can load.

    python zarf/peers/tiny_siglip.py siglip FOLDER
    python zarf/peers/tiny_siglip.py siglip2 FOLDER      # needs transformers 4.49
"""

import base64
import json
import shutil
import sys
from pathlib import Path

from sentencepiece import sentencepiece_model_pb2
from transformers import SiglipConfig, SiglipModel

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "zarf/golden"))
from weights_of_onnx import weights  # noqa: E402

CONTEXT = 64


def model(source):
    """The model with the committed weights. Its config.json has no sizes, as those of the publishers."""
    vision = weights(source / "onnx/vision_model.onnx", "model.", "vision_model.")
    text = weights(source / "onnx/text_model.onnx", "model.", "text_model.")
    # The exporter has replaced these weights by what it computed from them.
    computed = weights(source / "onnx/vision_model.onnx", "/model/", "")
    positions = computed["embeddings/position_embedding/Gather_output_0"][0]
    vision["vision_model.embeddings.position_embedding.weight"] = positions
    vision["vision_model.head.probe"] = computed["head/Expand_output_0"]
    vocabulary, width = text["text_model.embeddings.token_embedding.weight"].shape
    patch = vision["vision_model.embeddings.patch_embedding.weight"].shape[-1]
    middle = vision["vision_model.encoder.layers.0.mlp.fc1.bias"].shape[0]
    sizes = dict(hidden_size=width, intermediate_size=middle, num_hidden_layers=1, num_attention_heads=2)
    config = SiglipConfig(
        text_config=dict(sizes, vocab_size=vocabulary, max_position_embeddings=CONTEXT, projection_size=width),
        vision_config=dict(sizes, image_size=patch * int(len(positions) ** 0.5), patch_size=patch),
    )
    siglip = SiglipModel(config)
    missing, unknown = siglip.load_state_dict(vision | text, strict=False)
    missing = [name for name in missing if not name.startswith("logit_")]
    assert not missing and not unknown, (missing, unknown)
    return siglip


def sentencepiece_model(tokenizer):
    """The pieces and the normalisation of tokenizer.json in the file that SigLIP's publisher has."""
    proto = sentencepiece_model_pb2.ModelProto()
    special = {0: "CONTROL", 1: "CONTROL", 2: "UNKNOWN"}
    for number, (piece, score) in enumerate(tokenizer["model"]["vocab"]):
        kind = getattr(proto.SentencePiece, special.get(number, "NORMAL"))
        proto.pieces.add(piece=piece, score=score, type=kind)
    proto.trainer_spec.model_type = proto.trainer_spec.UNIGRAM
    proto.trainer_spec.pad_id, proto.trainer_spec.eos_id, proto.trainer_spec.unk_id, proto.trainer_spec.bos_id = 0, 1, 2, -1
    [characters] = [part for part in tokenizer["normalizer"]["normalizers"] if part["type"] == "Precompiled"]
    proto.normalizer_spec.precompiled_charsmap = base64.b64decode(characters["precompiled_charsmap"])
    return proto.SerializeToString()


def main(family, out):
    source, folder = ROOT / "tests/data/families" / family, Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("tokenizer_config.json", "special_tokens_map.json", "preprocessor_config.json"):
        shutil.copy(source / file, folder)
    tokenizer = json.loads((source / "tokenizer_config.json").read_text())
    # As the publishers' files: the towers read the padding.
    tokenizer |= {"model_input_names": ["input_ids"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    if family == "siglip":
        pieces = json.loads((source / "tokenizer.json").read_text())
        (folder / "spiece.model").write_bytes(sentencepiece_model(pieces))
    else:
        shutil.copy(source / "tokenizer.json", folder)
    model(source).save_pretrained(folder)
    # infinity truncates texts to this; older transformers default to 20, which is for generated texts.
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_length": CONTEXT}))


main(*sys.argv[1:])
