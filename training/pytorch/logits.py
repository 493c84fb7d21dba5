"""Logits of a model in Hugging Face's layout for given tokens: {folder, rows, out} → float32 [B, T, V]."""

import common
import numpy as np
import torch
from model import load

a = common.arguments()
with torch.no_grad():
    np.save(a["out"], load(a["folder"])(input_ids=torch.tensor(a["rows"])).logits.numpy())
