/* int8 matrix products: rows of activations times packed weights.
 *
 * Weights are rounded to int8 with one scale an output, activations with one scale a row, at every
 * product anew (the scheme of CTranslate2's "int8"). Sums are whole numbers, so they do not depend on
 * the order or on which rows stand side by side.
 *
 * One tile is MR rows x NR outputs, held in registers while the whole depth K passes by, GROUP numbers at
 * a time. Packed weights are panels of NR outputs, [N/NR][K/GROUP][NR][GROUP]; packed activations are blocks
 * of MR rows, [M/MR][K/GROUP][MR][GROUP]: both are read front to back. A panel of depth 768 is 12 or 24 kB
 * and stays in the first-level cache while all the blocks of rows pass.
 */
#ifndef MATMUL_H
#define MATMUL_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "vector.h"

/* With VNNI one instruction multiplies and adds four pairs of bytes, the weights unsigned (hence OFFSET), the
 * activations signed. Without it the bytes are widened: vpmaddwd adds two products of 16 bits, exactly, where
 * vpmaddubsw would multiply bytes but saturate sums at 16 bits. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
#define KERNEL "avx512-vnni"
#define MR 12
#define NR 32
#define OFFSET 128
typedef int8_t Activation;
#elif defined(__AVXVNNI__)
#define KERNEL "avx-vnni"
#define MR 6
#define NR 16
#define OFFSET 128
typedef int8_t Activation;
#elif defined(__AVX2__)
#define KERNEL "avx2"
#define MR 6
#define NR 16
#define OFFSET 0
typedef int16_t Activation;
#else
#define KERNEL "portable"
#define MR 4
#define NR 16
#define OFFSET 0
typedef int16_t Activation;
#endif
#define GROUP (4 / (int)sizeof(Activation)) /* four bytes of activations at a time */

typedef struct {
  int n;              /* outputs */
  int panels, groups; /* rounded up: n / NR, inputs / GROUP */
  uint8_t *packed; /* weight + OFFSET */
  float *scale;    /* [panels * NR] */
  float *bias;     /* [panels * NR], zeros where there is none */
} Linear;

typedef struct {
  int groups;
  Activation *packed;
  float *scale;  /* [rows] */
  int32_t *sum;  /* [rows], of the rounded activations, to undo OFFSET */
} Rows;

/* Zeros, aligned for vectors. Large blocks ask for pages of 2 MB where the system has them: with pages of 4 kB,
 * reading weights and keys waits for the page tables. */
static void *zeroed(size_t bytes) {
  const size_t huge = (size_t)2 << 20, grain = bytes >= huge ? huge : 64;
  void *p = NULL;
  bytes = (bytes + grain - 1) / grain * grain;
  if (posix_memalign(&p, grain, bytes ? bytes : grain)) return NULL;
#ifdef MADV_HUGEPAGE
  if (grain == huge) madvise(p, bytes, MADV_HUGEPAGE);
#endif
  return memset(p, 0, bytes);
}

/* What numbers up to `most` are multiplied by to make them bytes. Rows of less than 1e-30 are zeros: 127 / most must be
 * a float. */
static inline float to_bytes(float most) { return most < 1e-30f ? 0 : 127.0f / most; }

/* Round weights [n, k] (row-major) into `to`; with `spreading`, for rows that are spread. Returns 0 when memory is
 * short. */
static int pack_linear(Linear *to, const float *weight, const float *bias, int n, int k, int spreading) {
  int depth = spreading ? spread_room(k) : k;
  to->n = n, to->panels = (n + NR - 1) / NR, to->groups = (depth + GROUP - 1) / GROUP;
  size_t width = (size_t)to->panels * NR;
  to->packed = zeroed(width * to->groups * GROUP);
  to->scale = zeroed(width * sizeof(float));
  to->bias = zeroed(width * sizeof(float));
  float *room = zeroed(depth * sizeof(float));
  if (!to->packed || !to->scale || !to->bias || !room) {
    free(room);
    return 0;
  }
  if (bias) memcpy(to->bias, bias, n * sizeof(float));
  memset(to->packed, OFFSET, width * to->groups * GROUP);
  for (int o = 0; o < n; o++) {
    const float *row = weight + (size_t)o * k;
    if (spreading) {
      memcpy(room, row, k * sizeof(float)), memset(room + k, 0, (depth - k) * sizeof(float));
      spread(room, depth), row = room;
    }
    float most = largest_size(row, depth), by = to_bytes(most);
    to->scale[o] = most / 127.0f * (spreading ? 1 / 16.0f : 1);
    uint8_t *panel = to->packed + (size_t)(o / NR) * to->groups * NR * GROUP + o % NR * GROUP;
    for (int i = 0; i < depth; i++)
      panel[(size_t)(i / GROUP) * NR * GROUP + i % GROUP] = (uint8_t)((uint32_t)lrintf(row[i] * by) + OFFSET);
  }
  free(room);
  return 1;
}

static void free_linear(Linear *l) { free(l->packed), free(l->scale), free(l->bias); }

static int make_rows(Rows *rows, int most, int k) {
  int padded = (most + MR - 1) / MR * MR;
  rows->groups = (k + GROUP - 1) / GROUP;
  rows->packed = zeroed((size_t)padded * rows->groups * 4);
  rows->scale = zeroed(padded * sizeof(float));
  rows->sum = zeroed(padded * sizeof(int32_t));
  return rows->packed && rows->scale && rows->sum;
}

static void free_rows(Rows *r) { free(r->packed), free(r->scale), free(r->sum); }

/* Round x [k] into row `r`. k must be at most the depth that the rows were made for. */
static void set_row(Rows *rows, int r, const float *x, int k) {
  float most = largest_size(x, k), by = to_bytes(most);
  Activation rounded[4096];
  uint32_t sum = 0;
  int32_t *to = (int32_t *)rows->packed + (size_t)(r / MR) * rows->groups * MR + r % MR;
  for (int start = 0; start < k; start += 4096) {
    int n = k - start < 4096 ? k - start : 4096;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < n; i++) {
      uint32_t q = bits_of(x[start + i] * by + SHIFT) - bits_of(SHIFT);
      rounded[i] = (Activation)q;
      sum += q;
    }
    while (n % GROUP) rounded[n++] = 0;
    for (int g = 0; g < n / GROUP; g++) memcpy(to + (size_t)(start / GROUP + g) * MR, rounded + GROUP * g, 4);
  }
  rows->scale[r] = most / 127.0f;
  rows->sum[r] = (int32_t)sum;
}

/* The same, spread. x has room for spread_room(k) numbers, and is spoilt. */
static void set_spread_row(Rows *rows, int r, float *x, int k) {
  int depth = spread_room(k);
  memset(x + k, 0, (depth - k) * sizeof(float));
  spread(x, depth);
  set_row(rows, r, x, depth);
}

/* Every loop over the rows of a tile is unrolled, or GCC keeps the sums in memory instead of registers. */
#define ROWS _Pragma("GCC unroll 16")

static inline int32_t four_bytes(const void *from) {
  int32_t value;
  memcpy(&value, from, 4);
  return value;
}

#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
static void tile(const Activation *a, const uint8_t *w, int groups, int32_t out[MR][NR]) {
  __m512i s[MR][2];
ROWS
  for (int r = 0; r < MR; r++) s[r][0] = s[r][1] = _mm512_setzero_si512();
  for (int i = 0; i < groups; i++, a += MR * GROUP, w += NR * GROUP) {
    __m512i w0 = _mm512_load_si512(w), w1 = _mm512_load_si512(w + 64);
ROWS
    for (int r = 0; r < MR; r++) {
      __m512i x = _mm512_set1_epi32(four_bytes(a + GROUP * r));
      s[r][0] = _mm512_dpbusd_epi32(s[r][0], w0, x);
      s[r][1] = _mm512_dpbusd_epi32(s[r][1], w1, x);
    }
  }
ROWS
  for (int r = 0; r < MR; r++) _mm512_storeu_si512(out[r], s[r][0]), _mm512_storeu_si512(out[r] + 16, s[r][1]);
}
#elif defined(__AVX2__)
static void tile(const Activation *a, const uint8_t *w, int groups, int32_t out[MR][NR]) {
  __m256i s[MR][2];
ROWS
  for (int r = 0; r < MR; r++) s[r][0] = s[r][1] = _mm256_setzero_si256();
  for (int i = 0; i < groups; i++, a += MR * GROUP, w += NR * GROUP) {
#if defined(__AVXVNNI__)
    __m256i w0 = _mm256_load_si256((const __m256i *)w), w1 = _mm256_load_si256((const __m256i *)(w + 32));
#else
    __m256i w0 = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)w));
    __m256i w1 = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(w + 16)));
#endif
ROWS
    for (int r = 0; r < MR; r++) {
      __m256i x = _mm256_set1_epi32(four_bytes(a + GROUP * r));
#if defined(__AVXVNNI__)
      s[r][0] = _mm256_dpbusd_avx_epi32(s[r][0], w0, x);
      s[r][1] = _mm256_dpbusd_avx_epi32(s[r][1], w1, x);
#else
      s[r][0] = _mm256_add_epi32(s[r][0], _mm256_madd_epi16(w0, x));
      s[r][1] = _mm256_add_epi32(s[r][1], _mm256_madd_epi16(w1, x));
#endif
    }
  }
ROWS
  for (int r = 0; r < MR; r++) {
    _mm256_storeu_si256((__m256i *)out[r], s[r][0]);
    _mm256_storeu_si256((__m256i *)(out[r] + 8), s[r][1]);
  }
}
#else
static void tile(const Activation *a, const uint8_t *w, int groups, int32_t out[MR][NR]) {
  memset(out, 0, sizeof(int32_t) * MR * NR);
  for (int i = 0; i < groups; i++, a += MR * GROUP, w += NR * GROUP)
    for (int r = 0; r < MR; r++)
      for (int o = 0; o < NR; o++)
        for (int b = 0; b < GROUP; b++) /* unsigned: rows that are no numbers may overflow, as in the instructions */
          out[r][o] = (int32_t)((uint32_t)out[r][o] + (uint32_t)((int32_t)a[GROUP * r + b] * (int8_t)w[GROUP * o + b]));
}
#endif

enum { STORE, ADD, GELU, GATED };

/* out [m, stride] = rows x weights + bias, stored, added to what is there, through the GELU, or times the SiLU of what
 * is there. */
static void matmul(const Linear *l, const Rows *rows, int m, float *out, size_t stride, int mode) {
  int32_t sums[MR][NR] __attribute__((aligned(64)));
  for (int p = 0; p < l->panels; p++) {
    const uint8_t *w = l->packed + (size_t)p * l->groups * NR * GROUP;
    const float *scale = l->scale + p * NR, *bias = l->bias + p * NR;
    int width = l->n - p * NR < NR ? l->n - p * NR : NR;
    for (int start = 0; start < m; start += MR) {
      tile(rows->packed + (size_t)start * rows->groups * GROUP, w, l->groups, sums);
      int count = m - start < MR ? m - start : MR;
      for (int r = 0; r < count; r++) {
        float *to = out + (size_t)(start + r) * stride + p * NR, value[NR];
        float by = rows->scale[start + r];
        uint32_t offset = OFFSET * (uint32_t)rows->sum[start + r];
#pragma omp simd
        for (int o = 0; o < NR; o++) value[o] = (float)(int32_t)((uint32_t)sums[r][o] - offset) * (by * scale[o]) + bias[o];
        if (mode == GELU)
#pragma omp simd
          for (int o = 0; o < NR; o++) value[o] = gelu(value[o]);
        if (mode == GATED)
#pragma omp simd
          for (int o = 0; o < width; o++) value[o] *= silu(to[o]);
        if (width < NR)
          for (int o = 0; o < width; o++) to[o] = mode == ADD ? to[o] + value[o] : value[o];
        else if (mode == ADD)
          for (int o = 0; o < NR; o++) to[o] += value[o];
        else
          memcpy(to, value, sizeof value);
      }
    }
  }
}

#endif
