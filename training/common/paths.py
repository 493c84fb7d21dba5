"""Where things are in a checkout."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The project's folder."""
MODELS = ROOT / "models"
"""Base models, shared by all runs."""
NANO = ROOT / "data" / "base" / "nano"
"""The small base model that comes with the project."""
DEFAULT_BOT = ROOT / "data" / "proverbs" / "bot.toml"
TF1_PYTHON = ROOT / ".venvs" / "tf1" / "bin" / "python"
TORCH_PYTHON = ROOT / ".venvs" / "torch" / "bin" / "python"
