"""The fast sampler: GPT-2 in C, compiled on this machine for this machine's processor.

`build` compiles decoder.c, `weights` reads a converted model, `sampler` is what the rest of the
project calls. Where there is no C compiler, CTranslate2 samples instead.
"""
