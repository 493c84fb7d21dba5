"""The forms that a corpus file can have.

To add one: write a `Form` in a file of its own here, and name it in FORMS before the forms that are more general.
"""

from __future__ import annotations

from training.corpus.forms.delimited import DELIMITED
from training.corpus.forms.form import Form, Found, Source
from training.corpus.forms.json_lines import JSON_LINES
from training.corpus.forms.lines import LINES
from training.corpus.forms.table import TABLE

FORMS: list[Form] = [TABLE, JSON_LINES, DELIMITED, LINES]
"""The first that recognises a file reads it; the last one takes any text."""


def form_of(source: Source) -> tuple[Form, Found]:
    """The form of a file, and why."""
    return next((form, found) for form in FORMS if (found := form.recognise(source)))
