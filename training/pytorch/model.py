"""A causal model of transformers, as the trainer uses it: losses of whole texts, no logit more than needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from texts import Texts
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForCausalLM
from vocabulary import Softmax

LONGEST = 1023
"""Tokens of a text that are trained on, the end token before it not counted, as with TensorFlow."""


def best_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def load(folder: str | Path) -> torch.nn.Module:
    """The model in float32, without dropout: two to four passes do not need it, and TensorFlow's trainer has none."""
    net = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    for name, value in vars(net.config).items():
        if name.endswith(("pdrop", "dropout")) and isinstance(value, float):
            setattr(net.config, name, 0.0)
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name, child in module.named_children():
            if type(child).__name__ == "NewGELUActivation":  # the same in one pass instead of eight
                setattr(module, name, torch.nn.GELU(approximate="tanh"))
    return net


class CausalModel:
    """On the best device that there is; in bfloat16 where a GPU can, the weights and Adam's moments in float32."""

    def __init__(self, folder: str, memory_saving: bool) -> None:
        torch.set_flush_denormal(True)  # Adam's moments of rare tokens end there, and are then ten times as slow
        self.device = best_device()
        self.net = load(folder).to(self.device)
        self.net.config.use_cache = False
        if memory_saving:
            self.net.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.net.train()  # gradient checkpointing asks for it; there is no dropout
        self.half = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        self.body = getattr(self.net, self.net.base_model_prefix)
        self.head = self.net.get_output_embeddings()
        self.rows = self.head.weight.shape[0]
        self.longest = min(LONGEST, getattr(self.net.config, "max_position_embeddings", LONGEST + 1) - 1)
        self.plain = self._head_is_plain()
        """Whether logits are the last states times the output layer; some models scale or cap them."""

    def _states(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(states [N, D] that have a next token, those tokens [N]). Padding stands to the right of a text, where the
        causal mask hides it."""
        tokens, mask = tokens.to(self.device), mask.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            if self.plain:
                states = self.body(input_ids=tokens[:, :-1], use_cache=False).last_hidden_state
            else:
                states = self.net(input_ids=tokens[:, :-1], use_cache=False).logits
        return states[mask], tokens[:, 1:][mask]

    def _logits(self, states: Tensor, rows: Tensor | None = None) -> Tensor:
        """[N, rows] in float32."""
        if not self.plain:
            return (states if rows is None else states[:, rows]).float()
        weight, bias = self.head.weight, self.head.bias
        if rows is not None:
            weight, bias = weight[rows], None if bias is None else bias[rows]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            return F.linear(states, weight, bias).float()

    def loss(self, tokens: Tensor, mask: Tensor, softmax: Softmax, step: int) -> Tensor:
        """Mean over the tokens of a batch, nats."""
        states, targets = self._states(tokens, mask)
        rows = softmax.rows(step)
        return softmax.loss(self._logits(states, None if rows is None else rows.to(self.device)), targets)

    def logprobs(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(log-probabilities [N, rows] over the whole vocabulary, targets [N])."""
        states, targets = self._states(tokens, mask)
        return torch.log_softmax(self._logits(states), -1), targets

    def mean_probabilities(self, texts: Texts, indexes: Sequence[int], size: int = 16) -> Tensor:
        """Mean over all places of some texts of every token's probability, float64 [rows]."""
        total, places = torch.zeros(self.rows, dtype=torch.float64), 0
        with torch.no_grad():
            for at in range(0, len(indexes), size):
                logprobs, targets = self.logprobs(*texts.batch(indexes[at : at + size]))
                total += logprobs.exp().sum(0).double().cpu()
                places += len(targets)
        return total / places

    def trained(self, layers: str) -> list[torch.nn.Parameter]:
        """The weights to train: all, or those of the transformer's layers alone. The others need no gradient."""
        if layers == "transformer":
            lists = [module for module in self.net.modules() if isinstance(module, torch.nn.ModuleList)]
            inside = {id(weight) for weight in max(lists, key=lambda found: len(list(found.parameters()))).parameters()}
            for weight in self.net.parameters():
                weight.requires_grad_(id(weight) in inside)
        return [weight for weight in self.net.parameters() if weight.requires_grad]

    def save(self, folder: Path) -> None:
        self.net.save_pretrained(folder)

    def _head_is_plain(self) -> bool:
        tokens = torch.arange(8, device=self.device)[None] % self.rows
        with torch.no_grad():
            whole = self.net(input_ids=tokens, use_cache=False).logits
            ours = self.head(self.body(input_ids=tokens, use_cache=False).last_hidden_state)
        return bool(torch.allclose(whole, ours.to(whole.dtype), atol=1e-3, rtol=1e-3))
