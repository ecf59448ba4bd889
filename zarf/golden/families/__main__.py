import sys

from . import huggingface, immich, jina, mobileclip, nomic, openclip, siglip, strings
from .files import FAMILIES

MAKERS = {name: make for part in (
              siglip, huggingface, openclip, mobileclip, immich, jina, nomic, strings)
          for name, make in part.FAMILY.items()}


def main(names):
    unknown = sorted(set(names) - set(MAKERS))
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; known: {', '.join(MAKERS)}")
    for name in names or MAKERS:
        print(name)
        MAKERS[name]()
        folder = FAMILIES / name
        if folder.is_dir():
            print(f"  {sum(file.stat().st_size for file in folder.rglob('*') if file.is_file()) / 1000:.0f} kB")


main(sys.argv[1:])
