/* Notices, while a text is being written, that it can no longer pass the filters.
 *
 * It reads the bytes of each drawn token and follows four rules of training/judge, for which it keeps: which bytes are
 * allowed; the length; the words of the originals; every run of words of the originals. A word is a run of letters,
 * digits and apostrophes in lower case, as in the normal form. The filters would have rejected whatever it stops,
 * because a text only grows: a test compares text by text. Bytes above 127 count as letters; where that is not what the
 * normal form does, a stop may be missed, but no text is stopped wrongly (words are checked only where every allowed
 * character is ASCII).
 */
#ifndef WATCH_H
#define WATCH_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FINISHED, UNFINISHED, CHARACTERS, LENGTH, VOCABULARY, COPIED_RUN };
#define LONGEST_RUN 64

typedef struct {
  uint64_t *slot, mask, count;
} Set;

static int put(Set *set, uint64_t key) {
  key = key ? key : 1;
  if (2 * (set->count + 1) > set->mask) {
    Set larger = {NULL, set->mask ? 2 * set->mask + 1 : 1023, 0};
    if (!(larger.slot = calloc(larger.mask + 1, sizeof(uint64_t)))) return 0;
    for (uint64_t i = 0; set->slot && i <= set->mask; i++)
      if (set->slot[i]) put(&larger, set->slot[i]);
    free(set->slot);
    *set = larger;
  }
  uint64_t at = key & set->mask;
  while (set->slot[at] && set->slot[at] != key) at = (at + 1) & set->mask;
  set->count += !set->slot[at];
  set->slot[at] = key;
  return 1;
}

static int holds(const Set *set, uint64_t key) {
  key = key ? key : 1;
  uint64_t at = key & set->mask;
  if (!set->slot) return 0;
  while (set->slot[at] && set->slot[at] != key) at = (at + 1) & set->mask;
  return set->slot[at] == key;
}

typedef struct {
  const char *bytes; /* of all tokens, one after the other */
  const int32_t *offsets;
  int tokens;
  uint8_t allowed[256];
  int longest;    /* in bytes; 0: no limit */
  int vocabulary; /* whether every word must be known */
  int run;        /* this many words in a row are a copy; 0: not checked */
  Set words, runs;
} Watch;

/* The state of one text. */
typedef struct {
  int length, words;
  uint64_t word;               /* hash of the word so far, 0 between words */
  uint64_t last[LONGEST_RUN];  /* hashes of the last words, in a ring */
} Reader;

static uint64_t run_of(const Reader *reader, int run) {
  uint64_t hash = 0;
  for (int i = 0; i < run; i++)
    hash = (hash ^ reader->last[(reader->words - run + i) % LONGEST_RUN]) * 0x9e3779b97f4a7c15u, hash ^= hash >> 29;
  return hash;
}

static int letter(uint8_t c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '\'' || c >= 128;
}

/* Take in one byte; returns 1 when it ended a word. */
static int read_byte(Reader *reader, uint8_t c) {
  if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  if (letter(c)) {
    reader->word = ((reader->word ? reader->word : 0xcbf29ce484222325u) ^ c) * 0x100000001b3u;
    return 0;
  }
  if (!reader->word) return 0;
  reader->last[reader->words++ % LONGEST_RUN] = reader->word;
  reader->word = 0;
  return 1;
}

/* Follow one token. Returns the rule that it breaks, or 0. */
static int follow(const Watch *watch, Reader *reader, int token) {
  const char *at = watch->bytes + watch->offsets[token], *end = watch->bytes + watch->offsets[token + 1];
  for (; at < end; at++) {
    uint8_t c = (uint8_t)*at;
    if (!watch->allowed[c]) return CHARACTERS;
    if (watch->longest && ++reader->length > watch->longest) return LENGTH;
    if (!read_byte(reader, c)) continue;
    if (watch->vocabulary && !holds(&watch->words, reader->last[(reader->words - 1) % LONGEST_RUN])) return VOCABULARY;
    if (watch->run && reader->words >= watch->run && holds(&watch->runs, run_of(reader, watch->run))) return COPIED_RUN;
  }
  return 0;
}

/* bytes [size]: of all tokens; offsets [tokens + 1]. The caller keeps them. Returns NULL when memory is short, or where
 * the offsets leave the bytes. */
Watch *watch_new(const char *bytes, int64_t size, const int32_t *offsets, int tokens, const uint8_t *allowed,
                 int longest, int vocabulary, int run) {
  int whole = tokens >= 0 && longest >= 0 && run >= 0 && offsets[0] >= 0 && offsets[tokens] <= size;
  for (int i = 0; whole && i < tokens; i++) whole = offsets[i] <= offsets[i + 1];
  Watch *watch = whole ? calloc(1, sizeof *watch) : NULL;
  if (!watch) return NULL;
  watch->bytes = bytes, watch->offsets = offsets, watch->tokens = tokens;
  memcpy(watch->allowed, allowed, 256);
  watch->longest = longest, watch->vocabulary = vocabulary;
  watch->run = run > LONGEST_RUN ? 0 : run;
  return watch;
}

/* Learn the words and runs of originals in normal form, a line each. Returns 0 when memory is short. */
int watch_learn(Watch *watch, const char *text, int64_t size) {
  Reader reader = {0};
  for (int64_t i = 0; i < size; i++) {
    if (read_byte(&reader, (uint8_t)text[i])) {
      if (!put(&watch->words, reader.last[(reader.words - 1) % LONGEST_RUN])) return 0;
      if (watch->run && reader.words >= watch->run && !put(&watch->runs, run_of(&reader, watch->run))) return 0;
    }
    if (text[i] == '\n') memset(&reader, 0, sizeof reader);
  }
  return 1;
}

void watch_free(Watch *watch) {
  if (!watch) return;
  free(watch->words.slot), free(watch->runs.slot), free(watch);
}

#endif
