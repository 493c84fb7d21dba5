"""Train nano from random weights: `make nano` (`python -m data.base.nano.pretrain`).

In:  data/proverbs/kjv.txt, the King James Bible without Proverbs, in the style of the corpus.
Out: encoder.json, vocab.bpe, hparams.json and weights.npz (half precision) beside this file,
     curve.json: the loss on the whole book of Proverbs, which nano never sees, and what it cost.

A GPT-2 of 4 layers, width 256 and a byte-level BPE of 4,096 tokens: 4.5 million parameters.
Two kinds of batch, because fine-tuning and sampling use two kinds of length:
  * whole texts, each alone from position 0 after the end token (as sampling will use them);
  * windows of 1,024 tokens across texts, so that every position is trained: without them
    gpt-2-simple's own `finetune`, which feeds such windows, starts from untrained positions.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers.implementations import ByteLevelBPETokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from training.common.text import DELIMITER, END_OF_TEXT

HERE = Path(__file__).parent
HPARAMS = {"n_vocab": 4096, "n_ctx": 1024, "n_embd": 256, "n_head": 4, "n_layer": 4}
TOKENS_A_BATCH = 2048
WINDOW = 1024


def read_texts(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").rstrip("\n").split(DELIMITER)


class Block(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.c_attn, self.attn_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.c_fc, self.mlp_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.heads, self.dropout = heads, dropout

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        drop = self.dropout if self.training else 0.0
        q, k, v = (
            part.view(batch, length, self.heads, -1).transpose(1, 2)
            for part in self.c_attn(self.ln_1(x)).split(width, dim=2)
        )
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + F.dropout(self.attn_proj(a.transpose(1, 2).reshape(batch, length, width)), drop)
        h = F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh")
        return x + F.dropout(self.mlp_proj(h), drop)


class GPT2(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        width, layers = HPARAMS["n_embd"], HPARAMS["n_layer"]
        self.wte, self.wpe = nn.Embedding(HPARAMS["n_vocab"], width), nn.Embedding(HPARAMS["n_ctx"], width)
        self.blocks = nn.ModuleList(Block(width, HPARAMS["n_head"], dropout) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        self.dropout = dropout
        for name, p in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(p)
            elif "ln_" not in name:
                # GPT-2's own initialisation: residual projections shrink with depth.
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * layers) if "proj" in name else 0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        x = F.dropout(x, self.dropout if self.training else 0.0)
        for block in self.blocks:
            x = block(x)
        return self.ln_f(x)

    def loss(self, batch: Tensor, mask: Tensor) -> Tensor:
        """Mean negative log-likelihood, nats a token, of batch[:, 1:] where mask [B, T-1] is set.
        The output layer sees only the positions that count."""
        hidden = self(batch[:, :-1])[mask]
        return F.cross_entropy(hidden @ self.wte.weight.T, batch[:, 1:][mask])


def batches(texts: list[list[int]], end: int, share: float, rng: np.random.Generator):  # type: ignore[no-untyped-def]
    """Yield (tokens [B, T], mask [B, T-1]) without end: whole texts of like length padded with the
    end token, and for `share` of the batches windows of 1,024 tokens."""
    while True:
        order = rng.permutation(len(texts))
        stream = np.concatenate([[end, *texts[i]] for i in order])
        group: list[Tensor] = []
        # Texts of a random tenth of the epoch are sorted by length: little padding, enough shuffling.
        todo = []
        for part in np.array_split(order, 10):
            chunk: list[int] = []
            for i in sorted(part, key=lambda i: len(texts[i])):
                if chunk and (len(chunk) + 1) * (len(texts[i]) + 1) > TOKENS_A_BATCH:
                    todo.append(chunk)
                    chunk = []
                chunk.append(int(i))
            todo.append(chunk)
        rng.shuffle(todo)
        del group
        for chunk in todo:
            longest = max(len(texts[i]) for i in chunk)
            rows = torch.full((len(chunk), longest + 2), end)
            mask = torch.zeros((len(chunk), longest + 1), dtype=torch.bool)
            for row, i in enumerate(chunk):
                rows[row, 1 : len(texts[i]) + 1] = torch.tensor(texts[i])
                mask[row, : len(texts[i]) + 1] = True
            yield rows, mask
            if rng.random() < share / (1 - share):
                starts = rng.integers(0, len(stream) - WINDOW - 1, TOKENS_A_BATCH // WINDOW)
                rows = torch.tensor(np.stack([stream[s : s + WINDOW + 1] for s in starts]))
                yield rows, torch.ones((len(rows), WINDOW), dtype=torch.bool)


@torch.no_grad()
def held_out_loss(model: GPT2, texts: list[list[int]], end: int) -> float:
    """Nats a token over whole texts, each alone after the end token, its own end token counted."""
    model.eval()
    total, count = 0.0, 0
    for start in range(0, len(texts), 64):
        chunk = texts[start : start + 64]
        longest = max(map(len, chunk))
        rows = torch.full((len(chunk), longest + 2), end)
        mask = torch.zeros((len(chunk), longest + 1), dtype=torch.bool)
        for row, text in enumerate(chunk):
            rows[row, 1 : len(text) + 1] = torch.tensor(text)
            mask[row, : len(text) + 1] = True
        total += model.loss(rows, mask).item() * int(mask.sum())
        count += int(mask.sum())
    model.train()
    return total / count


def openai_arrays(model: GPT2) -> dict[str, np.ndarray]:
    """The weights under the names and in the shapes of OpenAI's checkpoints."""

    def half(p: Tensor) -> np.ndarray:
        return p.detach().numpy().astype(np.float16)

    arrays = {
        "model/wte": half(model.wte.weight),
        "model/wpe": half(model.wpe.weight),
        "model/ln_f/g": half(model.ln_f.weight),
        "model/ln_f/b": half(model.ln_f.bias),
    }
    for n, b in enumerate(model.blocks):
        for name, norm in (("ln_1", b.ln_1), ("ln_2", b.ln_2)):
            arrays[f"model/h{n}/{name}/g"], arrays[f"model/h{n}/{name}/b"] = half(norm.weight), half(norm.bias)
        for name, linear in (
            ("attn/c_attn", b.c_attn),
            ("attn/c_proj", b.attn_proj),
            ("mlp/c_fc", b.c_fc),
            ("mlp/c_proj", b.mlp_proj),
        ):
            arrays[f"model/h{n}/{name}/w"] = half(linear.weight.T[None].contiguous())
            arrays[f"model/h{n}/{name}/b"] = half(linear.bias)
    return arrays


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the nano base model from random weights.")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--windows", type=float, default=0.2, help="share of the batches that are 1,024-token windows")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "proverbs")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)

    raw = read_texts(args.data / "kjv.txt")
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(raw, vocab_size=HPARAMS["n_vocab"] - 1, min_frequency=2, show_progress=False)
    bpe.save_model(str(args.out))
    vocab = json.loads((args.out / "vocab.json").read_text(encoding="utf-8"))
    end = vocab[END_OF_TEXT] = len(vocab)
    assert len(vocab) == HPARAMS["n_vocab"]
    (args.out / "encoder.json").write_text(json.dumps(vocab), encoding="utf-8")
    (args.out / "merges.txt").replace(args.out / "vocab.bpe")
    (args.out / "vocab.json").unlink()
    (args.out / "hparams.json").write_text(json.dumps(HPARAMS) + "\n", encoding="utf-8")

    texts = [e.ids for e in bpe.encode_batch(raw)]
    unseen = [e.ids for e in bpe.encode_batch(read_texts(args.data / "corpus.txt"))]
    model = GPT2(args.dropout)
    print(
        f"{sum(p.numel() for p in model.parameters()):,} parameters; "
        f"{len(texts):,} texts, {sum(map(len, texts)) + len(texts):,} tokens an epoch"
    )
    decay = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    adam = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}], lr=args.rate, betas=(0.9, 0.98)
    )
    curve, seen, started, last = [], 0, time.monotonic(), 0.0
    source = batches(texts, end, args.windows, np.random.default_rng(args.seed))
    running = 0.0
    for step, (rows, mask) in enumerate(source):
        # The clock sets the schedule: warm-up over 1 % of the time, then a cosine to zero.
        done = (time.monotonic() - started) / (60 * args.minutes)
        if done >= 1:
            break
        rate = args.rate * min(1.0, (step + 1) / 200) * (0.5 + 0.5 * math.cos(math.pi * done))
        for group in adam.param_groups:
            group["lr"] = rate
        loss = model.loss(rows, mask)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        seen += int(mask.sum())
        running = loss.item() if step == 0 else 0.98 * running + 0.02 * loss.item()
        if time.monotonic() - last > 120 or step == 0:
            last = time.monotonic()
            curve.append(
                {
                    "minutes": round((last - started) / 60, 1),
                    "tokens": seen,
                    "training": round(running, 3),
                    "proverbs": round(held_out_loss(model, unseen, end), 3),
                }
            )
            print(json.dumps(curve[-1]), flush=True)
            np.savez(args.out / "weights.part.npz", **openai_arrays(model))
    curve.append(
        {
            "minutes": round((time.monotonic() - started) / 60, 1),
            "tokens": seen,
            "training": round(running, 3),
            "proverbs": round(held_out_loss(model, unseen, end), 3),
        }
    )
    print(json.dumps(curve[-1]))
    np.savez_compressed(args.out / "weights.npz", **openai_arrays(model))
    (args.out / "weights.part.npz").unlink(missing_ok=True)
    cost = {
        "threads": args.threads,
        "rate": args.rate,
        "dropout": args.dropout,
        "seed": args.seed,
        "windows": args.windows,
        "torch": torch.__version__,
        "curve": curve,
    }
    (args.out / "curve.json").write_text(json.dumps(cost, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
