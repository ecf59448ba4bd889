"""The texts and the images of the golden vectors."""

TEXTS = [
    "a photo of a cat",
    "A CAT",
    "  a   cat \t and\na dog ",
    "it's the dog's; they're late!",
    "an f/2.8 lens, 50mm -- #nofilter",
    "snake_case, and a comma , alone",
    "caf\u00e9 Zo\u00eb cafe\u0301",
    "\u65e5\u672c\u306e\u5199\u771f",
    "\u0424\u043e\u0442\u043e\u0433\u0440\u0430\u0444\u0438\u044f \u043a\u043e\u0442\u0430",
    "\u0635\u0648\u0631\u0629 \u0642\u0637\u0629",
    "\U0001f980 and \U0001f469\u200d\U0001f469\u200d\U0001f467",
    "3",
    "a small cat that sleeps on a red chair. " * 20,
]
# Only OpenCLIP repairs entities and wrong encodings (html.unescape, ftfy).
REPAIRED_TEXTS = ["cats &amp; dogs", "a sch\u00c3\u00b6n photo"]
# The second leaves an odd number of columns to crop at 32 pixels, the third is upright, the last is grey.
IMAGES = ["demo/cat.jpg", "demo/rocket.jpg", "demo/leaning-tower.jpg", "tests/data/reference/gray-png.png"]
LANGUAGES = ["eng_Latn", "deu_Latn", "zho_Hans"]
