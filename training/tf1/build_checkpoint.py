"""Write named arrays as a TensorFlow checkpoint that gpt-2-simple loads. Python 3.6 to 3.8, TensorFlow 1.15.

    .venvs/tf1/bin/python training/tf1/build_checkpoint.py '{"weights": "weights.npz", "folder": "nano"}'

In:  weights, arrays of any float type under checkpoint names (model/wte, model/h0/attn/c_attn/w, …),
     and folder/hparams.json, which says their shapes.
Out: folder/checkpoint and folder/model.ckpt.{data-00000-of-00001,index,meta} in float32; on stdout
     the event "written". What is wrong with the weights is the last line of stderr.

4.5 million parameters take 4 s, of which importing TensorFlow takes 3.
"""

import os

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # writing a file needs no GPU, and a busy one would stop it

from common import arguments, emit, gpt2, hparams, np, tf


def mismatch(variables, arrays):
    """What keeps `arrays` from being the values of `variables`, or None."""
    for name in sorted(set(variables) ^ set(arrays)):
        return f"{name} is {'missing' if name in variables else 'no variable of this model'}"
    for name, value in sorted(arrays.items()):
        shape = tuple(variables[name].shape.as_list())
        if value.shape != shape:
            return f"{name} has shape {value.shape}, not {shape}"
        if value.dtype.kind != "f" or not np.isfinite(value).all():
            return f"{name} holds values that are no finite floats"
    return None


def build(weights, folder):
    gpt2.model(hparams=hparams(folder), X=tf.compat.v1.placeholder(tf.int32, [1, None]))
    variables = {variable.op.name: variable for variable in tf.compat.v1.global_variables()}
    try:
        with np.load(weights, allow_pickle=False) as file:
            arrays = dict(file.items())
    except Exception as error:  # zipfile's, zlib's, numpy's: a damaged file has many faces
        raise SystemExit(f"{weights} is damaged ({error})") from error
    wrong = mismatch(variables, arrays)
    if wrong:
        raise SystemExit(f"{weights} does not fit hparams.json: {wrong}")
    with tf.compat.v1.Session() as session:
        for name, value in arrays.items():
            variables[name].load(value.astype(np.float32), session)
        # Relative: the folder is renamed afterwards, and a user may move it.
        tf.compat.v1.train.Saver(save_relative_paths=True).save(session, os.path.join(folder, "model.ckpt"))
    emit("written", parameters=int(sum(value.size for value in arrays.values())))


if __name__ == "__main__":
    build(arguments()["weights"], arguments()["folder"])
