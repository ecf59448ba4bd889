"""Layout C, immich-app/*: folders visual and textual, 32 bit ids, normalised vectors, and a fixed batch of 1 but in
later revisions.

Texts and pixels follow immich's rules, which differ from OpenCLIP's in small ways; what OpenCLIP makes of a text is
added if it differs.
"""

import string

import torch
from tokenizers import Tokenizer
from transformers import M2M100Config, XLMRobertaConfig

from . import vocabularies
from .export import export, one_file_per_tensor
from .files import FAMILIES, empty, write_json
from .golden import Golden, Graph, photos, rounded, unit
from .hub import HALF, clip_tokenizer, roberta_tokenizer, special_tokens, write_tokenizer
from .openclip import CONTEXT, OPENAI, REFERENCE, SIDE, TEXT, VISION, WIDTH, build, config_folder, described
from .openclip import DIMENSION, encode_image, encode_text
from .processors import batch, immich_pixels
from .samples import LANGUAGES, TEXTS

SQUASH = OPENAI | {"mean": HALF, "std": HALF, "resize_mode": "squash"}
TIMM_SIGLIP = {"image_size": SIDE, "timm_model_name": "vit_base_patch16_siglip_224", "timm_model_pretrained": False,
               "timm_pool": "map", "timm_proj": "none"}
TIMM_SIZES = {"img_size": SIDE, "patch_size": 8, "embed_dim": DIMENSION, "depth": 1, "num_heads": 2}


def clean(text, canonicalize):
    """immich's rule: a comma between spaces leaves two spaces, and `_` is removed."""
    text = " ".join(text.split())
    if canonicalize:
        text = text.translate(str.maketrans("", "", string.punctuation)).lower()
    return text


def immich_tokenizer(folder, context, pad):
    """The tokenizer of the files as immich sets it up."""
    tokenizer = Tokenizer.from_file(str(folder / "textual" / "tokenizer.json"))
    tokenizer.enable_padding(length=context, pad_token=pad, pad_id=tokenizer.token_to_id(pad))
    tokenizer.enable_truncation(max_length=context)
    return tokenizer


def export_towers(model, folder, settings, context, names=("embedding", "embedding"), external=False):
    visual, textual = folder / "visual" / "model.onnx", folder / "textual" / "model.onnx"
    export(visual, model, encode_image, {"image": torch.randn(1, 3, SIDE, SIDE)}, [names[0]])
    export(textual, model, encode_text, {"text": torch.ones(1, context, dtype=torch.int32)}, [names[1]])
    if external:
        one_file_per_tensor(visual)
        one_file_per_tensor(textual)
    write_json(folder / "visual" / "preprocess_cfg.json", settings)
    return visual, textual


def add_vectors(golden, model, settings, tokenize, reference, files, names=("embedding", "embedding"), languages=("",),
                bytes_in=False):
    """`reference`: the ids of OpenCLIP for a text and a language. With `bytes_in` the graph gets the pixels."""
    visual, textual = (Graph(file) for file in files)
    with torch.no_grad():
        for at, text in enumerate(TEXTS):
            language = languages[at % len(languages)]
            ids, other = tokenize(text, language), reference(text, language)
            more = {"language": language} if language else {}
            if other != ids:
                vector = unit(encode_text(model, torch.tensor([other]))[0])
                more["open_clip"] = {"ids": other, "vector": rounded(vector)}
            golden.text(text, ids, encode_text(model, torch.tensor([ids]))[0],
                        {"": textual.run(names[1], text=[ids])}, **more)
        for file, image in photos():
            pixels, values = immich_pixels(settings, image)
            golden.image(file, pixels, values, encode_image(model, batch(values))[0],
                         {"": visual.run(names[0], image=[pixels if bytes_in else values])})
    golden.write()


def immich_golden(folder, settings, **text):
    return Golden(folder, f"{REFERENCE}; texts and pixels by immich's rules", described(
        settings, crop_offset="floor", **text), layout="C", normalised=True)


def hf_tokenizer(tokenizer, context, clean_up):
    """OpenCLIP's HFTokenizer around a tokenizer that is in memory."""
    from open_clip.tokenizer import HFTokenizer, get_clean_fn

    wrapped = HFTokenizer.__new__(HFTokenizer)
    wrapped.tokenizer_mode, wrapped.strip_sep_token = "", False
    wrapped.tokenizer, wrapped.context_length, wrapped.clean_fn = tokenizer, context, get_clean_fn(clean_up)
    return wrapped


def openclip_immich():
    folder = empty(FAMILIES / "openclip-immich")
    model = build(VISION, TEXT, 51)
    files = export_towers(model, folder, OPENAI, CONTEXT, external=True)
    write_json(folder / "config.json", {"embed_dim": DIMENSION, "vision_cfg": VISION, "text_cfg": TEXT})
    clip_tokenizer(folder / "textual", vocabularies.clip())
    # immich pads with <|endoftext|>; the vectors are those of padding with 0, because of the causal mask.
    tokenizer, simple = immich_tokenizer(folder, CONTEXT, "!"), vocabularies.clip_for_openclip()
    golden = immich_golden(folder, OPENAI, lower=True, clean="collapses whitespace", context=CONTEXT, pad_id=0,
                       frame="<|startoftext|> text <|endoftext|>")
    add_vectors(golden, model, OPENAI, lambda text, _: tokenizer.encode(clean(text, False)).ids,
                lambda text, _: simple(text)[0].tolist(), files)


def openclip_immich_u8():
    """Later revisions: pixels as bytes, height x width x RGB, a free batch, and names that say the kind."""
    folder = empty(FAMILIES / "openclip-immich-u8")
    model = build(VISION, TEXT, 56)
    files = folder / "visual" / "model.onnx", folder / "textual" / "model.onnx"
    names = ("image_embedding", "text_embedding")
    mean, std = torch.tensor(OPENAI["mean"]), torch.tensor(OPENAI["std"])

    def encode_bytes(model, image):
        return encode_image(model, ((image.float() / 255 - mean) / std).permute(0, 3, 1, 2))

    export(files[0], model, encode_bytes, {"image": torch.randint(0, 255, (2, SIDE, SIDE, 3), dtype=torch.uint8)},
           [names[0]], {"image": {0: "batch"}, names[0]: {0: "batch"}})
    export(files[1], model, encode_text, {"text": torch.ones(2, CONTEXT, dtype=torch.int32)}, [names[1]],
           {"text": {0: "batch"}, names[1]: {0: "batch"}})
    write_json(folder / "visual" / "preprocess_cfg.json", OPENAI)
    write_json(folder / "config.json", {"embed_dim": DIMENSION, "vision_cfg": VISION, "text_cfg": TEXT})
    clip_tokenizer(folder / "textual", vocabularies.clip())
    tokenizer, simple = immich_tokenizer(folder, CONTEXT, "!"), vocabularies.clip_for_openclip()
    golden = immich_golden(folder, OPENAI, lower=True, clean="collapses whitespace", context=CONTEXT, pad_id=0,
                       frame="<|startoftext|> text <|endoftext|>", values="bytes, height x width x RGB")
    add_vectors(golden, model, OPENAI, lambda text, _: tokenizer.encode(clean(text, False)).ids,
                lambda text, _: simple(text)[0].tolist(), files, names, bytes_in=True)


def xlm_roberta():
    folder = empty(FAMILIES / "openclip-xlm-roberta")
    tokenizer = vocabularies.xlm_roberta()
    hub = {"hf_model_name": "xlm-roberta-base", "hf_tokenizer_name": "xlm-roberta-base",
           "hf_pooler_type": "mean_pooler"}
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=CONTEXT + 3, type_vocab_size=1, pad_token_id=1,
        bos_token_id=0, eos_token_id=2, attn_implementation="eager")
    with config_folder(config) as name:
        model = build(VISION, hub | {"hf_model_name": name, "hf_model_pretrained": False}, 59, custom=True)
    files = export_towers(model, folder, OPENAI, CONTEXT, external=True)
    write_json(folder / "config.json", {"embed_dim": DIMENSION, "vision_cfg": VISION, "text_cfg": hub})
    roberta_tokenizer(folder / "textual", tokenizer)
    files_tokenizer = immich_tokenizer(folder, CONTEXT, "<pad>")
    reference = hf_tokenizer(tokenizer, CONTEXT, "whitespace")
    golden = immich_golden(folder, OPENAI, lower=False, clean="collapses whitespace", context=CONTEXT, pad_id=1,
                       frame="<s> text </s>")
    add_vectors(golden, model, OPENAI, lambda text, _: files_tokenizer.encode(clean(text, False)).ids,
                lambda text, _: reference(text)[0].tolist(), files)


def siglip2_immich():
    folder = empty(FAMILIES / "siglip2-immich")
    tokenizer = vocabularies.gemma()
    context = 64
    text = {"context_length": context, "vocab_size": len(tokenizer), "hf_tokenizer_name": "timm/ViT-B-16-SigLIP2",
            "tokenizer_kwargs": {"clean": "canonicalize"}, "width": WIDTH, "heads": 2, "layers": 1,
            "no_causal_mask": True, "proj_bias": True, "pool_type": "last", "norm_kwargs": {"eps": 1e-06},
            "act_kwargs": {"approximate": "tanh"}}
    model = build(TIMM_SIGLIP, text, 55, custom=True, init_logit_bias=-10, timm_sizes=TIMM_SIZES)
    names = ("image_embedding", "text_embedding")
    files = export_towers(model, folder, SQUASH, context, names)
    write_json(folder / "config.json", {"embed_dim": DIMENSION, "init_logit_bias": -10, "custom_text": True,
                                        "vision_cfg": TIMM_SIGLIP, "text_cfg": text})
    special = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    write_tokenizer(folder / "textual", tokenizer, {
        "add_bos_token": False, "add_eos_token": True, **special, "clean_up_tokenization_spaces": False,
        "model_max_length": 1000000000000000019884624838656, "padding_side": "right",
        "tokenizer_class": "GemmaTokenizer"}, special_tokens(**special))
    files_tokenizer = immich_tokenizer(folder, context, "<pad>")
    reference = hf_tokenizer(tokenizer, context, "canonicalize")
    golden = immich_golden(folder, SQUASH, lower=True, clean="canonicalize: collapses whitespace, then removes ASCII "
                       "punctuation", context=context, pad_id=0, frame="text <eos>")
    add_vectors(golden, model, SQUASH, lambda text, _: files_tokenizer.encode(clean(text, True)).ids,
                lambda text, _: reference(text)[0].tolist(), files, names)


def nllb():
    folder = empty(FAMILIES / "nllb-clip")
    tokenizer = vocabularies.nllb()
    hub = {"hf_model_name": "facebook/nllb-200-distilled-600M", "hf_tokenizer_name": "facebook/nllb-200-distilled-600M",
           "hf_proj_type": "linear", "hf_pooler_type": "cls_pooler"}
    # The published ones have the image tower of SigLIP.
    config = M2M100Config(
        vocab_size=len(tokenizer), d_model=WIDTH, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=CONTEXT + 2,
        pad_token_id=1, bos_token_id=0, eos_token_id=2, attn_implementation="eager")
    with config_folder(config) as name:
        model = build(TIMM_SIGLIP, hub | {"hf_model_name": name, "hf_model_pretrained": False}, 54, custom=True,
                      init_logit_bias=-10, timm_sizes=TIMM_SIZES)
    files = export_towers(model, folder, SQUASH, CONTEXT)
    write_json(folder / "config.json", {"embed_dim": DIMENSION, "custom_text": True, "init_logit_bias": -10,
                                        "vision_cfg": TIMM_SIGLIP, "text_cfg": hub})
    roberta_tokenizer(folder / "textual", tokenizer, "NllbTokenizer", 1024, src_lang="eng_Latn", tgt_lang=None,
                      legacy_behaviour=False)
    files_tokenizer = immich_tokenizer(folder, CONTEXT, "<pad>")
    reference = hf_tokenizer(tokenizer, CONTEXT, "whitespace")

    def with_language(text, language):
        tokenizer.set_src_lang_special_tokens(language)
        return reference(text)[0].tolist()

    golden = immich_golden(folder, SQUASH, lower=False, clean="collapses whitespace", context=CONTEXT, pad_id=1,
                       frame="eng_Latn text </s>", prefix="the language code, directly before the text")
    add_vectors(golden, model, SQUASH, lambda text, language: files_tokenizer.encode(language + clean(text, False)).ids,
                with_language, files, languages=LANGUAGES)


FAMILY = {"openclip-immich": openclip_immich, "openclip-immich-u8": openclip_immich_u8,
          "openclip-xlm-roberta": xlm_roberta, "siglip2-immich": siglip2_immich,
          "nllb-clip": nllb}
