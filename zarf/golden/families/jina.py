"""jina-clip v1 and v2. Their code is on the hub only: the graphs are ours, built from the parts that their papers name
(BERT or XLM-RoBERTa with mean pooling, and EVA-02), with the inputs and outputs of the published files."""

import torch
import transformers
from transformers import BertConfig, BertModel, XLMRobertaConfig, XLMRobertaModel

from . import vocabularies
from .export import export, one_data_file
from .files import FAMILIES, empty, write_json
from .golden import Golden, Graph, photos
from .hub import OPENAI_MEAN, OPENAI_STD, bert_tokenizer, roberta_tokenizer
from .openclip import DIMENSION, OPENAI, SIDE, WIDTH, described, scaled_down
from .processors import batch, open_clip_pixels
from .samples import TEXTS
from .weights import randomise

OURS = f"ours, from parts of transformers {transformers.__version__} and timm; pixels by open_clip's image_transform_v2"


class Jina(torch.nn.Module):
    def __init__(self, text, seed):
        from open_clip.timm_model import TimmModel

        super().__init__()
        with scaled_down(img_size=SIDE, patch_size=8, embed_dim=WIDTH, depth=1, num_heads=2, ref_feat_shape=(4, 4)):
            self.vision = TimmModel("eva02_base_patch16_clip_224", DIMENSION, SIDE, pool="token", proj=None)
        self.text = text
        randomise(self, seed)

    def encode_image(self, pixels):
        return self.vision(pixels)

    def encode_text(self, ids, mask=None):
        """The mean over the ids under the mask; without one over all."""
        mask = torch.ones_like(ids) if mask is None else mask
        states = self.text(input_ids=ids, attention_mask=mask).last_hidden_state
        kept = mask.unsqueeze(-1).to(states.dtype)
        return (states * kept).sum(1) / kept.sum(1)


def preprocessor(side):
    code = "jinaai/jina-clip-implementation--processing_clip"
    return {"auto_map": {"AutoImageProcessor": f"{code}.JinaCLIPImageProcessor",
                         "AutoProcessor": f"{code}.JinaCLIPProcessor"},
            "fill_color": 0, "image_processor_type": "JinaCLIPImageProcessor", "interpolation": "bicubic",
            "mean": OPENAI_MEAN, "processor_class": "JinaCLIPProcessor", "resize_mode": "shortest", "size": side,
            "std": OPENAI_STD}


def add_vectors(golden, model, tokenize, run_text, run_image):
    with torch.no_grad():
        for text in TEXTS:
            ids = tokenize(text)
            golden.text(text, ids, model.encode_text(torch.tensor([ids]))[0], {"": run_text(ids)})
        for file, image in photos():
            pixels, values = open_clip_pixels(OPENAI, image)
            golden.image(file, pixels, values, model.encode_image(batch(values))[0], {"": run_image(values)})
    golden.write()


def text_config(kind, vocab_size, **more):
    return kind(vocab_size=vocab_size, hidden_size=DIMENSION, num_hidden_layers=1, num_attention_heads=2,
                intermediate_size=32, max_position_embeddings=512, attn_implementation="eager", **more)


def jina_clip_v1():
    folder = empty(FAMILIES / "jina-clip-v1")
    tokenizer = vocabularies.bert()
    text = BertModel(text_config(BertConfig, len(tokenizer)), add_pooling_layer=False)
    model = Jina(text, 61)
    vision, text = folder / "onnx" / "vision_model.onnx", folder / "onnx" / "text_model.onnx"
    export(vision, model, Jina.encode_image, {"pixel_values": torch.randn(2, 3, SIDE, SIDE)}, ["image_embeddings"],
           {"pixel_values": {0: "batch_size"}, "image_embeddings": {0: "batch_size"}})
    ids = torch.randint(104, len(tokenizer), (2, 9))
    export(text, model, Jina.encode_text, {"input_ids": ids, "attention_mask": torch.ones_like(ids)},
           ["text_embeddings"], {name: {0: "batch_size", 1: "sequence_length"}
                                 for name in ("input_ids", "attention_mask")} | {"text_embeddings": {0: "batch_size"}})
    write_json(folder / "config.json", {
        "architectures": ["JinaCLIPModel"], "initializer_factor": 1.0, "logit_scale_init_value": 2.6592,
        "model_type": "jina_clip", "projection_dim": DIMENSION, "torch_dtype": "float32",
        "text_config": {"embed_dim": DIMENSION, "hf_model_name_or_path": "jinaai/jina-bert-flash-implementation",
                        "model_type": "jina_clip_text", "pooler_type": "mean_pooler", "proj_type": None},
        "vision_config": {"embed_dim": DIMENSION, "image_size": SIDE, "layers": 1, "model_type": "jina_clip_vision",
                          "patch_size": 8, "width": WIDTH}})
    write_json(folder / "preprocessor_config.json", preprocessor(SIDE))
    bert_tokenizer(folder, tokenizer, 8192)
    golden = Golden(folder, f"{OURS}; BertTokenizer", described(
        OPENAI, crop_offset="round half to even", lower=True, clean="BertNormalizer", context=512, pad_id=None,
        frame="[CLS] text [SEP]", pooling="mean, in the graph"), layout="A")
    graphs = Graph(text), Graph(vision)
    add_vectors(golden, model, lambda text: tokenizer(text, truncation=True, max_length=512).input_ids,
                lambda ids: graphs[0].run("text_embeddings", input_ids=[ids], attention_mask=[[1] * len(ids)]),
                lambda values: graphs[1].run("image_embeddings", pixel_values=[values]))


def jina_clip_v2():
    folder = empty(FAMILIES / "jina-clip-v2")
    tokenizer = vocabularies.xlm_roberta()
    config = text_config(XLMRobertaConfig, len(tokenizer), pad_token_id=1, bos_token_id=0, eos_token_id=2,
                         type_vocab_size=1)
    model = Jina(XLMRobertaModel(config, add_pooling_layer=False), 62)

    def both(model, ids, pixels):
        text, image = model.encode_text(ids), model.encode_image(pixels)
        normalised = (torch.nn.functional.normalize(vectors, dim=-1) for vectors in (text, image))
        return text, image, *normalised

    outputs = ["text_embeddings", "image_embeddings", "l2norm_text_embeddings", "l2norm_image_embeddings"]
    path = export(
        folder / "onnx" / "model.onnx", model, both,
        {"input_ids": torch.randint(4, len(tokenizer) - 2, (2, 9)), "pixel_values": torch.randn(3, 3, SIDE, SIDE)},
        outputs, {"input_ids": {0: "text_batch_size", 1: "sequence_length"}, "pixel_values": {0: "image_batch_size"},
                  **{name: {0: f"{name.split('_')[-2]}_batch_size"} for name in outputs}})
    one_data_file(path, "model.onnx_data")
    write_json(folder / "config.json", {
        "architectures": ["JinaCLIPModel"], "initializer_factor": 1.0, "logit_scale_init_value": 2.6592,
        "matryoshka_dimensions": [8, DIMENSION], "model_type": "jina_clip", "projection_dim": DIMENSION,
        "torch_dtype": "bfloat16", "truncate_dim": None,
        "transformers.js_config": {"use_external_data_format": {"model.onnx": True}},
        "vision_config": {"embed_dim": DIMENSION, "image_size": SIDE, "layers": 1, "model_type": "jina_clip_vision",
                          "patch_size": 8, "width": WIDTH}})
    write_json(folder / "preprocessor_config.json", preprocessor(SIDE))
    roberta_tokenizer(folder, tokenizer, "XLMRobertaTokenizer", 8194)
    golden = Golden(folder, f"{OURS}; XLMRobertaTokenizer", described(
        OPENAI, crop_offset="round half to even", lower=False, clean="none", context=510, pad_id=None,
        frame="<s> text </s>", pooling="mean over all ids: one text a run, unpadded"), layout="G", normalised=True)
    graph = Graph(path)
    no_image, no_text = torch.zeros(1, 3, SIDE, SIDE), [[0, 2]]
    add_vectors(golden, model, lambda text: tokenizer(text, truncation=True, max_length=510).input_ids,
                lambda ids: graph.run("l2norm_text_embeddings", input_ids=[ids], pixel_values=no_image),
                lambda values: graph.run("l2norm_image_embeddings", input_ids=no_text, pixel_values=[values]))


FAMILY = {"jina-clip-v1": jina_clip_v1, "jina-clip-v2": jina_clip_v2}
