"""Small tokenizers of each family's type, with its special ids, normaliser and frame."""

import gzip
import io
import json
import string
import tempfile
from functools import cache
from pathlib import Path

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertTokenizer, CLIPTokenizer, GemmaTokenizer, NllbTokenizer, Siglip2Tokenizer
from transformers import SiglipTokenizer, XLMRobertaTokenizer
from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES
from transformers.utils import sentencepiece_model_pb2_new as sentencepiece_model

from .files import CLIP_TINY, ROOT
from .phrases import PHRASES

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
CLIP_MERGES = 88
# Some rules of the kind that the real character maps (NFKC) have; those take 240 kB.
CHARACTER_MAP = {"\u00a0": " ", "\u3000": " ", "\u2003": " ", "\t": " ", "\n": " ", "\u200b": " ", "\ufb01": "fi",
                 "\uff21": "A", "\uff22": "B", "\uff11": "1", "\u2026": "...", "e\u0301": "\u00e9", "\u2122": "TM"}
PUNCTUATION = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]\^_`{|}~]"""


def corpus():
    captions = json.loads((ROOT / "demo" / "captions.json").read_text())
    characters = " ".join(string.punctuation + string.digits + string.ascii_uppercase)
    phrases = [phrase for script in PHRASES.values() for phrase in script]
    return [entry["caption"] for entry in captions] + [characters] * 6 + phrases * 3


@cache
def clip_vocabulary():
    """The bytes, their forms at the end of a word and the first merges of the tokenizer of clip-tiny."""
    model = json.loads((CLIP_TINY / "tokenizer.json").read_text())["model"]
    merges = [tuple(merge) if isinstance(merge, list) else tuple(merge.split()) for merge in model["merges"]]
    merges = merges[:CLIP_MERGES]
    names = sorted((name for name in model["vocab"] if model["vocab"][name] < 512), key=model["vocab"].get)
    names += ["".join(merge) for merge in merges] + [BEGIN, END]
    return {name: number for number, name in enumerate(names)}, merges


def clip(**settings):
    vocab, merges = clip_vocabulary()
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77, **settings)


def clip_for_openclip():
    """The same words in the tokenizer that OpenCLIP brings."""
    from open_clip.tokenizer import SimpleTokenizer

    lines = ["# merges"] + [" ".join(merge) for merge in clip_vocabulary()[1]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "merges.gz"
        path.write_bytes(gzip.compress("\n".join(lines).encode()))
        return SimpleTokenizer(bpe_path=str(path))


def sentencepieces(kind, size, lines=None, mapped=True, **settings):
    """Trains a SentencePiece model, on the corpus unless there are `lines`, with CHARACTER_MAP if `mapped`."""
    trained = io.BytesIO()
    rules = [f"{' '.join(f'{ord(c):X}' for c in source)}\t{' '.join(f'{ord(c):X}' for c in target)}\n"
             for source, target in CHARACTER_MAP.items()]
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as table:
        table.write("".join(rules))
        table.flush()
        normalization = {"normalization_rule_tsv": table.name} if mapped else {"normalization_rule_name": "identity"}
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines or corpus()), model_writer=trained, vocab_size=size, model_type=kind,
            character_coverage=0.98, hard_vocab_limit=False, num_threads=1, minloglevel=2, **normalization, **settings)
    proto = sentencepiece_model.ModelProto()
    proto.ParseFromString(trained.getvalue())
    # The name of a temporary file.
    proto.normalizer_spec.ClearField("normalization_rule_tsv")
    return proto


def merges_of(proto, vocab):
    """The merges that lead to the pieces of a byte pair encoding, the earliest first."""
    score = {piece.piece: piece.score for piece in proto.pieces if piece.type == piece.NORMAL}
    merges = [(-score[name], vocab[name[:at]], name[:at], name[at:]) for name in score for at in range(1, len(name))
              if name[:at] in score and name[at:] in score]
    return [(left, right) for _, _, left, right in sorted(merges)]


@cache
def siglip_pieces():
    return sentencepieces("unigram", 420, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)


def siglip(folder):
    """The slow tokenizer of transformers, which is the reference; its model is written to `folder`."""
    path = Path(folder) / "spiece.model"
    path.write_bytes(siglip_pieces().SerializeToString())
    return SiglipTokenizer(vocab_file=str(path), model_max_length=64)


def siglip_json():
    """The same as `tokenizer.json`, as converted by hand for Xenova/siglip-*."""
    proto = siglip_pieces()
    tokenizer = Tokenizer(models.Unigram([(piece.piece, piece.score) for piece in proto.pieces], unk_id=2))
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.Lowercase(),
        normalizers.Replace(Regex(PUNCTUATION), ""),
        normalizers.Replace(Regex(r"\s+"), " "),
        normalizers.Strip(),
        normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
        normalizers.Replace(Regex(" {2,}"), " "),
    ])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in ("</s>", "<unk>")])
    return tokenizer


@cache
def gemma_vocabulary():
    """A byte pair encoding with byte fallback: pad 0, eos 1, bos 2, unk 3, then bytes, merges and characters."""
    lines = [line.lower() for line in corpus()] + corpus()[:60]
    proto = sentencepieces("bpe", 620, lines, mapped=False, pad_id=0, eos_id=1, bos_id=2, unk_id=3, byte_fallback=True,
                           add_dummy_prefix=False, remove_extra_whitespaces=False)
    names = {"<s>": "<bos>", "</s>": "<eos>"}
    names = [names.get(piece.piece, piece.piece) for piece in proto.pieces] + ["<mask>", "\n", "\t"]
    vocab = {name: number for number, name in enumerate(names)}
    return vocab, merges_of(proto, vocab)


def gemma(lower=False):
    """The tokenizer as in the files of the exports; with `lower` that of transformers for SigLIP 2."""
    vocab, merges = gemma_vocabulary()
    kind = Siglip2Tokenizer if lower else GemmaTokenizer
    tokenizer = kind(vocab=dict(vocab), merges=list(merges), add_bos_token=False, add_eos_token=True,
                     padding_side="right", model_max_length=64)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A:0 <eos>:0", special_tokens=[("<eos>", 1)])
    return tokenizer


@cache
def roberta_pieces():
    return sentencepieces("unigram", 420, unk_id=0, bos_id=1, eos_id=2, pad_id=-1)


def xlm_roberta():
    proto = roberta_pieces()
    vocab = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocab += [(piece.piece, piece.score) for piece in proto.pieces[3:]] + [("<mask>", 0.0)]
    return XLMRobertaTokenizer(
        vocab=vocab, _spm_precompiled_charsmap=proto.normalizer_spec.precompiled_charsmap, model_max_length=512)


@cache
def nllb_vocabulary():
    """The pieces of a byte pair encoding and the merges that lead to them."""
    proto = sentencepieces("bpe", 420, unk_id=0, bos_id=1, eos_id=2, pad_id=-1)
    names = ["<s>", "<pad>", "</s>", "<unk>"] + [piece.piece for piece in proto.pieces[3:]]
    vocab = {name: number for number, name in enumerate(names)}
    return vocab, merges_of(proto, vocab), proto.normalizer_spec.precompiled_charsmap


def nllb():
    vocab, merges, characters = nllb_vocabulary()
    return NllbTokenizer(vocab=dict(vocab), merges=list(merges), _spm_precompiled_charsmap=characters,
                         src_lang="eng_Latn", model_max_length=1024)


def nllb_languages():
    return len(FAIRSEQ_LANGUAGE_CODES)


@cache
def bert_vocabulary():
    """The pieces of a byte pair encoding: those that begin a word, and the others after ##."""
    normalizer = normalizers.BertNormalizer(lowercase=True)
    proto = sentencepieces("bpe", 400, [normalizer.normalize_str(line) for line in corpus()], mapped=False)
    pieces = [piece.piece for piece in proto.pieces if piece.type == piece.NORMAL and piece.piece != "\u2581"]
    names = ["[PAD]"] + [f"[unused{at}]" for at in range(99)] + ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    names += [name for name in pieces if len(name) == 1]
    names += [name[1:] if name.startswith("\u2581") else f"##{name}" for name in pieces]
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def bert():
    return BertTokenizer(vocab=dict(bert_vocabulary()), do_lower_case=True, model_max_length=512)
