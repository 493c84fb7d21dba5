"""Checkpoint → one .npz of float32 arrays under the checkpoint's own names: {folder, out}."""

import os

from common import arguments, emit, latest, np, tf

a = arguments()
reader = tf.train.load_checkpoint(latest(a["folder"]))
arrays = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if name.startswith("model/")}
with open(a["out"] + ".part", "wb") as file:
    np.savez(file, **arrays)
os.replace(a["out"] + ".part", a["out"])
emit("written", parameters=int(sum(v.size for v in arrays.values())))
