"""Logits of gpt-2-simple's own model for given tokens: {folder, rows, out} → float32 [B, T, V]."""

from common import arguments, gpt2, hparams, latest, model_variables, np, session, tf

a = arguments()
tokens = tf.compat.v1.placeholder(tf.int32, [None, None])
logits = gpt2.model(hparams=hparams(a["folder"]), X=tokens)["logits"]
sess = session()
tf.compat.v1.train.Saver(var_list=model_variables()).restore(sess, latest(a["folder"]))
np.save(a["out"], sess.run(logits, {tokens: np.array(a["rows"], dtype=np.int32)}))
