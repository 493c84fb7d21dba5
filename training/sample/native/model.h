/* The weights of a GPT-2 or of a Llama-like model.
 *
 * Both are layers of attention and a network of two products. GPT-2 has layer norms, a vector for every position and a
 * GELU; Llama-like models have RMS norms, rotary positions, keys and values that several heads share, and a third
 * product that gates the second.
 */
#ifndef MODEL_H
#define MODEL_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "matmul.h"
#include "vector.h"

/* size: of a head; kv_heads: heads with keys and values of their own; hidden: outputs before the last product; context:
 * positions that have a vector, 0: they need none. */
typedef struct {
  int llama, layers, heads, kv_heads, size, width, hidden, vocabulary, end, context;
  float base, epsilon; /* of the rotary positions and of the RMS norms */
} Shape;

/* What a caller hands over: `count` numbers; data is NULL where the model has none. */
typedef struct {
  const float *data;
  int64_t count;
} Array;

/* The most that a model and a sampler may have. A product of MOST_INPUTS numbers fits 32 bits: 255 * 127 * 65,536 < 2^31. With the others,
 * so does every index that is no size_t, as that of a place in a head. Llama 3.1 405B has 53,248 inputs, 126 layers, heads
 * of 128 and 128,256 tokens. */
enum {
  MOST_INPUTS = 1 << 16,
  MOST_LAYERS = 1 << 10,
  MOST_SIZE = 1 << 13, /* of a head */
  MOST_TOKENS = 1 << 22,
  MOST_PLACES = 1 << 17,
  MOST_SEATS = 1 << 14,
};

static const char *const NO_MEMORY = "Out of memory in the sampler: set a smaller [sample] batch or max_tokens.";

typedef struct {
  Linear qkv, out, up, down, gate;
  float *ln1_gamma, *ln1_beta, *ln2_gamma, *ln2_beta;
} Layer;

typedef struct {
  Shape shape;
  int filled;                   /* layers that are there; one more with the head */
  int qkv, wide;                /* outputs of the product qkv; room for a row of that, or of hidden numbers */
  const float *tokens, *places; /* [vocabulary, width], [context, width] or NULL; the caller keeps them */
  float *gamma, *beta;
  Linear head;
  Layer *layer;
  /* Of Llama-like models: what the end token gives at the start of a text, computed in float32. */
  uint16_t *start; /* keys and values [layer][kv head][2][size] */
  float *start_logits, *x, *room;
} Model;

static float *copied(const float *from, size_t n) {
  float *to = zeroed(n * sizeof(float));
  if (to && from) memcpy(to, from, n * sizeof(float));
  return to;
}

static int within(int value, int most) { return value >= 1 && value <= most; }

/* Whether an array has as many numbers as the shape says, or may be missing and is. */
static int fits(const Array *array, size_t count, int optional) {
  return array->data ? array->count >= 0 && (uint64_t)array->count == count : optional;
}

static int possible(const Shape *s) {
  return within(s->layers, MOST_LAYERS) && within(s->size, MOST_SIZE) && within(s->heads, MOST_INPUTS / s->size) &&
         within(s->kv_heads, s->heads) && s->heads % s->kv_heads == 0 && within(s->width, MOST_INPUTS) &&
         within(s->hidden, MOST_INPUTS) && within(s->vocabulary, MOST_TOKENS) && s->end >= 0 && s->end < s->vocabulary &&
         (s->llama ? s->context == 0 && s->size % 2 == 0 && s->base >= 1 && s->base < INFINITY && s->epsilon >= 0 &&
                         s->epsilon < INFINITY
                   : within(s->context, MOST_PLACES));
}

void model_free(Model *m);

/* outside: the embeddings of the tokens, and of the places or none. Where it returns NULL, *why is a sentence. */
Model *model_new(const Shape *shape, const Array *outside, const char **why) {
  const Shape s = *shape;
  *why = "The model's shape is none that the native engine can sample.";
  if (!possible(&s) || !fits(&outside[0], (size_t)s.vocabulary * s.width, 0) ||
      !fits(&outside[1], (size_t)s.context * s.width, s.llama))
    return NULL;
  *why = NO_MEMORY;
  Model *m = calloc(1, sizeof *m);
  if (!m) return NULL;
  const float *tokens = outside[0].data;
  m->shape = s, m->tokens = tokens, m->places = s.llama ? NULL : outside[1].data;
  m->qkv = (s.heads + 2 * s.kv_heads) * s.size;
  m->wide = m->qkv > spread_room(s.hidden) ? m->qkv : spread_room(s.hidden);
  if (!(m->layer = calloc(s.layers, sizeof(Layer)))) m->shape.layers = 0;
  if (m->layer && !s.llama) return m;
  m->x = copied(tokens + (size_t)s.end * s.width, s.width);
  m->start = zeroed((size_t)s.layers * 2 * s.kv_heads * s.size * sizeof *m->start);
  m->start_logits = zeroed(s.vocabulary * sizeof(float));
  m->room = zeroed((2 * s.width + m->qkv + s.heads * s.size + 2 * s.hidden) * sizeof(float));
  if (m->layer && m->x && m->start && m->start_logits && m->room) return m;
  model_free(m);
  return NULL;
}

enum { QKV, OUT, UP, DOWN, GATE };

/* out [n] = weight [n, k] x + bias, in float32. */
static void exact_product(const float *weight, const float *bias, const float *x, int n, int k, float *out) {
  for (int o = 0; o < n; o++, weight += k) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < k; i++) sum += weight[i] * x[i];
    out[o] = sum + (bias ? bias[o] : 0);
  }
}

/* Take the end token at the start of a text through a layer. It attends to itself alone and is not turned, so
 * attention gives its own values. What such a model computes there (activations a thousand times the usual) is what
 * int8 damages most, and every text attends to it. */
static void start_layer(Model *m, int index, const float *const *weight, const float *const *bias) {
  const Shape s = m->shape;
  const Layer *l = &m->layer[index];
  int queries = s.heads * s.size, keys = s.kv_heads * s.size;
  float *normed = m->room, *added = normed + s.width, *qkv = added + s.width;
  float *attended = qkv + m->qkv, *up = attended + queries, *gate = up + s.hidden;
  uint16_t *to = m->start + (size_t)index * 2 * keys;
  rms_norm(m->x, l->ln1_gamma, normed, s.width, s.epsilon);
  exact_product(weight[QKV], bias[QKV], normed, m->qkv, s.width, qkv);
  for (int h = 0; h < s.kv_heads; h++)
    for (int kv = 0; kv < 2; kv++)
      for (int i = 0; i < s.size; i++) *to++ = to_half(qkv[queries + kv * keys + h * s.size + i]);
  for (int h = 0; h < s.heads; h++)
    memcpy(attended + h * s.size, qkv + queries + keys + h / (s.heads / s.kv_heads) * s.size, s.size * sizeof(float));
  exact_product(weight[OUT], bias[OUT], attended, s.width, queries, added);
  for (int i = 0; i < s.width; i++) m->x[i] += added[i];
  rms_norm(m->x, l->ln2_gamma, normed, s.width, s.epsilon);
  exact_product(weight[UP], bias[UP], normed, s.hidden, s.width, up);
  exact_product(weight[GATE], bias[GATE], normed, s.hidden, s.width, gate);
  for (int i = 0; i < s.hidden; i++) up[i] *= silu(gate[i]);
  exact_product(weight[DOWN], bias[DOWN], up, s.width, s.hidden, added);
  for (int i = 0; i < s.width; i++) m->x[i] += added[i];
}

/* The next layer: weights [out, in] and biases (or none), in the order qkv, out, up, down, and gate in Llama-like models;
 * norms as gamma, beta (or none). Returns NULL, or a sentence why not. */
const char *model_layer(Model *m, const Array *weights, const Array *biases, const Array *norms) {
  const Shape s = m->shape;
  int d = s.width, queries = s.heads * s.size, index = m->filled;
  const int out[] = {m->qkv, d, s.hidden, d, s.hidden}, in[] = {d, queries, d, s.hidden, d};
  const float *weight[5] = {NULL}, *bias[5] = {NULL}, *norm[4];
  int whole = index < s.layers;
  for (int i = 0; i < (s.llama ? 5 : 4); i++) {
    whole &= fits(&weights[i], (size_t)out[i] * in[i], 0) && fits(&biases[i], out[i], 1);
    weight[i] = weights[i].data, bias[i] = biases[i].data;
  }
  for (int i = 0; i < 4; i++) whole &= fits(&norms[i], d, i % 2), norm[i] = norms[i].data;
  if (!whole) return "A layer of the model does not have the shape that the model has.";
  Layer *l = &m->layer[index];
  l->ln1_gamma = copied(norm[0], d), l->ln1_beta = copied(norm[1], d);
  l->ln2_gamma = copied(norm[2], d), l->ln2_beta = copied(norm[3], d);
  if (!l->ln1_gamma || !l->ln1_beta || !l->ln2_gamma || !l->ln2_beta ||
      !pack_linear(&l->qkv, weight[QKV], bias[QKV], m->qkv, d, s.llama) ||
      !pack_linear(&l->out, weight[OUT], bias[OUT], d, queries, s.llama) ||
      !pack_linear(&l->up, weight[UP], bias[UP], s.hidden, d, s.llama) ||
      !pack_linear(&l->down, weight[DOWN], bias[DOWN], d, s.hidden, s.llama) ||
      (s.llama && !pack_linear(&l->gate, weight[GATE], bias[GATE], s.hidden, d, 1)))
    return NO_MEMORY;
  if (s.llama) start_layer(m, index, weight, bias);
  m->filled++;
  return NULL;
}

/* After the layers: gamma and beta (or none) of the last norm, and the output layer's weights [vocabulary, width].
 * Returns NULL, or a sentence why not. */
const char *model_head(Model *m, const Array *last) {
  const Shape s = m->shape;
  const float *gamma = last[0].data, *beta = last[1].data, *weight = last[2].data;
  if (m->filled != s.layers || !fits(&last[0], s.width, 0) || !fits(&last[1], s.width, 1) ||
      !fits(&last[2], (size_t)s.vocabulary * s.width, 0))
    return "The model's last norm or its output layer does not have the shape that the model has.";
  m->gamma = copied(gamma, s.width), m->beta = copied(beta, s.width);
  if (!m->gamma || !m->beta || !pack_linear(&m->head, weight, NULL, s.vocabulary, s.width, s.llama)) return NO_MEMORY;
  if (s.llama) {
    rms_norm(m->x, gamma, m->room, s.width, s.epsilon);
    exact_product(weight, NULL, m->room, s.vocabulary, s.width, m->start_logits);
  }
  m->filled++;
  return NULL;
}

void model_free(Model *m) {
  for (int i = 0; i < m->shape.layers; i++) {
    Layer *l = &m->layer[i];
    free_linear(&l->qkv), free_linear(&l->out), free_linear(&l->up), free_linear(&l->down), free_linear(&l->gate);
    free(l->ln1_gamma), free(l->ln1_beta), free(l->ln2_gamma), free(l->ln2_beta);
  }
  free_linear(&m->head);
  free(m->start), free(m->start_logits), free(m->x), free(m->room);
  free(m->gamma), free(m->beta), free(m->layer), free(m);
}

#endif
