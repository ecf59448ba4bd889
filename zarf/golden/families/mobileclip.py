"""MobileCLIP and MobileCLIP 2: a convolutional image tower, and a text tower without a mask: padding matters."""

import torch
from timm.utils.model import reparameterize_model
from transformers import CLIPImageProcessorPil

from . import vocabularies
from .export import export
from .files import FAMILIES, empty, write_json
from .golden import Golden, Graph
from .hub import OPENAI_MEAN, OPENAI_STD, clip_preprocessor, clip_tokenizer
from .openclip import CONTEXT, REFERENCE, TEXT, add_vectors, build, described, layout_d, subset
from .processors import transformers_pixels

SIDE = 64
# The least that the five halvings of the image tower leave, and heads of 32 values.
SMALL = {"layers": (1, 1, 1, 1), "mlp_ratios": (1, 1, 1, 1), "embed_dims": (8, 8, 16, 32)}
LARGE = {"layers": (1, 1, 1, 1, 1), "mlp_ratios": (1, 1, 1, 1, 1), "embed_dims": (8, 8, 16, 16, 32),
         "token_mixers": ("repmixer",) * 4 + ("attention",)}
RAW = {"size": [SIDE, SIDE], "mode": "RGB", "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0],
       "interpolation": "bilinear", "resize_mode": "shortest", "fill_color": 0}
NORMALISED = RAW | {"mean": OPENAI_MEAN, "std": OPENAI_STD}


def mobileclip_model(seed, timm_name, sizes):
    vision = {"timm_model_name": timm_name, "timm_model_pretrained": False, "timm_pool": "avg", "timm_proj": None,
              "timm_drop": 0.0, "timm_drop_path": 0.0, "image_size": SIDE}
    text = TEXT | {"no_causal_mask": True}
    model = build(vision, text, seed, custom=True, timm_sizes=sizes)
    # As before every export: the branches of training become one convolution.
    return reparameterize_model(model).eval(), {"vision_cfg": vision, "text_cfg": text, "custom_text": True}


def transformers_js(model, folder, files, layout, name, **head):
    """The layout of Xenova/mobileclip_*: vectors are not normalised, the text has a fixed length."""
    vision, text = files / "vision_model.onnx", files / "text_model.onnx"
    export(vision, model, lambda model, pixels: model.encode_image(pixels),
           {"pixel_values": torch.randn(2, 3, SIDE, SIDE)}, ["image_embeds"],
           {"pixel_values": {0: "batch_size"}, "image_embeds": {0: "batch_size"}})
    export(text, model, lambda model, ids: model.encode_text(ids),
           {"input_ids": torch.randint(1, TEXT["vocab_size"], (2, CONTEXT))}, ["text_embeds"],
           {"input_ids": {0: "batch_size"}, "text_embeds": {0: "batch_size"}})
    clip_tokenizer(folder, vocabularies.clip(), pad="!")
    golden = Golden(folder, f"{REFERENCE}, {name}, SimpleTokenizer; CLIPImageProcessorPil of transformers", described(
        RAW, crop_offset="floor", lower=True, clean="collapses whitespace", context=CONTEXT, pad_id=0,
        frame="<|startoftext|> text <|endoftext|>"), layout=layout, **head)
    text, vision = Graph(text), Graph(vision)
    processor = CLIPImageProcessorPil(**{
        key: value for key, value in preprocessor().items() if not key.endswith("_type")})
    add_vectors(golden, model, lambda image: transformers_pixels(processor, image),
                lambda ids: text.run("text_embeds", input_ids=[ids]),
                lambda values: vision.run("image_embeds", pixel_values=[values]))


def preprocessor():
    return clip_preprocessor(SIDE, resample=2, mean=None, feature_extractor_type="CLIPFeatureExtractor")


def mobileclip():
    folder = empty(FAMILIES / "mobileclip")
    model, _ = mobileclip_model(41, "fastvit_mci0", SMALL)
    write_json(folder / "config.json", {"model_type": "clip"})
    write_json(folder / "preprocessor_config.json", preprocessor())
    transformers_js(model, folder, folder / "onnx", "A", "MobileCLIP-S0")


def mobileclip2():
    model, config = mobileclip_model(47, "fastvit_mci3", LARGE)
    layout_d("mobileclip2", model, config, NORMALISED,
             subset(NORMALISED, "mean", "std", "interpolation", "resize_mode"), size="s3")


def mobileclip2_sizes():
    folder = empty(FAMILIES / "mobileclip2-sizes")
    model, _ = mobileclip_model(45, "fastvit_mci0", SMALL)
    write_json(folder / "onnx" / "s0" / "preprocessor_config.json", preprocessor())
    transformers_js(model, folder, folder / "onnx" / "s0", "H", "MobileCLIP2-S0", size="s0")


FAMILY = {"mobileclip": mobileclip, "mobileclip2": mobileclip2, "mobileclip2-sizes": mobileclip2_sizes}
