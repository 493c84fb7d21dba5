"""The fast sampler: GPT-2 in C, compiled on this machine for this machine's processor.

`build` compiles decoder.c, `weights` reads a converted model, `sampler` is what the rest of the
project calls. Processors without a C compiler at hand sample with CTranslate2 instead.
"""
