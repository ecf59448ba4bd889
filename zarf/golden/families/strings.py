"""Makes tests/data/tokenizers: 1,000 strings in ten scripts, and the ids that the `tokenizers` package makes of them
with the tokenizer of each type. Of the ids only their FNV-1a hash is kept, so that a case that fails has a number."""

import json
import random

from tokenizers import Tokenizer

from .files import FAMILIES, ROOT, TOKENIZERS, empty
from .phrases import PHRASES

COUNT, LONGEST = 1000, 10_000
TYPES = {
    "clip-bpe": "openclip/tokenizer.json",
    "siglip-unigram": "siglip/tokenizer.json",
    "gemma-bpe": "siglip2/tokenizer.json",
    "xlm-roberta-unigram": "jina-clip-v2/tokenizer.json",
    "nllb-bpe": "nllb-clip/textual/tokenizer.json",
    "bert-wordpiece": "jina-clip-v1/tokenizer.json",
}
EMOJI = ["\U0001f980", "\U0001f408", "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea",
         "\u2764\ufe0f",
         "\U0001f44d\U0001f3fd", "\u26f0", "\U0001f3d6\ufe0f"]
MARKS = ["\u0301", "\u0308", "\u0327", "\u0651", "\u05b8", "\u093c", "\u0e49", "\u3099"]
BETWEEN = [" ", "  ", "\t", "\n", "\u00a0", "\u3000", "\u200b", "", ", ", " - ", "_", "/", "...", "\u2026", "\u200f"]
EDGE_CASES = ["", " ", "\n", "\u200b", "\ufeff", "</s>", "<s>", "<pad>", "<unk>", "<|endoftext|>", "[CLS]", "[MASK]",
              "eng_Latn", "deu_Latnein Hund", "\u2581", "<0x41>", "\ufb01", "\uff21\uff22\uff11", "\u2122",
              "\u00df\u1e9e", "\u0130\u0131", "\u01c5", "\u03a3\u03c3\u03c2",
              "\ufffd", "\U0010ffff", "\x00", "\x7f", "a\x00b", "&amp;", "1234567890",
              "'s 't 're 've 'm 'll 'd", "!?" * 40, "e\u0301" * 30,
              "\u202eabc\u202c", "\u0627\u0644\u0633\u0644\u0627\u0645 hello \u05e9\u05dc\u05d5\u05dd", "x" * 300]


def strings():
    """The edge cases, then random words of one to three scripts with marks, emoji and separators, then a long one."""
    generator = random.Random(19)
    words = {script: [word for phrase in phrases for word in phrase.split()] for script, phrases in PHRASES.items()}

    def text(length):
        scripts = generator.sample(sorted(words), generator.choice([1, 1, 1, 2, 3]))
        parts = []
        while sum(map(len, parts)) < length:
            word = generator.choice(words[generator.choice(scripts)])
            change = generator.random()
            if change < 0.1:
                word = word.upper()
            elif change < 0.2:
                at = generator.randrange(len(word)) + 1
                word = word[:at] + generator.choice(MARKS) + word[at:]
            elif change < 0.25:
                word = generator.choice(EMOJI)
            elif change < 0.3:
                word = str(generator.randrange(100_000))
            parts += [word, " " if generator.random() < 0.75 else generator.choice(BETWEEN)]
        return "".join(parts)[:length]

    made = list(EDGE_CASES)
    while len(made) < COUNT - 1:
        made.append(text(generator.randrange(1, 50)))
    return [*made, text(LONGEST)]


def fingerprint(ids):
    """FNV-1a in 32 bits over the ids as little-endian 32 bit numbers, in hexadecimal."""
    value = 0x811C9DC5
    for number in ids:
        for byte in number.to_bytes(4, "little"):
            value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"{value:08x}"


def tokenizers():
    folder = empty(TOKENIZERS)
    texts = strings()
    assert len(texts) == COUNT and max(map(len, texts)) == LONGEST
    rows = {}
    for name, file in TYPES.items():
        path = FAMILIES / file
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        encoded = [tokenizer.encode(text).ids for text in texts]
        rows[name] = {"file": str(path.relative_to(ROOT)), "tokens": sum(map(len, encoded)),
                      # Of the first strings also the ids, to see what is expected.
                      "ids": encoded[: len(EDGE_CASES)],
                      "fnv1a": "".join(fingerprint(ids) for ids in encoded)}
        print(f"  {name}: {rows[name]['tokens']} tokens, {len(set(map(tuple, encoded)))} different")
    (folder / "expected.json").write_text(json.dumps(rows).replace('}, "', '},\n"') + "\n")
    (folder / "strings.json").write_text(
        "[\n" + ",\n".join(json_string(text) for text in texts) + "\n]\n", encoding="utf-8")


def json_string(text):
    """With the letters of all scripts as they are, which escapes would double, and other characters escaped."""
    letters = (letter if letter.isalpha() and letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)
    return f'"{"".join(letters)}"'


FAMILY = {"tokenizers": tokenizers}
