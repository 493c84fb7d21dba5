/* Loops over rows of floats: exponential, GELU, norms, dot products, spreading.
 *
 * Written as plain loops that GCC and Clang turn into vector instructions (-O3 -fopenmp-simd), so one
 * source serves AVX-512, AVX2 and NEON. No -ffast-math: a text must come out the same whichever other
 * texts are decoded beside it, so every row goes through the same operations in the same order.
 */
#ifndef VECTOR_H
#define VECTOR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Added to a number below 2^22, it rounds that to a whole one, which is then in the lower bits of the sum. Reading it
 * there instead of converting a float is defined for every float, and an instruction less. */
#define SHIFT 12582912.0f /* 1.5 * 2^23, 0x4b400000 */

static inline uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline float as_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* exp(x) for x <= 88, relative error below 3e-7; below -87 it is as good as 0; of no number it is none. Cephes'
 * reduction: x = n ln 2 + r. */
static inline float fast_exp(float x) {
  x = x < -87.0f ? -87.0f : x;
  float shifted = x * 1.44269504f + SHIFT, n = shifted - SHIFT;
  float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  return p * as_float((bits_of(shifted) + 127) << 23); /* the other bits of SHIFT are shifted out */
}

/* GPT-2's GELU in its tanh form: x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3). */
static inline float gelu(float x) {
  float u = 1.5957691216f * (x + 0.044715f * x * x * x);
  return x / (1.0f + fast_exp(u < -80.0f ? 80.0f : -u));
}

/* SiLU: x / (1 + exp(-x)). */
static inline float silu(float x) { return x / (1.0f + fast_exp(x < -80.0f ? 80.0f : -x)); }

/* bfloat16: the upper half of a float, rounded to nearest. Keys and values are kept so: reading them is what attention
 * waits for, and the 8 bits left are finer than the int8 of the products around. */
static inline uint16_t to_half(float x) {
  uint32_t bits = bits_of(x);
  return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/* Sixteen at a time: two registers with AVX2, one with AVX-512; four with NEON. */
#define LANES 16
typedef float Lanes __attribute__((vector_size(4 * LANES)));
typedef uint32_t Bits __attribute__((vector_size(4 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));

static inline Lanes from_halves(const uint16_t *from) {
  Halves halves;
  memcpy(&halves, from, sizeof halves);
  return (Lanes)(__builtin_convertvector(halves, Bits) << 16);
}

static inline Lanes lanes(const float *from) {
  Lanes value;
  memcpy(&value, from, sizeof value);
  return value;
}

static inline float total(Lanes x) {
  typedef float Eight __attribute__((vector_size(32)));
  typedef float Four __attribute__((vector_size(16)));
  Eight eight[2];
  memcpy(eight, &x, sizeof eight);
  eight[0] += eight[1];
  Four four[2];
  memcpy(four, eight, sizeof four);
  four[0] += four[1];
  return (four[0][0] + four[0][2]) + (four[0][1] + four[0][3]);
}

/* The largest size of n numbers. Sizes are ordered as their bits are, and what is no number is above all: so one such
 * makes the scale of its row none, too, and with it all that comes of the row. */
static inline float largest_size(const float *a, int n) {
  uint32_t most = 0;
#pragma omp simd reduction(max : most)
  for (int i = 0; i < n; i++) {
    uint32_t size = bits_of(a[i]) & 0x7fffffff;
    most = size > most ? size : most;
  }
  return as_float(most);
}

/* 1 / sqrt(squares / n + epsilon). Sums that have grown beyond all floats give no number: 0 would hide it. */
static inline float inverse_root(float squares, int n, float epsilon) {
  return squares < INFINITY ? 1.0f / sqrtf(squares / (float)n + epsilon) : NAN;
}

static inline float largest(const float *a, int n) {
  float most = a[0];
#pragma omp simd reduction(max : most)
  for (int i = 0; i < n; i++) most = a[i] > most ? a[i] : most;
  return most;
}

static void layer_norm(const float *x, const float *gamma, const float *beta, float *out, int n) {
  float sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
  for (int i = 0; i < n; i++) sum += x[i];
  float mean = sum / (float)n;
#pragma omp simd reduction(+ : squares)
  for (int i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
  float by = inverse_root(squares, n, 1e-5f);
#pragma omp simd
  for (int i = 0; i < n; i++) out[i] = (x[i] - mean) * by * gamma[i] + beta[i];
}

static void rms_norm(const float *x, const float *gamma, float *out, int n, float epsilon) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int i = 0; i < n; i++) squares += x[i] * x[i];
  float by = inverse_root(squares, n, epsilon);
#pragma omp simd
  for (int i = 0; i < n; i++) out[i] = x[i] * by * gamma[i];
}

/* Four numbers that lie `stride` apart through a Hadamard matrix, `stride` times. */
static inline void mix(float *x, int stride) {
#pragma omp simd
  for (int i = 0; i < stride; i++) {
    float a = x[i], b = x[i + stride], c = x[i + 2 * stride], d = x[i + 3 * stride];
    x[i] = (a + b) + (c + d), x[i + stride] = (a - b) + (c - d);
    x[i + 2 * stride] = (a + b) - (c + d), x[i + 3 * stride] = (a - b) - (c - d);
  }
}

/* Spread each number of x [n] over 16 places: 4 times an orthogonal matrix, so that a product of two spread rows is 16
 * times that of the rows. Llama-like models have inputs a hundred times as large as the others, beside which int8 with
 * one scale a row rounds the others away. Spread, no input stands out: with SmolLM2-135M, the KL divergence to float32
 * falls from 0.026 to 0.005 nats a token. (QuaRot, arXiv 2404.00456, with a matrix that needs no shuffles.)
 * n is a multiple of SPREAD. */
#define SPREAD 64
static void spread(float *x, int n) {
  mix(x, n / 4);
  for (int at = 0; at < n; at += SPREAD) mix(x + at, SPREAD / 4);
}

static inline int spread_room(int n) { return (n + SPREAD - 1) / SPREAD * SPREAD; }

#endif
