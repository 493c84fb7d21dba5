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

/* size: of a head; kv_heads: heads with keys and values of their own; hidden: outputs before the last product. */
typedef struct {
  int llama, layers, heads, kv_heads, size, width, hidden, vocabulary, end;
  float base, epsilon; /* of the rotary positions and of the RMS norms */
} Shape;

typedef struct {
  Linear qkv, out, up, down, gate;
  float *ln1_gamma, *ln1_beta, *ln2_gamma, *ln2_beta;
} Layer;

typedef struct {
  Shape shape;
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

Model *model_new(const Shape *shape, const float *tokens, const float *places) {
  Model *m = calloc(1, sizeof *m);
  if (!m) return NULL;
  const Shape s = m->shape = *shape;
  m->tokens = tokens, m->places = places;
  m->qkv = (s.heads + 2 * s.kv_heads) * s.size;
  m->wide = m->qkv > spread_room(s.hidden) ? m->qkv : spread_room(s.hidden);
  m->layer = calloc(s.layers, sizeof(Layer));
  if (!m->layer) return NULL;
  if (!s.llama) return m;
  m->x = copied(tokens + (size_t)s.end * s.width, s.width);
  m->start = zeroed((size_t)s.layers * 2 * s.kv_heads * s.size * sizeof *m->start);
  m->start_logits = zeroed(s.vocabulary * sizeof(float));
  m->room = zeroed((2 * s.width + m->qkv + s.heads * s.size + 2 * s.hidden) * sizeof(float));
  return m->x && m->start && m->start_logits && m->room ? m : NULL;
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

/* Weights [out, in] and biases (or NULL) of a layer, in the order qkv, out, up, down, gate; norms as gamma, beta (or
 * NULL). Layers come in order. Returns 0 when memory is short. */
int model_layer(Model *m, int index, const float *const *weight, const float *const *bias, const float *const *norm) {
  const Shape s = m->shape;
  Layer *l = &m->layer[index];
  int d = s.width, queries = s.heads * s.size;
  l->ln1_gamma = copied(norm[0], d), l->ln1_beta = copied(norm[1], d);
  l->ln2_gamma = copied(norm[2], d), l->ln2_beta = copied(norm[3], d);
  if (!l->ln1_gamma || !l->ln1_beta || !l->ln2_gamma || !l->ln2_beta ||
      !pack_linear(&l->qkv, weight[QKV], bias[QKV], m->qkv, d, s.llama) ||
      !pack_linear(&l->out, weight[OUT], bias[OUT], d, queries, s.llama) ||
      !pack_linear(&l->up, weight[UP], bias[UP], s.hidden, d, s.llama) ||
      !pack_linear(&l->down, weight[DOWN], bias[DOWN], d, s.hidden, s.llama))
    return 0;
  if (!s.llama) return 1;
  start_layer(m, index, weight, bias);
  return pack_linear(&l->gate, weight[GATE], bias[GATE], s.hidden, d, 1);
}

/* After the layers: the last norm, and the output layer's weights [vocabulary, width]. Returns 0 when memory is
 * short. */
int model_head(Model *m, const float *gamma, const float *beta, const float *weight) {
  const Shape s = m->shape;
  m->gamma = copied(gamma, s.width), m->beta = copied(beta, s.width);
  if (!m->gamma || !m->beta || !pack_linear(&m->head, weight, NULL, s.vocabulary, s.width, s.llama)) return 0;
  if (!s.llama) return 1;
  rms_norm(m->x, gamma, m->room, s.width, s.epsilon);
  exact_product(weight, NULL, m->room, s.vocabulary, s.width, m->start_logits);
  return 1;
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
