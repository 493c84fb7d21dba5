"""One self-contained page that tells all about a run: `deepproverbs report` writes RUN/report.html.

facts.py   RUN's files → Facts, everything that the page says
plots.py   Facts → plots as SVG, in the page's own colours
page.py    Facts and plots → HTML
"""
