/* The most int8 operations a second that one core can do with VNNI: a loop of nothing but vpdpbusd.
 *
 *     cc -O3 -march=native benchmarks/peak.c -o /tmp/peak && /tmp/peak
 */
#include <immintrin.h>
#include <stdio.h>
#include <time.h>

int main(void) {
  __m512i sum[20], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(2);
  const long rounds = 20000000;
  struct timespec start, end;
#pragma GCC unroll 20
  for (int i = 0; i < 20; i++) sum[i] = _mm512_set1_epi32(i);
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (long round = 0; round < rounds; round++) {
#pragma GCC unroll 20
    for (int i = 0; i < 20; i++) {
      sum[i] = _mm512_dpbusd_epi32(sum[i], a, b);
      __asm__ volatile("" : "+v"(sum[i])); /* or the compiler does all rounds at once */
    }
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  double seconds = (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
  int all = 0;
#pragma GCC unroll 20
  for (int i = 0; i < 20; i++) all += _mm512_reduce_add_epi32(sum[i]);
  printf("%.0f GOP/s (%d)\n", rounds * 20.0 * 128 / seconds / 1e9, all & 1);
  return 0;
}
