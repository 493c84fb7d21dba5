/* GPT-2 itself: its weights, and one step of many texts through them.
 *
 * A step takes the newest token of each text, adds its keys and values to the text's cache, and gives the logits of
 * the next one. Rows are independent of each other, so a text's results do not depend on the texts beside it.
 */
#ifndef MODEL_H
#define MODEL_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "matmul.h"
#include "vector.h"

/* With -DPROFILE a sampler counts the seconds of its parts; without, it counts nothing. */
enum { NORMS, PRODUCTS, ATTENTION, HEAD, DRAWING, SEATS, PARTS };
#ifdef PROFILE
#include <time.h>
#define LAP(s, part) lap(&(s)->since, &(s)->spent[part])
static void lap(double *since, double *spent) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  double now = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
  *spent += now - *since, *since = now;
}
#else
#define LAP(s, part) (void)(s)
#endif

typedef struct {
  Linear qkv, out, up, down;
  float *ln1_gamma, *ln1_beta, *ln2_gamma, *ln2_beta;
} Layer;

typedef struct {
  int layers, heads, width, vocabulary, context, end;
  const float *tokens, *places; /* [vocabulary, width], [context, width]; the caller keeps them */
  float *gamma, *beta;
  Linear head;
  Layer *layer;
} Model;

static float *copied(const float *from, size_t n) {
  float *to = zeroed(n * sizeof(float));
  if (to && from) memcpy(to, from, n * sizeof(float));
  return to;
}

Model *model_new(int layers, int heads, int width, int vocabulary, int context, int end, const float *tokens,
                 const float *places, const float *gamma, const float *beta) {
  Model *m = calloc(1, sizeof *m);
  if (!m) return NULL;
  m->layers = layers, m->heads = heads, m->width = width, m->vocabulary = vocabulary;
  m->context = context, m->end = end, m->tokens = tokens, m->places = places;
  m->layer = calloc(layers, sizeof(Layer));
  m->gamma = copied(gamma, width), m->beta = copied(beta, width);
  /* The output layer shares its weights with the embeddings. */
  if (!m->layer || !m->gamma || !m->beta || !pack_linear(&m->head, tokens, NULL, vocabulary, width)) return NULL;
  return m;
}

/* Weights [out, in] and biases of one layer, in the order qkv, out, up, down; norms as gamma, beta. */
int model_layer(Model *m, int index, const float *const *weight, const float *const *bias, const float *const *norm) {
  Layer *l = &m->layer[index];
  int d = m->width;
  l->ln1_gamma = copied(norm[0], d), l->ln1_beta = copied(norm[1], d);
  l->ln2_gamma = copied(norm[2], d), l->ln2_beta = copied(norm[3], d);
  return l->ln1_gamma && l->ln1_beta && l->ln2_gamma && l->ln2_beta &&
         pack_linear(&l->qkv, weight[0], bias[0], 3 * d, d) && pack_linear(&l->out, weight[1], bias[1], d, d) &&
         pack_linear(&l->up, weight[2], bias[2], 4 * d, d) && pack_linear(&l->down, weight[3], bias[3], d, 4 * d);
}

void model_free(Model *m) {
  for (int i = 0; i < m->layers; i++) {
    Layer *l = &m->layer[i];
    free_linear(&l->qkv), free_linear(&l->out), free_linear(&l->up), free_linear(&l->down);
    free(l->ln1_gamma), free(l->ln1_beta), free(l->ln2_gamma), free(l->ln2_beta);
  }
  free_linear(&m->head);
  free(m->gamma), free(m->beta), free(m->layer), free(m);
}

/* Room for the steps of up to `seats` texts of up to `longest` tokens. */
typedef struct {
  const Model *model;
  int seats, longest;
  uint16_t *cache; /* bfloat16 [seat][layer][head][key or value][place][size]: a head reads front to back */
  float *x, *wide, *normed, *logits; /* [seats][width], [seats][4 * width], [width], [seats][vocabulary] */
  Rows rows, wide_rows;
  double since, spent[PARTS + 1]; /* the last one: time outside the sampler */
} Work;

static int make_work(Work *w, const Model *m, int seats, int longest) {
  int d = m->width;
  w->model = m, w->seats = seats, w->longest = longest;
  w->cache = zeroed((size_t)seats * m->layers * 2 * longest * d * sizeof *w->cache);
  w->x = zeroed((size_t)seats * d * sizeof(float)), w->wide = zeroed((size_t)seats * 4 * d * sizeof(float));
  w->logits = zeroed((size_t)seats * m->vocabulary * sizeof(float)), w->normed = zeroed(d * sizeof(float));
  return w->cache && w->x && w->wide && w->logits && w->normed && make_rows(&w->rows, seats, d) &&
         make_rows(&w->wide_rows, seats, 4 * d);
}

static void free_work(Work *w) {
  free(w->cache), free(w->x), free(w->wide), free(w->normed), free(w->logits);
  free_rows(&w->rows), free_rows(&w->wide_rows);
}

/* Keys of one head; its values follow them. */
static uint16_t *keys(const Work *w, int seat, int layer, int head) {
  const Model *m = w->model;
  return w->cache + (((size_t)seat * m->layers + layer) * m->heads + head) * 2 * w->longest * (m->width / m->heads);
}

/* Copy the keys and values of `count` places from `place` on to `kept`, [layer][head][2][count][size]; with `back`
 * the other way. */
static void copy_places(const Work *w, int seat, int place, int count, uint16_t *kept, int back) {
  int heads = w->model->heads, size = w->model->width / heads;
  for (int l = 0; l < w->model->layers; l++)
    for (int h = 0; h < heads; h++)
      for (int kv = 0; kv < 2; kv++, kept += count * size) {
        uint16_t *own = keys(w, seat, l, h) + (size_t)kv * w->longest * size + (size_t)place * size;
        memcpy(back ? own : kept, back ? kept : own, (size_t)count * size * sizeof *own);
      }
}

/* One head's query against its keys and values up to and including `place`; out [size]. With `size` a constant the sums
 * stay in registers: all of OpenAI's models have heads of 64. */
static inline __attribute__((always_inline)) void attend_head(const float *q, const uint16_t *k, const uint16_t *v,
                                                              int place, int size, float *out) {
  float score[place + 1], by = 1.0f / sqrtf((float)size), most = -INFINITY, sum = 0;
  for (int t = 0; t <= place; t++) {
    Lanes part = {0};
    for (int i = 0; i < size; i += LANES) part += lanes(q + i) * from_halves(k + t * size + i);
    score[t] = total(part) * by;
    most = score[t] > most ? score[t] : most;
  }
#pragma omp simd reduction(+ : sum)
  for (int t = 0; t <= place; t++) {
    score[t] = fast_exp(score[t] - most);
    sum += score[t];
  }
  for (int i = 0; i < size; i += 4 * LANES) {
    Lanes a = {0}, b = {0}, c = {0}, d = {0};
    for (int t = 0; t <= place; t++) {
      const uint16_t *from = v + t * size + i;
      a += score[t] * from_halves(from), b += score[t] * from_halves(from + LANES);
      c += score[t] * from_halves(from + 2 * LANES), d += score[t] * from_halves(from + 3 * LANES);
    }
    Lanes all[4] = {a / sum, b / sum, c / sum, d / sum};
    memcpy(out + i, all, sizeof all);
  }
}

/* The same for heads of any size. */
static void attend_odd_head(const float *q, const uint16_t *k, const uint16_t *v, int place, int size, float *out) {
  int wide = (size + 4 * LANES - 1) / (4 * LANES) * (4 * LANES);
  float query[wide], result[wide];
  uint16_t key[(place + 1) * wide], value[(place + 1) * wide];
  float by = sqrtf((float)wide / (float)size); /* attend_head divides by the root of its own size */
  memset(query, 0, sizeof query), memset(key, 0, sizeof key), memset(value, 0, sizeof value);
  for (int i = 0; i < size; i++) query[i] = q[i] * by;
  for (int t = 0; t <= place; t++) {
    memcpy(key + t * wide, k + t * size, size * sizeof *k);
    memcpy(value + t * wide, v + t * size, size * sizeof *v);
  }
  attend_head(query, key, value, place, wide, result);
  memcpy(out, result, size * sizeof *out);
}

/* Prefetch `bytes` from here on: the processor cannot foresee where the next head lies. */
static void fetch(const void *from, size_t bytes) {
  for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch((const char *)from + at);
}

/* Add the keys and values of one text's newest token, and let its queries attend; qkv [3 * width], out [width]. */
static void attend(const Work *w, const float *qkv, int seat, int layer, int place, float *out) {
  int d = w->model->width, size = d / w->model->heads;
  for (int h = 0; h < w->model->heads; h++) {
    const float *q = qkv + h * size, *key = q + d, *value = q + 2 * d;
    uint16_t *k = keys(w, seat, layer, h), *v = k + (size_t)w->longest * size;
    if (h + 1 < w->model->heads) {
      const uint16_t *next = keys(w, seat, layer, h + 1);
      fetch(next, (place + 1) * size * sizeof *next);
      fetch(next + (size_t)w->longest * size, (place + 1) * size * sizeof *next);
    }
    for (int i = 0; i < size; i++) {
      k[place * size + i] = to_half(key[i]);
      v[place * size + i] = to_half(value[i]);
    }
    if (size == 64) attend_head(q, k, v, place, 64, out + h * size);
    else attend_odd_head(q, k, v, place, size, out + h * size);
  }
}

/* Normalize the rows of x and round them for the next product. */
static void set_normed_rows(Work *w, int n, const float *gamma, const float *beta) {
  int d = w->model->width;
  for (int i = 0; i < n; i++) {
    layer_norm(w->x + (size_t)i * d, gamma, beta, w->normed, d);
    set_row(&w->rows, i, w->normed, d);
  }
  LAP(w, NORMS);
}

/* Take n texts one token further. In: their seats, newest tokens and those tokens' positions; out: w->logits. */
static void forward(Work *w, int n, const int *seat, const int *tokens, const int *places) {
  const Model *m = w->model;
  int d = m->width, v = m->vocabulary;
  for (int i = 0; i < n; i++) {
    const float *token = m->tokens + (size_t)tokens[i] * d, *place = m->places + (size_t)places[i] * d;
    for (int j = 0; j < d; j++) w->x[(size_t)i * d + j] = token[j] + place[j];
  }
  for (int l = 0; l < m->layers; l++) {
    const Layer *layer = &m->layer[l];
    set_normed_rows(w, n, layer->ln1_gamma, layer->ln1_beta);
    matmul(&layer->qkv, &w->rows, n, w->wide, 3 * d, STORE);
    LAP(w, PRODUCTS);
    for (int i = 0; i < n; i++) {
      attend(w, w->wide + (size_t)i * 3 * d, seat[i], l, places[i], w->normed);
      set_row(&w->rows, i, w->normed, d);
    }
    LAP(w, ATTENTION);
    matmul(&layer->out, &w->rows, n, w->x, d, ADD);
    LAP(w, PRODUCTS);
    set_normed_rows(w, n, layer->ln2_gamma, layer->ln2_beta);
    matmul(&layer->up, &w->rows, n, w->wide, 4 * d, GELU);
    LAP(w, PRODUCTS);
    for (int i = 0; i < n; i++) set_row(&w->wide_rows, i, w->wide + (size_t)i * 4 * d, 4 * d);
    LAP(w, NORMS);
    matmul(&layer->down, &w->wide_rows, n, w->x, d, ADD);
    LAP(w, PRODUCTS);
  }
  set_normed_rows(w, n, m->gamma, m->beta);
  matmul(&m->head, &w->rows, n, w->logits, v, STORE);
  LAP(w, HEAD);
}

#endif
