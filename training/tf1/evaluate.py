"""Held-out loss of checkpoints: {folder, prefixes, corpus} → one `loss` event each.

A prefix names a checkpoint's files in the folder ("model-96"); "" is the one that the folder's
`checkpoint` file names.
"""

import os

from common import (
    Texts,
    arguments,
    emit,
    held_out_loss,
    hparams,
    latest,
    model_variables,
    np,
    session,
    tf,
    whole_text_loss,
)

a = arguments()
texts = Texts(np.load(a["corpus"]), "held_out")
tokens, mask, total = whole_text_loss(hparams(a["folder"]))
sess = session()
saver = tf.compat.v1.train.Saver(var_list=model_variables())
for prefix in a["prefixes"]:
    saver.restore(sess, os.path.join(a["folder"], prefix) if prefix else latest(a["folder"]))
    emit("loss", prefix=prefix, held_out=round(held_out_loss(sess, texts, tokens, mask, total), 4))
