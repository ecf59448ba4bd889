"""The JSON files that the publishers put beside their models."""

import json

from .files import write_json

OPENAI_MEAN = [0.48145466, 0.4578275, 0.40821073]
OPENAI_STD = [0.26862954, 0.26130258, 0.27577711]
HALF = [0.5, 0.5, 0.5]
RESCALE = 0.00392156862745098


def special_tokens(**names):
    return {name: {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
            for name, content in names.items()}


def write_tokenizer(folder, tokenizer, config, special, padding=None):
    """`tokenizer.json` and its companions as transformers 4 saved them. `padding` is embedded in `tokenizer.json`."""
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    folder.mkdir(parents=True, exist_ok=True)
    content = json.loads(backend.to_str())
    content |= {"truncation": None, "padding": padding}
    (folder / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")))
    write_json(folder / "tokenizer_config.json", config)
    write_json(folder / "special_tokens_map.json", special)


def clip_tokenizer(folder, tokenizer, pad="<|endoftext|>"):
    begin, end = "<|startoftext|>", "<|endoftext|>"
    config = {"add_prefix_space": False, "bos_token": begin, "clean_up_tokenization_spaces": True,
              "do_lower_case": True, "eos_token": end, "errors": "replace", "model_max_length": 77, "pad_token": pad,
              "tokenizer_class": "CLIPTokenizer", "unk_token": end}
    special = special_tokens(bos_token=begin, eos_token=end, unk_token=end) | {"pad_token": pad}
    write_tokenizer(folder, tokenizer, config, special)


def roberta_tokenizer(folder, tokenizer, kind="XLMRobertaTokenizer", length=512, **more):
    names = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>",
             "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>"}
    config = {**names, "clean_up_tokenization_spaces": True, "model_max_length": length, "tokenizer_class": kind}
    write_tokenizer(folder, tokenizer, config | more, names)


def bert_tokenizer(folder, tokenizer, length):
    names = {"cls_token": "[CLS]", "mask_token": "[MASK]", "pad_token": "[PAD]", "sep_token": "[SEP]",
             "unk_token": "[UNK]"}
    config = {**names, "clean_up_tokenization_spaces": True, "do_lower_case": True, "model_max_length": length,
              "strip_accents": None, "tokenize_chinese_chars": True, "tokenizer_class": "BertTokenizer"}
    write_tokenizer(folder, tokenizer, config, names)


def clip_preprocessor(side, resample=3, mean=OPENAI_MEAN, std=OPENAI_STD, **more):
    """A preprocessor_config.json of transformers 4.30 and later."""
    values = {"image_mean": mean, "image_std": std} if mean else {}
    return {"crop_size": {"height": side, "width": side}, "do_center_crop": True, "do_convert_rgb": True,
            "do_normalize": bool(mean), "do_rescale": True, "do_resize": True,
            "image_processor_type": "CLIPImageProcessor", **values, "resample": resample, "rescale_factor": RESCALE,
            "size": {"shortest_edge": side}} | more


def old_clip_preprocessor(side):
    """The form before transformers 4.26: sizes are integers, keys of rescaling and conversion are absent."""
    return {"crop_size": side, "do_center_crop": True, "do_normalize": True, "do_resize": True,
            "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": OPENAI_MEAN, "image_std": OPENAI_STD,
            "resample": 3, "size": side}
