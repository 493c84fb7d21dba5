"""`deepproverbs review`: a page on which a person reads texts before they are published."""
