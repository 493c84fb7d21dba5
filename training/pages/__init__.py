"""What a person sees in a browser: the report of a run, and the review of its texts."""
