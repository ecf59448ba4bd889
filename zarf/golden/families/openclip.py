"""Small models of OpenCLIP, and layout D: visual.onnx and text.onnx beside open_clip_config.json."""

import contextlib
import functools
import json
import tempfile
from pathlib import Path

import open_clip
import timm
import torch
from open_clip.model import CLIP, CustomTextCLIP

from . import vocabularies
from .export import export
from .files import FAMILIES, empty, write_json
from .golden import Golden, Graph, photos
from .hub import OPENAI_MEAN, OPENAI_STD, clip_tokenizer
from .processors import batch, open_clip_pixels
from .samples import REPAIRED_TEXTS, TEXTS
from .weights import randomise

SIDE, WIDTH, DIMENSION, CONTEXT = 32, 16, 16, 77
REFERENCE = f"open_clip {open_clip.__version__}"
VISION = {"image_size": SIDE, "layers": 1, "width": WIDTH, "head_width": 8, "patch_size": 8}
TEXT = {"context_length": CONTEXT, "vocab_size": 602, "width": WIDTH, "heads": 2, "layers": 1}
OPENAI = {"size": [SIDE, SIDE], "mode": "RGB", "mean": OPENAI_MEAN, "std": OPENAI_STD, "interpolation": "bicubic",
          "resize_mode": "shortest", "fill_color": 0}


@contextlib.contextmanager
def scaled_down(**sizes):
    """Within it the models of timm that OpenCLIP creates have other sizes."""
    create = timm.create_model
    timm.create_model = functools.partial(create, **sizes)
    try:
        yield
    finally:
        timm.create_model = create


def build(vision, text, seed, custom=False, timm_sizes=None, **settings):
    """A CLIP or CustomTextCLIP of these settings, with random weights."""
    kind = CustomTextCLIP if custom else CLIP
    with scaled_down(**timm_sizes or {}):
        return randomise(kind(embed_dim=DIMENSION, vision_cfg=vision, text_cfg=text, **settings), seed)


def config_folder(config):
    """A folder from which OpenCLIP can make the text tower of a model of the hub without its weights."""
    folder = tempfile.TemporaryDirectory()
    (Path(folder.name) / "config.json").write_text(json.dumps(config.to_dict()))
    return folder


def encode_image(model, pixels):
    return model.encode_image(pixels, normalize=True)


def encode_text(model, ids):
    return model.encode_text(ids, normalize=True)


def subset(settings, *names):
    return {name: settings[name] for name in names}


def described(settings, **text):
    return {"resize": {"shortest": "shortest edge and crop"}.get(settings["resize_mode"], settings["resize_mode"]),
            "filter": settings["interpolation"], "size": settings["size"][0], "rescale": "1/255",
            "mean": settings["mean"], "std": settings["std"], **text}


def layout_d(name, model, config, settings, preprocess_cfg, dynamo=False, **head):
    """Exports as RuteNL's script does: the length of texts is fixed, the batch is free, vectors are normalised."""
    folder = empty(FAMILIES / name)
    inputs = {"pixel_values": torch.randn(2, 3, *settings["size"])}
    export(folder / "visual.onnx", model, encode_image, inputs, ["image_embeddings"],
           {"pixel_values": {0: "batch_size"}, "image_embeddings": {0: "batch_size"}}, opset=18, dynamo=dynamo)
    inputs = {"input_ids": torch.randint(1, config["text_cfg"]["vocab_size"], (2, CONTEXT))}
    export(folder / "text.onnx", model, encode_text, inputs, ["text_embeddings"],
           {"input_ids": {0: "batch_size"}, "text_embeddings": {0: "batch_size"}}, opset=18, dynamo=dynamo)
    write_json(folder / "open_clip_config.json", {
        "model_cfg": {"embed_dim": DIMENSION, **config},
        "preprocess_cfg": preprocess_cfg})
    write_json(folder / "model_config.json", {
        "logit_scale": round(model.logit_scale.exp().item(), 6), "logit_bias": 0.0, "activation_function": "softmax",
        "tokenizer_needs_lowercase": False, "pad_id": 0, "vocab_size": config["text_cfg"]["vocab_size"]})
    tokenizer = vocabularies.clip()
    clip_tokenizer(folder, tokenizer, pad="!")
    golden = Golden(folder, f"{REFERENCE}, image_transform_v2, SimpleTokenizer", described(
        settings, crop_offset="round half to even", lower=True, clean="collapses whitespace", context=CONTEXT,
        pad_id=0, frame="<|startoftext|> text <|endoftext|>"), layout="D", normalised=True, **head)
    visual, text = Graph(folder / "visual.onnx"), Graph(folder / "text.onnx")
    add_vectors(golden, model, lambda image: open_clip_pixels(settings, image),
                lambda ids: text.run("text_embeddings", input_ids=[ids]),
                lambda values: visual.run("image_embeddings", pixel_values=[values]))


def clip_ids():
    """The ids of OpenCLIP's own tokenizer, which must be those of tokenizer.json, padded with 0."""
    reference, tokenizer = vocabularies.clip_for_openclip(), vocabularies.clip()

    def tokenize(text, repaired=False):
        ids = reference(text)[0].tolist()
        if not repaired:
            plain = tokenizer(text, truncation=True, max_length=CONTEXT).input_ids
            assert ids == plain + [0] * (CONTEXT - len(plain)), text
        return ids

    return tokenize


def add_vectors(golden, model, preprocess, run_text, run_image):
    """`preprocess`: pixels and values of an image."""
    tokenize = clip_ids()
    with torch.no_grad():
        for text in [*TEXTS, *REPAIRED_TEXTS]:
            more = {"repaired": True} if text in REPAIRED_TEXTS else {}
            ids = tokenize(text, **more)
            golden.text(text, ids, encode_text(model, torch.tensor([ids]))[0], {"": run_text(ids)}, **more)
        for file, image in photos():
            pixels, values = preprocess(image)
            golden.image(file, pixels, values, encode_image(model, batch(values))[0], {"": run_image(values)})
    golden.write()


def openclip():
    model = build(VISION, TEXT, 31)
    layout_d("openclip", model, {"vision_cfg": VISION, "text_cfg": TEXT}, OPENAI, subset(OPENAI, "mean", "std"),
             dynamo=True)


def bioclip():
    model = build(VISION, TEXT, 32)
    vision = {key: value for key, value in VISION.items() if key != "head_width"}
    layout_d("bioclip", model, {"vision_cfg": vision, "text_cfg": TEXT}, OPENAI, {"hf_hub": "imageomics/bioclip"})


def eva_clip():
    vision = {"image_size": SIDE, "timm_model_name": "eva02_base_patch16_clip_224", "timm_model_pretrained": False,
              "timm_pool": "token", "timm_proj": None}
    model = build(vision, TEXT, 33, custom=True, timm_sizes={
        "img_size": SIDE, "patch_size": 8, "embed_dim": WIDTH, "depth": 1, "num_heads": 2, "ref_feat_shape": (4, 4)})
    layout_d("eva-clip", model, {"vision_cfg": vision, "text_cfg": TEXT, "custom_text": True}, OPENAI,
             subset(OPENAI, "mean", "std", "interpolation", "resize_mode"))


FAMILY = {"openclip": openclip, "bioclip": bioclip, "eva-clip": eva_clip}
