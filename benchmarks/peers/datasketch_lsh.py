"""Keep the first of alike texts with datasketch's MinHash LSH, every candidate verified with rapidfuzz's ratio.

In: a JSON list of texts. Out: {"seconds", "free": whether each was kept}.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from datasketch import MinHash, MinHashLSH
from rapidfuzz import fuzz

parser = argparse.ArgumentParser()
parser.add_argument("--ngram", type=int, required=True)
parser.add_argument("--bands", type=int, required=True)
parser.add_argument("--rows", type=int, required=True)
args = parser.parse_args()
texts = json.load(sys.stdin)
started = time.perf_counter()
lsh = MinHashLSH(num_perm=args.bands * args.rows, params=(args.bands, args.rows))
free = []
for number, text in enumerate(texts):
    words = text.split()
    runs = {" ".join(words[i : i + args.ngram]) for i in range(max(1, len(words) - args.ngram + 1))}
    sketch = MinHash(num_perm=args.bands * args.rows)
    sketch.update_batch([run.encode() for run in runs])
    alike = any(fuzz.ratio(text, texts[other]) >= 75 for other in lsh.query(sketch))
    free.append(not alike)
    if not alike:
        lsh.insert(number, sketch)
print(json.dumps({"seconds": time.perf_counter() - started, "free": free}))
