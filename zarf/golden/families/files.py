"""Paths of the test data, and how JSON is written."""

import json
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FAMILIES = ROOT / "tests" / "data" / "families"
TOKENIZERS = ROOT / "tests" / "data" / "tokenizers"
CLIP_TINY = ROOT / "tests" / "data" / "clip-tiny"


def empty(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=True) + "\n")


def write_rows(path, value):
    """Writes an object with one line per entry of its lists: ids and vectors would take a line per number."""
    parts = []
    for key, entry in value.items():
        if isinstance(entry, list):
            rows = ",\n  ".join(json.dumps(row, ensure_ascii=True) for row in entry)
            parts.append(f" {json.dumps(key)}: [\n  {rows}\n ]")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(entry, ensure_ascii=True)}")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")
