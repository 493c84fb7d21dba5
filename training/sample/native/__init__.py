"""The fast sampler: GPT-2 and Llama-like models in C, compiled on this machine for this machine's processor.

`build` compiles decoder.c, `weights` reads a converted model, `architecture` tells what it is, `sampler` is what the
rest of the project calls. Where there is no C compiler, or `architecture.unsupported` names what the decoder lacks,
CTranslate2 samples instead.
"""
