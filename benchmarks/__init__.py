"""Measurements: `make bench`. Ratios within one run count; single figures change with the machine."""
