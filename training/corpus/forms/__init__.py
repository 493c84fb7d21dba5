"""The forms that a corpus file can have.

To add one: write a `Form` in a file of its own here, and name it in FORMS before the forms that are more general.
"""

from __future__ import annotations

import dataclasses

from training.common.errors import DeepproverbsError, WrongUse
from training.corpus.forms.blocks import BLOCKS, PARAGRAPHS, POEMS
from training.corpus.forms.chats import DISCORD, TELEGRAM
from training.corpus.forms.delimited import DELIMITED, SEPARATED
from training.corpus.forms.export_tables import EXPORT_TABLES
from training.corpus.forms.form import Form, Found, Source
from training.corpus.forms.fortune import FORTUNE
from training.corpus.forms.get_old_tweets import GET_OLD_TWEETS
from training.corpus.forms.json_lines import JSON_LINES
from training.corpus.forms.json_values import JSON
from training.corpus.forms.lines import LINES
from training.corpus.forms.lists import LIST
from training.corpus.forms.marked import CARDS, GUTENBERG_BOOK, LYRIC_LINES, SUBTITLES, VERSES
from training.corpus.forms.markers import MARKERS
from training.corpus.forms.mastodon import MASTODON
from training.corpus.forms.mtgjson import MTGJSON
from training.corpus.forms.table import TABLE
from training.corpus.forms.tumblr import TUMBLR
from training.corpus.forms.whatsapp import WHATSAPP
from training.corpus.forms.x_archive import X_ARCHIVE

FORMS: list[Form] = [
    X_ARCHIVE,
    MASTODON,
    TELEGRAM,
    DISCORD,
    WHATSAPP,
    TUMBLR,
    MTGJSON,
    JSON_LINES,
    JSON,
    MARKERS,
    CARDS,
    SUBTITLES,
    GUTENBERG_BOOK,
    GET_OLD_TWEETS,
    EXPORT_TABLES,
    DELIMITED,
    FORTUNE,
    TABLE,
    SEPARATED,
    VERSES,
    LYRIC_LINES,
    LIST,
    POEMS,
    PARAGRAPHS,
    BLOCKS,
    LINES,
]
"""The first that recognises a file reads it: what is certain before what is likely; the last one takes any text."""
ARCHIVES: list[Form] = [X_ARCHIVE, MASTODON, DISCORD, TUMBLR]
"""Those that are read from an archive or folder of files."""


def form_of(source: Source) -> tuple[Form, Found]:
    """The form of a file, and why: the one that is said by hand, or the first that recognises it.

    Raises:
        WrongUse: there is no form of that name, or what was said means nothing to it.
        DeepproverbsError: the file has not the form that was said, or is broken, or could have two.
    """
    said = source.settings
    for name in ("field", "delimiter", "author"):
        if value := getattr(said, name):
            form = next((form for form in FORMS if form.name == said.form), None)
            if form and name not in form.takes:
                raise WrongUse(f"{form.title[0].upper()}{form.title[1:]} has no {name}: leave out --{name} {value}.")
    if said.form:
        return _said(source)
    if said.delimiter:
        form = SEPARATED if _is_line(said.delimiter) else TABLE
        found = form.said(source) if form.said else None
        assert found, "a form that takes a delimiter accepts or refuses it"
        return form, found
    form, found = next((form, found) for form in FORMS if (found := form.recognise(source)))
    return _takes(source, form, found)


def _takes(source: Source, form: Form, found: Found) -> tuple[Form, Found]:
    """The form, which must know what to do with what was said."""
    for name in ("field", "author"):
        if (value := getattr(source.settings, name)) and name not in form.takes:
            raise DeepproverbsError(
                f"{source.name} has no {name} {value!r}: it is read as {form.title} ({found.evidence}); "
                f"leave out --{name}, or say another --form."
            )
    return form, found


def archive_of(source: Source) -> tuple[Form, Found] | None:
    """The export that an archive or folder is; None: it is none."""
    said = source.settings.form
    forms = [form for form in ARCHIVES if said in ("", form.name)]
    for form in forms:
        if found := form.recognise(source):
            return _takes(source, form, found)
    return None


def _is_line(delimiter: str) -> bool:
    """Whether it separates texts as a line of its own rather than columns."""
    return delimiter == "%" or (len(delimiter) > 1 and delimiter not in ("tab", "\\t", "comma", "semicolon", "pipe"))


def _said(source: Source) -> tuple[Form, Found]:
    name = source.settings.form
    form = next((form for form in FORMS if form.name == name), None)
    if form is None:
        raise WrongUse(f"There is no form {name!r}; known are {', '.join(form.name for form in FORMS)}.")
    found = (form.said or form.recognise)(source)
    if found is None:
        nothing = dataclasses.replace(source.settings, form="", delimiter="", field="", author="")
        other, why = form_of(dataclasses.replace(source, settings=nothing))
        raise DeepproverbsError(
            f"{source.name} is not {form.title}, as --form {name} says, but {other.title}: {why.evidence}; "
            f"say --form {other.name}, or leave it out."
        )
    return form, found
