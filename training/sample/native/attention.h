/* Keys and values of the texts side by side, and attention over them. */
#ifndef ATTENTION_H
#define ATTENTION_H

#include "model.h"

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

/* Room for the steps of up to `seats` texts of up to `longest` tokens. */
typedef struct {
  const Model *model;
  int seats, longest;
  uint16_t *cache; /* bfloat16 [seat][layer][kv head][key or value][place][size]: a head reads front to back */
  float *turns;    /* cosines and sines of the rotary positions, [longest][2][size / 2]; NULL: there are none */
  float *scores;   /* of a query, [longest] */
  uint16_t *odd;   /* keys and values of a head whose size is no multiple of 64, with zeros up to one, [2][longest][] */
  float *odd_rows; /* its query and its result, [2][] */
  float *x, *wide, *normed, *logits; /* [seats][width], [seats][model's wide], one row, [seats][vocabulary] */
  Rows rows, wide_rows;
  double since, spent[PARTS + 1]; /* the last one: time outside the sampler */
} Work;

static int make_turns(Work *w, const Shape *s) {
  int half = s->size / 2;
  if (!(w->turns = zeroed((size_t)w->longest * s->size * sizeof(float)))) return 0;
  for (int t = 0; t < w->longest; t++)
    for (int i = 0; i < half; i++) {
      double angle = t * pow(s->base, -2.0 * i / s->size);
      w->turns[t * s->size + i] = (float)cos(angle), w->turns[t * s->size + half + i] = (float)sin(angle);
    }
  return 1;
}

/* The size to which an odd head is filled up. */
static int even_size(int size) { return (size + 4 * LANES - 1) / (4 * LANES) * (4 * LANES); }

static int make_work(Work *w, const Model *m, int seats, int longest) {
  const Shape s = m->shape;
  size_t even = even_size(s.size);
  int queries = s.heads * s.size, row = spread_room(s.width > queries ? s.width : queries);
  w->model = m, w->seats = seats, w->longest = longest;
  w->cache = zeroed((size_t)seats * s.layers * 2 * longest * s.kv_heads * s.size * sizeof *w->cache);
  w->x = zeroed((size_t)seats * s.width * sizeof(float)), w->normed = zeroed(row * sizeof(float));
  w->wide = zeroed((size_t)seats * m->wide * sizeof(float));
  w->logits = zeroed((size_t)seats * s.vocabulary * sizeof(float));
  w->scores = zeroed(longest * sizeof(float));
  w->odd = zeroed(2 * longest * even * sizeof *w->odd), w->odd_rows = zeroed(2 * even * sizeof(float));
  return w->cache && w->scores && w->odd && w->odd_rows && w->x && w->wide && w->logits && w->normed &&
         (!s.llama || make_turns(w, &s)) && make_rows(&w->rows, seats, row) &&
         make_rows(&w->wide_rows, seats, m->wide);
}

static void free_work(Work *w) {
  free(w->cache), free(w->turns), free(w->scores), free(w->odd), free(w->odd_rows);
  free(w->x), free(w->wide), free(w->normed), free(w->logits);
  free_rows(&w->rows), free_rows(&w->wide_rows);
}

/* Keys of one head; its values follow them. */
static uint16_t *keys(const Work *w, int seat, int layer, int head) {
  const Shape *s = &w->model->shape;
  return w->cache + (((size_t)seat * s->layers + layer) * s->kv_heads + head) * 2 * w->longest * s->size;
}

/* Copy the keys and values of `count` places from `place` on to `kept`, [layer][kv head][2][count][size]; with `back`
 * the other way. */
static void copy_places(const Work *w, int seat, int place, int count, uint16_t *kept, int back) {
  int heads = w->model->shape.kv_heads, size = w->model->shape.size;
  for (int l = 0; l < w->model->shape.layers; l++)
    for (int h = 0; h < heads; h++)
      for (int kv = 0; kv < 2; kv++, kept += count * size) {
        uint16_t *own = keys(w, seat, l, h) + (size_t)kv * w->longest * size + (size_t)place * size;
        memcpy(back ? own : kept, back ? kept : own, (size_t)count * size * sizeof *own);
      }
}

/* One head's query against its keys and values up to and including `place`; `score` is room for as many numbers; out
 * [size]. With `size` a constant the sums stay in registers: all of OpenAI's models have heads of 64. */
static inline __attribute__((always_inline)) void attend_head(const float *q, const uint16_t *k, const uint16_t *v,
                                                              int place, int size, float *restrict score, float *out) {
  float by = 1.0f / sqrtf((float)size), most = -INFINITY, sum = 0;
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

/* The same for heads of any size, in the sampler's own room: on the stack, a head of 2,304 would be too large for it. */
static void attend_odd_head(const Work *w, const float *q, const uint16_t *k, const uint16_t *v, int place, float *out) {
  int size = w->model->shape.size, wide = even_size(size);
  float *query = w->odd_rows, *result = query + wide;
  uint16_t *key = w->odd, *value = key + (size_t)w->longest * wide;
  float by = sqrtf((float)wide / (float)size); /* attend_head divides by the root of its own size */
  for (int i = 0; i < size; i++) query[i] = q[i] * by;
  for (int t = 0; t <= place; t++) {
    memcpy(key + t * wide, k + t * size, size * sizeof *k);
    memcpy(value + t * wide, v + t * size, size * sizeof *v);
  }
  attend_head(query, key, value, place, wide, w->scores, result);
  memcpy(out, result, size * sizeof *out);
}

/* Prefetch `bytes` from here on: the processor cannot foresee where the next head lies. */
static void fetch(const void *from, size_t bytes) {
  for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch((const char *)from + at);
}

/* Turn the pairs (i, i + size / 2) of each head by the position's angles (Hugging Face's "rotate half"). */
static void turn(float *x, int heads, int size, const float *turns) {
  int half = size / 2;
  const float *cosine = turns, *sine = turns + half;
  for (int h = 0; h < heads; h++, x += size)
#pragma omp simd
    for (int i = 0; i < half; i++) {
      float a = x[i], b = x[i + half];
      x[i] = a * cosine[i] - b * sine[i], x[i + half] = b * cosine[i] + a * sine[i];
    }
}

/* Add the keys and values of one text's newest token, and let its queries attend; qkv [(heads + 2 kv_heads) * size],
 * out [heads * size]. */
static void attend(const Work *w, float *qkv, int seat, int layer, int place, float *out) {
  const Shape *s = &w->model->shape;
  int size = s->size, group = s->heads / s->kv_heads;
  if (w->turns) turn(qkv, s->heads + s->kv_heads, size, w->turns + (size_t)place * size);
  for (int h = 0; h < s->kv_heads; h++) {
    const float *key = qkv + (s->heads + h) * size, *value = key + s->kv_heads * size;
    uint16_t *k = keys(w, seat, layer, h), *v = k + (size_t)w->longest * size;
    if (h + 1 < s->kv_heads) {
      const uint16_t *next = keys(w, seat, layer, h + 1);
      fetch(next, (place + 1) * size * sizeof *next);
      fetch(next + (size_t)w->longest * size, (place + 1) * size * sizeof *next);
    }
    for (int i = 0; i < size; i++) {
      k[place * size + i] = to_half(key[i]);
      v[place * size + i] = to_half(value[i]);
    }
    for (int q = h * group; q < (h + 1) * group; q++)
      if (size == 64) attend_head(qkv + q * size, k, v, place, 64, w->scores, out + q * size);
      else attend_odd_head(w, qkv + q * size, k, v, place, out + q * size);
  }
}

#endif
