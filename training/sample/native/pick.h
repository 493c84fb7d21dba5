/* From a row of logits to one token: temperature, top-k, top-p, and the inverse of the distribution function. */
#ifndef PICK_H
#define PICK_H

#include <stdint.h>
#include <string.h>

#include "vector.h"

/* A number in [0, 1) that depends on (seed, text, place) alone: 53 bits of two rounds of SplitMix64's mixer. */
static double uniform(uint64_t seed, uint64_t number, uint64_t place) {
  uint64_t x = seed;
  const uint64_t keys[2] = {number, place};
  for (int i = 0; i < 2; i++) {
    x += (keys[i] + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    x ^= x >> 31;
  }
  return (double)(x >> 11) * 0x1p-53;
}

/* How many weights reach `at`, and their sum. */
static int reach(const float *weight, int n, float at, float *mass) {
  float sum = 0;
  int count = 0;
#pragma omp simd reduction(+ : sum, count)
  for (int i = 0; i < n; i++) {
    sum += weight[i] >= at ? weight[i] : 0;
    count += weight[i] >= at;
  }
  *mass = sum;
  return count;
}

/* Copy `from` to `to` without the blocks of LANES that have no weight of at least `at`. Sums of the weights that reach
 * `at` stay the same bit for bit: each keeps its lane, and a lane loses only zeros. Returns how many are left. */
static int without_low(const float *from, int n, float at, float *to) {
  int left = 0, start = 0;
  for (; start + LANES <= n; start += LANES) {
    int any = 0;
#pragma omp simd reduction(| : any)
    for (int i = 0; i < LANES; i++) any |= from[start + i] >= at;
    if (any) memmove(to + left, from + start, LANES * sizeof *to), left += LANES;
  }
  memmove(to + left, from + start, (n - start) * sizeof *to);
  return left + n - start;
}

/* The largest threshold for which the weights (from 0 to 1) that reach it are at least `k` in number and `mass` in sum.
 * Floats of one sign are ordered like their bits, so halving the bits finds it exactly: 30 sums, most of them over the
 * few blocks in which a weight can still matter. `room` is for n floats. */
static float threshold(const float *weight, int n, int k, double mass, float *room) {
  uint32_t low = 0, high = 0x3f800000, middle = 0x3b800000; /* 0, 1, 1/256 */
  while (low < high) {
    float at = as_float(middle), sum;
    int count = reach(weight, n, at, &sum);
    if (count < k || sum < mass) {
      high = middle - 1;
    } else {
      low = middle;
      if (count <= n / (4 * LANES)) n = without_low(weight, n, at, room), weight = room;
    }
    middle = !low && high > 0x10000000 ? high + 1 - 0x04000000 : low + (high - low + 1) / 2;
  }
  return as_float(low);
}

/* weight[i] = exp((logit[i] - most) / temperature). Returns their sum. */
static double weigh(const float *logit, int n, float most, float temperature, float *weight) {
  double sum = 0;
  float by = 1.0f / temperature;
  for (int start = 0; start < n; start += 1024) {
    int end = start + 1024 < n ? start + 1024 : n;
    float part = 0;
#pragma omp simd reduction(+ : part)
    for (int i = start; i < end; i++) {
      weight[i] = fast_exp((logit[i] - most) * by);
      part += weight[i];
    }
    sum += part;
  }
  return sum;
}

static double restrict_to(float *weight, int n, float least) {
  double sum = 0;
  for (int start = 0; start < n; start += 1024) {
    int end = start + 1024 < n ? start + 1024 : n;
    float part = 0;
#pragma omp simd reduction(+ : part)
    for (int i = start; i < end; i++) {
      weight[i] = weight[i] >= least ? weight[i] : 0;
      part += weight[i];
    }
    sum += part;
  }
  return sum;
}

/* Draw a token. `u` lies in [0, 1); `weight` is room for 2 n floats; *logprob becomes the token's log-probability
 * under the whole model at temperature 1, in nats. top_k 0 and top_p 1 switch those off; of equal weights at the
 * edge all stay. Returns -1 where a logit is no number. */
static int pick(const float *logit, int n, float temperature, int top_k, float top_p, double u, float *weight,
                float *logprob) {
  float most = largest(logit, n);
  double whole = weigh(logit, n, most, 1.0f, weight);
  if (!(whole > 0.5)) return -1; /* the largest alone weighs 1 */
  double sum = temperature == 1.0f ? whole : weigh(logit, n, most, temperature, weight);
  if (top_k > 0 && top_k < n) sum = restrict_to(weight, n, threshold(weight, n, top_k, 0, weight + n));
  if (top_p < 1) sum = restrict_to(weight, n, threshold(weight, n, 1, top_p * sum, weight + n));
  double left = u * sum;
  int token = -1;
  for (int start = 0; start < n && token < 0; start += 64) {
    int end = start + 64 < n ? start + 64 : n;
    float part = 0;
#pragma omp simd reduction(+ : part)
    for (int i = start; i < end; i++) part += weight[i];
    if (left >= part) {
      left -= part;
      continue;
    }
    for (int i = start; i < end && token < 0; i++) {
      if (left < weight[i]) token = i;
      left -= weight[i];
    }
    /* The block's sum was rounded up past its parts: what is left of it belongs to the next block. */
    if (token < 0) left = 0;
  }
  /* u so close to 1 that rounding used everything up. */
  for (int i = n - 1; token < 0 && i > 0; i--)
    if (weight[i] > 0) token = i;
  token = token < 0 ? 0 : token;
  *logprob = (logit[token] - most) - (float)log(whole);
  return token;
}

#endif
