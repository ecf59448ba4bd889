"""SigLIP and SigLIP 2 of fixed resolution as transformers.js publishes them: 64 ids, no mask, the pooled output."""

import tempfile

import torch
import transformers
from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

from . import vocabularies
from .export import export, save_fp16, save_int8
from .files import FAMILIES, empty, write_json
from .golden import Golden, Graph, photos
from .hub import HALF, RESCALE, special_tokens, write_tokenizer
from .processors import batch, transformers_pixels
from .samples import TEXTS
from .weights import randomise

SIDE, WIDTH, CONTEXT = 32, 16, 64
REFERENCE = f"transformers {transformers.__version__}, SiglipModel"


def model(vocab_size, seed):
    tower = dict(hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    config = SiglipConfig(
        text_config=dict(tower, vocab_size=vocab_size, max_position_embeddings=CONTEXT, projection_size=WIDTH,
                         pad_token_id=1, bos_token_id=None, eos_token_id=1),
        vision_config=dict(tower, image_size=SIDE, patch_size=8))
    config._attn_implementation = "eager"
    return randomise(SiglipModel(config), seed)


def export_towers(siglip, folder, vocab_size):
    def pooled(tower, inputs):
        output = tower(inputs)
        return output.last_hidden_state, output.pooler_output

    outputs = ["last_hidden_state", "pooler_output"]
    axes = {0: "batch_size", 1: "num_channels", 2: "height", 3: "width"}
    export(folder / "vision_model.onnx", siglip.vision_model, pooled, {"pixel_values": torch.randn(2, 3, SIDE, SIDE)},
           outputs, {"pixel_values": axes, **{name: {0: "batch_size"} for name in outputs}})
    export(folder / "text_model.onnx", siglip.text_model, pooled,
           {"input_ids": torch.randint(0, vocab_size, (2, CONTEXT))}, outputs,
           {name: {0: "batch_size", 1: "sequence_length"} for name in ("input_ids", "last_hidden_state")}
           | {"pooler_output": {0: "batch_size"}})


def add_vectors(golden, siglip, processor, tokenize, variants=("",), **more):
    graphs = {tower: {variant: Graph(golden.folder / "onnx" / f"{tower}_model{variant}.onnx") for variant in variants}
              for tower in ("vision", "text")}
    with torch.no_grad():
        for text in TEXTS:
            ids = tokenize(text)
            assert len(ids) == CONTEXT
            vector = siglip.get_text_features(input_ids=torch.tensor([ids])).pooler_output[0]
            golden.text(text, ids, vector, {name: graph.run("pooler_output", input_ids=[ids])
                                            for name, graph in graphs["text"].items()})
        for file, image in photos():
            pixels, values = transformers_pixels(processor, image)
            vector = siglip.get_image_features(pixel_values=batch(values)).pooler_output[0]
            golden.image(file, pixels, values, vector, {name: graph.run("pooler_output", pixel_values=[values])
                                                        for name, graph in graphs["vision"].items()})
    golden.write()


def preprocessor(resample, **more):
    return {"do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": HALF, "image_std": HALF,
            "image_processor_type": "SiglipImageProcessor", "processor_class": "SiglipProcessor",
            "resample": resample, "rescale_factor": RESCALE, "size": {"height": SIDE, "width": SIDE}} | more


def siglip():
    folder = empty(FAMILIES / "siglip")
    fast = vocabularies.siglip_json()
    vocab_size = fast.get_vocab_size()
    siglip = model(vocab_size, 11)
    export_towers(siglip, folder / "onnx", vocab_size)
    for tower in ("vision", "text"):
        save_fp16(folder / "onnx" / f"{tower}_model.onnx", keep_io_types=True)
        save_int8(folder / "onnx" / f"{tower}_model.onnx")
    # As the publishers': neither dimension nor context; these tiny towers differ from the class defaults.
    write_json(folder / "config.json", {
        "architectures": ["SiglipModel"], "initializer_factor": 1.0, "model_type": "siglip",
        "text_config": {"model_type": "siglip_text_model", "vocab_size": vocab_size}, "torch_dtype": "float32",
        "vision_config": {"model_type": "siglip_vision_model"}})
    write_json(folder / "preprocessor_config.json", preprocessor(3))
    write_tokenizer(folder, fast, {
        "additional_special_tokens": [], "clean_up_tokenization_spaces": True, "do_lower_case": True,
        "eos_token": "</s>", "model_max_length": CONTEXT, "pad_token": "</s>", "sp_model_kwargs": {},
        "tokenizer_class": "SiglipTokenizer", "unk_token": "<unk>"},
        special_tokens(eos_token="</s>", pad_token="</s>", unk_token="<unk>"))
    with tempfile.TemporaryDirectory() as temporary:
        slow = vocabularies.siglip(temporary)

        def tokenize(text):
            # The slow tokenizer makes a token of leading whitespace; the file strips it, as SentencePiece does.
            ids = slow(text.strip(), padding="max_length", truncation=True, max_length=CONTEXT).input_ids
            fast_ids = fast.encode(text).ids
            expected = fast_ids if len(fast_ids) <= CONTEXT else fast_ids[: CONTEXT - 1] + [1]
            assert ids == expected + [1] * (CONTEXT - len(expected)), text
            return ids

        golden = Golden(folder, f"{REFERENCE}, SiglipImageProcessorPil, SiglipTokenizer", {
            "resize": "squash", "filter": "bicubic", "size": SIDE, "rescale": "1/255", "mean": HALF, "std": HALF,
            "lower": True, "clean": "removes ASCII punctuation, collapses whitespace", "context": CONTEXT, "pad_id": 1,
            "frame": "text </s>"}, layout="A")
        processor = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}, do_convert_rgb=True)
        add_vectors(golden, siglip, processor, tokenize, ("", "_fp16", "_quantized"))


def siglip2():
    folder = empty(FAMILIES / "siglip2")
    files, lower = vocabularies.gemma(), vocabularies.gemma(lower=True)
    vocab_size = len(files)
    siglip = model(vocab_size, 12)
    export_towers(siglip, folder / "onnx", vocab_size)
    write_json(folder / "config.json", {
        "architectures": ["SiglipModel"], "initializer_factor": 1.0, "model_type": "siglip",
        "text_config": {"hidden_act": "gelu_pytorch_tanh", "model_type": "siglip_text_model", "vocab_size": vocab_size},
        "torch_dtype": "float32", "vision_config": {"image_size": SIDE, "model_type": "siglip_vision_model"}})
    write_json(folder / "preprocessor_config.json", preprocessor(2, do_convert_rgb=None))
    names = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    write_tokenizer(folder, files, {
        "add_bos_token": False, "add_eos_token": True, **names, "clean_up_tokenization_spaces": False,
        "model_max_length": CONTEXT, "padding_side": "right", "processor_class": "SiglipProcessor",
        "tokenizer_class": "GemmaTokenizer", "use_default_system_prompt": False}, special_tokens(**names),
        {"strategy": {"Fixed": CONTEXT}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
         "pad_type_id": 0, "pad_token": "<pad>"})

    def tokenize(text):
        ids = lower(text, padding="max_length", truncation=True, max_length=CONTEXT).input_ids
        assert ids[: ids.index(1) + 1] == files(text.lower(), truncation=True, max_length=CONTEXT).input_ids, text
        return ids

    golden = Golden(folder, f"{REFERENCE}, SiglipImageProcessorPil, Siglip2Tokenizer", {
        "resize": "squash", "filter": "bilinear", "size": SIDE, "rescale": "1/255", "mean": HALF, "std": HALF,
        "lower": True, "clean": "none", "context": CONTEXT, "pad_id": 0, "frame": "text <eos>"}, layout="A")
    processor = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}, resample=2, do_convert_rgb=True)
    add_vectors(golden, siglip, processor, tokenize)


FAMILY = {"siglip": siglip, "siglip2": siglip2}
