"""Towers that are CLIPModel or MetaClip2Model of transformers, in the layouts in which they are found."""

import torch
import transformers
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, MetaClip2Config, MetaClip2Model

from . import vocabularies
from .export import export
from .files import FAMILIES, empty, write_json
from .golden import Golden, Graph, photos
from .hub import OPENAI_MEAN, OPENAI_STD, clip_preprocessor, clip_tokenizer, old_clip_preprocessor, roberta_tokenizer
from .processors import batch, transformers_pixels
from .samples import TEXTS
from .weights import randomise

SIDE, WIDTH, DIMENSION, CONTEXT = 32, 16, 16, 77
REFERENCE = f"transformers {transformers.__version__}"
PREPROCESSING = {"resize": "shortest edge and crop", "filter": "bicubic", "size": SIDE, "rescale": "1/255",
                 "mean": OPENAI_MEAN, "std": OPENAI_STD, "crop_offset": "floor", "context": CONTEXT}


def configured(kind, vocab_size, **text):
    tower = dict(hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
                 projection_dim=DIMENSION)
    config = kind(
        text_config=dict(tower, vocab_size=vocab_size, max_position_embeddings=CONTEXT, **text),
        vision_config=dict(tower, image_size=SIDE, patch_size=8), projection_dim=DIMENSION)
    config._attn_implementation = "eager"
    return config


def clip(vocab_size, seed):
    # 2 as in the files of OpenAI: the row that is read is then the one of the highest id.
    config = configured(CLIPConfig, vocab_size, bos_token_id=0, eos_token_id=2)
    return randomise(CLIPModel(config), seed)


def clip_config(vocab_size, kind="clip", **more):
    return {"architectures": ["CLIPModel"], "initializer_factor": 1.0, "logit_scale_init_value": 2.6592,
            "model_type": kind, "projection_dim": DIMENSION,
            "text_config": {"bos_token_id": 0, "eos_token_id": 2, "hidden_act": "quick_gelu", "hidden_size": WIDTH,
                            "max_position_embeddings": CONTEXT, "model_type": "clip_text_model",
                            "projection_dim": DIMENSION, "vocab_size": vocab_size},
            "torch_dtype": "float32",
            "vision_config": {"hidden_act": "quick_gelu", "hidden_size": WIDTH, "image_size": SIDE,
                              "model_type": "clip_vision_model", "patch_size": 8, "projection_dim": DIMENSION}} | more


IMAGE_AXES = {"pixel_values": {0: "batch_size", 1: "num_channels", 2: "height", 3: "width"},
              "image_embeds": {0: "batch_size"}}
TEXT_AXES = {**{name: {0: "batch_size", 1: "sequence_length"} for name in ("input_ids", "attention_mask")},
             "text_embeds": {0: "batch_size"}}


def image_example():
    return {"pixel_values": torch.randn(2, 3, SIDE, SIDE)}


def text_example(vocab_size):
    return {"input_ids": torch.randint(4, vocab_size - 2, (2, 9)), "attention_mask": torch.ones(2, 9, dtype=torch.long)}


def image_features(model, pixels):
    return model.get_image_features(pixel_values=pixels).pooler_output


def text_features(model, ids, mask):
    return model.get_text_features(input_ids=ids, attention_mask=mask).pooler_output


def export_pair(model, vocab_size, vision, text):
    export(vision, model, image_features, image_example(), ["image_embeds"], IMAGE_AXES)
    export(text, model, text_features, text_example(vocab_size), ["text_embeds"], TEXT_AXES)


def add_vectors(golden, model, tokenize, run_text, run_image, pad=None):
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE},
                                      do_convert_rgb=True)
    with torch.no_grad():
        for text in TEXTS:
            ids = tokenize(text)
            mask = [int(number != pad) for number in ids]
            vector = text_features(model, torch.tensor([ids]), torch.tensor([mask]))[0]
            golden.text(text, ids, vector, {"": run_text(ids, mask)})
        for file, image in photos():
            pixels, values = transformers_pixels(processor, image)
            golden.image(file, pixels, values, image_features(model, batch(values))[0], {"": run_image(values)})
    golden.write()


def pair_vectors(golden, model, tokenize, vision, text, pad=None):
    text, vision = Graph(text), Graph(vision)
    add_vectors(golden, model, tokenize,
                lambda ids, mask: text.run("text_embeds", input_ids=[ids], attention_mask=[mask]),
                lambda values: vision.run("image_embeds", pixel_values=[values]), pad)


def clip_golden(folder, layout, **more):
    return Golden(folder, f"{REFERENCE}, CLIPModel, CLIPImageProcessorPil, CLIPTokenizer", PREPROCESSING | {
        "lower": True, "clean": "collapses whitespace", "pad_id": None, "frame": "<|startoftext|> text <|endoftext|>"},
        layout=layout, **more)


def clip_ids(tokenizer):
    return lambda text: tokenizer(text, truncation=True, max_length=CONTEXT).input_ids


def tinyclip():
    folder = empty(FAMILIES / "tinyclip")
    tokenizer = vocabularies.clip()
    model = clip(len(tokenizer), 21)
    files = folder / "vision_model.onnx", folder / "text_model.onnx"
    export_pair(model, len(tokenizer), *files)
    write_json(folder / "config.json", clip_config(len(tokenizer)))
    write_json(folder / "preprocessor_config.json", old_clip_preprocessor(SIDE))
    clip_tokenizer(folder, tokenizer)
    pair_vectors(clip_golden(folder, "B"), model, clip_ids(tokenizer), *files)


def sentence_transformers():
    root = empty(FAMILIES / "sentence-transformers")
    folder = root / "0_CLIPModel"
    tokenizer = vocabularies.clip()
    model = clip(len(tokenizer), 22)
    files = folder / "onnx" / "vision_model.onnx", folder / "onnx" / "text_model.onnx"
    export_pair(model, len(tokenizer), *files)
    write_json(root / "modules.json", [
        {"idx": 0, "name": "0", "path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}])
    write_json(root / "config_sentence_transformers.json", {
        "__version__": {"pytorch": "1.9.0", "sentence_transformers": "2.0.0", "transformers": "4.7.0"}})
    write_json(folder / "config.json", clip_config(len(tokenizer), text_config_dict=None, vision_config_dict=None))
    write_json(folder / "preprocessor_config.json", old_clip_preprocessor(SIDE))
    clip_tokenizer(folder, tokenizer)
    pair_vectors(clip_golden(root, "sentence-transformers"), model, clip_ids(tokenizer), *files)


def qdrant():
    root = empty(FAMILIES / "qdrant-clip")
    tokenizer = vocabularies.clip()
    vocab_size = len(tokenizer)
    model = clip(vocab_size, 23)
    files = root / "vision" / "model.onnx", root / "text" / "model.onnx"
    export_pair(model, vocab_size, *files)
    config = clip_config(vocab_size)
    for tower, name in (("vision", "CLIPVisionModelWithProjection"), ("text", "CLIPTextModelWithProjection")):
        write_json(root / tower / "config.json", {
            "architectures": [name], **config[f"{tower}_config"], "torch_dtype": "float32"})
    write_json(root / "vision" / "preprocessor_config.json", clip_preprocessor(
        SIDE, feature_extractor_type="CLIPFeatureExtractor", image_processor_type="CLIPFeatureExtractor"))
    clip_tokenizer(root / "text", tokenizer)
    pair_vectors(clip_golden(root, "F"), model, clip_ids(tokenizer), *files)


def both_towers():
    folder = empty(FAMILIES / "clip-both-towers")
    tokenizer = vocabularies.clip()
    model = clip(len(tokenizer), 24)

    def run(model, ids, pixels, mask):
        output = model(input_ids=ids, pixel_values=pixels, attention_mask=mask)
        return output.logits_per_image, output.logits_per_text, output.text_embeds, output.image_embeds

    inputs = text_example(len(tokenizer))
    inputs = {"input_ids": inputs["input_ids"], **image_example(), "attention_mask": inputs["attention_mask"]}
    axes = {name: {0: "text_batch_size", 1: "sequence_length"} for name in ("input_ids", "attention_mask")}
    axes |= {"pixel_values": {0: "image_batch_size", 1: "num_channels", 2: "height", 3: "width"},
             "logits_per_image": {0: "image_batch_size", 1: "text_batch_size"},
             "logits_per_text": {0: "text_batch_size", 1: "image_batch_size"},
             "text_embeds": {0: "text_batch_size"}, "image_embeds": {0: "image_batch_size"}}
    export(folder / "model.onnx", model, run, inputs,
           ["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"], axes)
    # Saved by transformers 5: the image processor is in processor_config.json.
    image_processor = clip_preprocessor(SIDE, data_format="channels_first")
    write_json(folder / "processor_config.json", {"image_processor": image_processor,
                                                  "processor_class": "CLIPProcessor"})
    config = clip_config(len(tokenizer), dtype="float32", transformers_version=transformers.__version__)
    del config["torch_dtype"]
    write_json(folder / "config.json", config)
    clip_tokenizer(folder, tokenizer)
    graph = Graph(folder / "model.onnx")
    empty_image, empty_text = torch.zeros(1, 3, SIDE, SIDE), [[0, 1]]
    add_vectors(
        clip_golden(folder, "G", normalised=True), model, clip_ids(tokenizer),
        lambda ids, mask: graph.run("text_embeds", input_ids=[ids], attention_mask=[mask], pixel_values=empty_image),
        lambda values: graph.run("image_embeds", input_ids=empty_text, attention_mask=[[1, 1]], pixel_values=[values]))


def metaclip2():
    folder = empty(FAMILIES / "metaclip2")
    tokenizer = vocabularies.xlm_roberta()
    vocab_size = len(tokenizer)
    config = configured(MetaClip2Config, vocab_size, bos_token_id=0, eos_token_id=2, pad_token_id=1)
    model = randomise(MetaClip2Model(config), 25)
    files = folder / "image.onnx", folder / "text.onnx"
    example = text_example(vocab_size)
    example["input_ids"][:, -1] = 2
    export(files[0], model, image_features, image_example(), ["image_embeds"], IMAGE_AXES)
    export(files[1], model, text_features, example, ["text_embeds"], TEXT_AXES)
    values = clip_config(vocab_size, "metaclip_2", architectures=["MetaClip2Model"])
    values["text_config"] |= {"model_type": "metaclip_2_text_model", "hidden_act": "gelu", "pad_token_id": 1}
    values["vision_config"] |= {"model_type": "metaclip_2_vision_model", "hidden_act": "gelu"}
    write_json(folder / "config.json", values)
    write_json(folder / "preprocessor_config.json", clip_preprocessor(SIDE))
    roberta_tokenizer(folder, tokenizer, length=CONTEXT)

    def tokenize(text):
        return tokenizer(text, padding="max_length", truncation=True, max_length=CONTEXT).input_ids

    reference = f"{REFERENCE}, MetaClip2Model, CLIPImageProcessorPil, XLMRobertaTokenizer"
    golden = Golden(folder, reference, PREPROCESSING | {
        "lower": False, "clean": "none", "pad_id": 1, "frame": "<s> text </s>"}, layout="E")
    pair_vectors(golden, model, tokenize, *files, pad=1)


FAMILY = {"tinyclip": tinyclip, "sentence-transformers": sentence_transformers, "qdrant-clip": qdrant,
          "clip-both-towers": both_towers, "metaclip2": metaclip2}
