"""gpt-2-simple's own sampler, its graph built once: {folder, prefixes, temperatures, first, batch, length, top_k,
top_p, seed} → events "texts" {numbers, rows, logprobs}, without end.

prefixes are token ids, the end token first; rows are the tokens after the prefix, up to and with the next end
token. Text n has prefix n % P and temperature n // P % T. The sampler itself draws `length` tokens for every text,
whether it has ended or not; the log-probabilities (mean a token, nats, temperature 1) take a second pass.
"""

from common import arguments, emit, gpt2, hparams, latest, leave_with_parent, model_variables, np, session, tf
from gpt_2_simple.src import sample as gpt2_sample

SCORED = 16
"""Texts scored at a time: their logits are [16, T, 50257]."""


def main(a):
    params, batch, prefixes = hparams(a["folder"]), a["batch"], a["prefixes"]
    tf.compat.v1.set_random_seed(a["seed"])
    end = prefixes[0][0]
    context = tf.compat.v1.placeholder(tf.int32, [batch, None])
    temperature = tf.compat.v1.placeholder(tf.float32, [batch, 1])
    length = min(a["length"], params.n_ctx - max(map(len, prefixes)))
    output = gpt2_sample.sample_sequence(
        hparams=params,
        length=length,
        context=context,
        batch_size=batch,
        temperature=temperature,
        top_k=min(a["top_k"], params.n_vocab),
        top_p=a["top_p"] if a["top_p"] < 1 else 0.0,
    )
    tokens = tf.compat.v1.placeholder(tf.int32, [None, None])
    logits = gpt2.model(hparams=params, X=tokens[:, :-1], reuse=tf.compat.v1.AUTO_REUSE)["logits"]
    nll = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tokens[:, 1:], logits=logits)
    sess = session()
    tf.compat.v1.train.Saver(var_list=model_variables()).restore(sess, latest(a["folder"]))
    first, temperatures = a["first"], a["temperatures"]
    while True:
        numbers = np.arange(first, first + batch * len(prefixes))
        for prefix in range(len(prefixes)):
            leave_with_parent()
            mine = numbers[numbers % len(prefixes) == prefix]
            warm = [[temperatures[n // len(prefixes) % len(temperatures)]] for n in mine]
            start = len(prefixes[prefix])
            whole = sess.run(output, {context: [prefixes[prefix]] * batch, temperature: warm})
            ends = [int(np.argmax(row[start:] == end)) + 1 if end in row[start:] else length for row in whole]
            scores = []
            for at in range(0, batch, SCORED):
                some = whole[at : at + SCORED, : start + max(ends[at : at + SCORED])]
                scores += [
                    -row[start - 1 : start - 1 + n].mean() for row, n in zip(sess.run(nll, {tokens: some}), ends[at:])
                ]
            rows = [row[start : start + n].tolist() for row, n in zip(whole, ends)]
            emit("texts", numbers=mine.tolist(), rows=rows, logprobs=[float(score) for score in scores])
        first += len(numbers)


main(arguments())
