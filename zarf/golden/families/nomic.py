"""nomic-embed-vision and nomic-embed-text 1.5. Their code is on the hub only: the graphs are ours, a ViT and a BERT
with the inputs, outputs and rules of the published models; the folders stand for the two repositories."""

import torch
import transformers
from transformers import BertConfig, BertModel, CLIPImageProcessorPil, ViTConfig, ViTModel

from . import vocabularies
from .export import export
from .files import FAMILIES, empty, write_json
from .golden import Golden, Graph, photos
from .hub import OPENAI_MEAN, OPENAI_STD, RESCALE, bert_tokenizer
from .processors import batch, transformers_pixels
from .samples import TEXTS
from .weights import randomise

SIDE, WIDTH, CONTEXT = 32, 16, 512
PREFIX = "search_query: "


def text_vector(states, mask):
    """The mean under the mask, then a layer norm without weights over all values."""
    kept = mask.unsqueeze(-1).to(states.dtype)
    mean = (states * kept).sum(1) / kept.sum(1)
    return torch.nn.functional.layer_norm(mean, (mean.shape[-1],))


def export_towers(text, vision, vocab_size, root):
    axes = {0: "batch_size", 1: "sequence_length"}
    ids = torch.randint(104, vocab_size, (2, 9))
    inputs = {"input_ids": ids, "token_type_ids": torch.zeros_like(ids), "attention_mask": torch.ones_like(ids)}
    export(root / "text" / "onnx" / "model.onnx", text, lambda model, ids, types, mask: model(
        input_ids=ids, token_type_ids=types, attention_mask=mask).last_hidden_state, inputs, ["last_hidden_state"],
        {name: axes for name in (*inputs, "last_hidden_state")})
    export(root / "vision" / "onnx" / "model.onnx", vision, lambda model, pixels: model(pixels).last_hidden_state,
           {"pixel_values": torch.randn(2, 3, SIDE, SIDE)}, ["last_hidden_state"],
           {"pixel_values": {0: "batch_size"}, "last_hidden_state": {0: "batch_size"}})


def write_files(root, tokenizer):
    shared = {"architectures": ["NomicBertModel"], "model_type": "nomic_bert", "n_embd": WIDTH, "n_head": 2,
              "n_inner": 32, "n_layer": 1, "torch_dtype": "float32"}
    write_json(root / "text" / "config.json", shared | {
        "max_trained_positions": 2048, "n_positions": 8192, "type_vocab_size": 2, "use_rms_norm": False,
        "vocab_size": len(tokenizer)})
    bert_tokenizer(root / "text", tokenizer, 8192)
    write_json(root / "text" / "modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}])
    write_json(root / "text" / "1_Pooling" / "config.json", {
        "pooling_mode_cls_token": False, "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False,
        "pooling_mode_mean_tokens": True, "word_embedding_dimension": WIDTH})
    write_json(root / "vision" / "config.json", shared | {
        "architectures": ["NomicVisionModel"], "img_size": SIDE, "num_channels": 3, "patch_size": 8,
        "vocab_size": 0})
    write_json(root / "vision" / "preprocessor_config.json", {
        "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": OPENAI_MEAN,
        "image_processor_type": "ViTImageProcessor", "image_std": OPENAI_STD, "resample": 3,
        "rescale_factor": RESCALE, "size": {"height": SIDE, "width": SIDE}})


def nomic():
    root = empty(FAMILIES / "nomic")
    tokenizer = vocabularies.bert()
    tower = dict(hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
                 attn_implementation="eager")
    text = randomise(BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=CONTEXT, **tower),
                               add_pooling_layer=False), 77)
    vision = randomise(ViTModel(ViTConfig(image_size=SIDE, patch_size=8, **tower), add_pooling_layer=False), 72)
    export_towers(text, vision, len(tokenizer), root)
    write_files(root, tokenizer)
    golden = Golden(root, f"ours, from BertModel and ViTModel of transformers {transformers.__version__}; "
                    "CLIPImageProcessorPil, BertTokenizer", {
                        "resize": "squash", "filter": "bicubic", "size": SIDE, "rescale": "1/255", "mean": OPENAI_MEAN,
                        "std": OPENAI_STD, "lower": True, "clean": "BertNormalizer", "context": CONTEXT,
                        "pad_id": None, "prefix": PREFIX, "frame": "[CLS] text [SEP]",
                        "pooling": "image: first row; text: mean under the mask, then layer norm without weights"},
                    layout="F")
    graphs = Graph(root / "text" / "onnx" / "model.onnx"), Graph(root / "vision" / "onnx" / "model.onnx")
    processor = CLIPImageProcessorPil(size={"height": SIDE, "width": SIDE}, do_center_crop=False, do_convert_rgb=True)
    with torch.no_grad():
        for sample in TEXTS:
            ids = tokenizer(PREFIX + sample, truncation=True, max_length=CONTEXT).input_ids
            mask = torch.ones(1, len(ids), dtype=torch.long)
            states = text(input_ids=torch.tensor([ids]), attention_mask=mask).last_hidden_state
            got = graphs[0].run("last_hidden_state", input_ids=[ids], token_type_ids=[[0] * len(ids)],
                                attention_mask=mask)
            golden.text(sample, ids, text_vector(states, mask)[0], {"": text_vector(torch.tensor(got), mask)[0]})
        for file, image in photos():
            pixels, values = transformers_pixels(processor, image)
            golden.image(file, pixels, values, vision(batch(values)).last_hidden_state[0, 0],
                         {"": graphs[1].run("last_hidden_state", pixel_values=[values])[0, 0]})
    golden.write()


FAMILY = {"nomic": nomic}
