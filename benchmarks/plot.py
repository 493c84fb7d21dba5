"""sampling.json → sampling.svg: a bar a way, tokens a second (.venvs/bench)."""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "deepproverbs", "svg.fonttype": "none"})
import matplotlib.pyplot as plt  # noqa: E402

source = Path(sys.argv[1])
data = json.loads(source.read_text(encoding="utf-8"))
results = data["results"]
heights = [len(result["ways"]) for result in results]
figure, axes = plt.subplots(
    len(results), 1, figsize=(9, 1.2 + 0.42 * sum(heights)), squeeze=False, height_ratios=heights, layout="constrained"
)
for axis, result in zip(axes[:, 0], results, strict=True):
    ways = result["ways"][::-1]
    names, speeds = [way["way"] for way in ways], [way["tokens_per_s"] for way in ways]
    colours = ["#b5502a" if n.startswith("ours") else "#c9c4bb" if "forward" in n else "#5b6b7a" for n in names]
    bars = axis.barh(names, speeds, color=colours)
    axis.bar_label(bars, [f" {speed:,.0f}" for speed in speeds], fontsize=9)
    axis.set_title(f"{result['model']}, texts of at most {result['length']} tokens", loc="left", fontsize=10)
    axis.set_xlabel("tokens a second")
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(x=0.12)
machine = data["machine"]
figure.suptitle(f"{machine['processor']}, {machine['cores']} cores, {machine['kernel']}, {machine['date']}", fontsize=9)
figure.savefig(source.with_suffix(".svg"), metadata={"Date": None})
