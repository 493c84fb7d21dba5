"""One program a way of sampling. Each takes {folder, length, …} as JSON, says {"ready": its settings} and then
answers every line on its standard input with {"tokens", "texts", "seconds", "peak_mb"} of one run."""
