"""A bot's settings: `bot.toml` in, frozen dataclasses out. Everything that is known of a setting stands in its field.

Name, type, default, bounds and help are written once, in known.py. The options of the command line
(training/cli/options.py), the commented bot.toml that `deepproverbs settings` prints and the table in docs/settings.md
are made from them; file.py reads and checks.

    bot = load(Path("data/proverbs/bot.toml"))         what the file leaves out keeps its default
    bot = override(bot, "finetune", epochs=2)          options of the command line
"""

from training.settings.file import bot_file, code_file, fitted, lies_in, load, override
from training.settings.known import (
    FITTED,
    NOTHING_SAID,
    SECTIONS,
    Bot,
    CorpusSettings,
    FilterSettings,
    FinetuneSettings,
    RefillSettings,
    SampleSettings,
    Setting,
    find,
    plain,
    settings_of,
)

__all__ = [
    "FITTED",
    "NOTHING_SAID",
    "SECTIONS",
    "Bot",
    "CorpusSettings",
    "FilterSettings",
    "FinetuneSettings",
    "RefillSettings",
    "SampleSettings",
    "Setting",
    "bot_file",
    "code_file",
    "find",
    "fitted",
    "lies_in",
    "load",
    "override",
    "plain",
    "settings_of",
]
