/* Samples texts from GPT-2 or a Llama-like model on one core: weights in int8, texts side by side, no seat ever empty.
 *
 * A sampler has `seats`. Each holds one text: its keys and values, its position, its last token. A step
 * takes every seated text one token further; a text that ends leaves, and the next number takes its seat at
 * once, so the matrix products are always full. The prefix (at least the end token that starts every text) is
 * run through the model once; its keys, values and logits are copied to every text that starts from it.
 *
 * Text number n depends on the weights, the settings, the seed and n alone: not on the seats, the cores, or on
 * what was sampled before it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pick.h"
#include "step.h"
#include "tree.h"
#include "watch.h"

typedef struct {
  int64_t number;
  int prefix, place, drawn; /* place: position of the last token; drawn: tokens since the prefix */
  int token;
  int node, wanted; /* the tree's node for this text so far, or UNKNOWN; whether to add the next token to the tree */
  float temperature;
  double logprob;
  float hardest;
  Reader reader;
} Seat;

/* Bytes for shared beginnings: room for 900 nodes of 124M with 8,192 tokens, or for 3,000 of nano. */
#ifndef REMEMBERED
#define REMEMBERED ((size_t)64 << 20)
#endif

typedef struct {
  const Model *model;
  const Watch *watch;
  int seats, most, prefixes;
  int top_k, temperatures;
  float top_p, *temperature;
  uint64_t seed;
  int32_t *prefix, *offsets;           /* tokens of the prefixes, each after the end token */
  uint16_t **prefix_cache; /* of each prefix, keys and values [layer][kv head][2][length][size] */
  float *prefix_logits;    /* [prefixes][vocabulary] */
  Seat *seat;
  Tree tree;
  int taken, *order; /* the first `taken` of `order` are the seats in use */
  int *token, *place; /* of a step, [seats] */
  Work work;
  float *weight;      /* [2][vocabulary] */
  int32_t *texts; /* tokens drawn, [seats][most] */
} Sampler;

const char *kernel(void) { return KERNEL; }

void sampler_free(Sampler *s) {
  for (int p = 0; s->prefix_cache && p < s->prefixes; p++) free(s->prefix_cache[p]);
  free(s->prefix_cache), free(s->prefix_logits), free(s->prefix), free(s->offsets), free(s->temperature);
  free(s->seat), free(s->order), free(s->token), free(s->place), free(s->weight), free(s->texts);
  free_tree(&s->tree), free_work(&s->work), free(s);
}

static size_t places(const Sampler *s, int count) {
  const Shape *shape = &s->model->shape;
  return (size_t)shape->layers * 2 * count * shape->kv_heads * shape->size * sizeof(uint16_t);
}

/* Run prefix p through the model in seat 0 and keep its keys, values and logits. */
static int learn_prefix(Sampler *s, int p) {
  int length = s->offsets[p + 1] - s->offsets[p], v = s->model->shape.vocabulary, seat = 0;
  for (int i = 0; i < length; i++) forward_one(&s->work, seat, s->prefix[s->offsets[p] + i], i);
  memcpy(s->prefix_logits + (size_t)p * v, s->work.logits, v * sizeof(float));
  if (!(s->prefix_cache[p] = zeroed(places(s, length)))) return 0;
  copy_places(&s->work, seat, 0, length, s->prefix_cache[p], 0);
  return 1;
}

/* Whether `texts` texts lie one after the other in `count` tokens, each with 1 to `most` that the model knows. Puts the
 * length of the longest into *longest. */
static int are_texts(const Model *m, const int32_t *tokens, int64_t count, const int32_t *offsets, int texts, int most,
                     int *longest) {
  *longest = 0;
  if (offsets[0] != 0 || offsets[texts] != count) return 0;
  for (int t = 0; t < texts; t++) {
    int64_t length = (int64_t)offsets[t + 1] - offsets[t];
    if (length < 1 || length > most) return 0;
    if (length > *longest) *longest = (int)length;
  }
  for (int64_t i = 0; i < count; i++)
    if (tokens[i] < 0 || tokens[i] >= m->shape.vocabulary) return 0;
  return 1;
}

/* prefix [count]: token ids, each prefix starting with the end token; offsets [prefixes + 1]. most: tokens drawn a text.
 * Where it returns NULL, *why is a sentence. */
Sampler *sampler_new(const Model *m, const Watch *watch, int seats, int most, const int32_t *prefix, int64_t count,
                     const int32_t *offsets, int prefixes, const float *temperature, int temperatures, int top_k,
                     float top_p, uint64_t seed, const char **why) {
  int longest, limit = m->shape.context ? m->shape.context : MOST_PLACES;
  *why = "The model is not whole.";
  if (m->filled != m->shape.layers + 1) return NULL;
  *why = "The stop rules are of another vocabulary than the model.";
  if (watch && watch->tokens != m->shape.vocabulary) return NULL;
  *why = "The prefixes, with max_tokens, are no texts that fit the model.";
  if (!within(prefixes, MOST_TOKENS) || !within(most, limit) ||
      !are_texts(m, prefix, count, offsets, prefixes, limit - most, &longest))
    return NULL;
  *why = "The sampler's settings are outside what they may be.";
  if (!within(seats, MOST_SEATS) || !within(temperatures, MOST_TOKENS) || top_k < 0 || !(top_p > 0 && top_p <= 1))
    return NULL;
  for (int i = 0; i < temperatures; i++)
    if (!(temperature[i] >= 1e-3f && temperature[i] <= 1e3f)) return NULL;
  *why = NO_MEMORY;
  Sampler *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  s->model = m, s->watch = watch, s->seats = seats, s->most = most, s->prefixes = prefixes;
  s->top_k = top_k, s->top_p = top_p, s->seed = seed;
  s->temperatures = temperatures, s->temperature = copied(temperature, temperatures);
  s->prefix = zeroed(offsets[prefixes] * sizeof(int32_t)), s->offsets = zeroed((prefixes + 1) * sizeof(int32_t));
  s->prefix_cache = calloc(prefixes, sizeof *s->prefix_cache);
  s->prefix_logits = zeroed((size_t)prefixes * m->shape.vocabulary * sizeof(float));
  s->seat = calloc(seats, sizeof(Seat)), s->order = calloc(seats, sizeof(int));
  s->token = calloc(seats, sizeof(int)), s->place = calloc(seats, sizeof(int));
  s->weight = zeroed((size_t)2 * m->shape.vocabulary * sizeof(float));
  s->texts = zeroed((size_t)seats * most * sizeof(int32_t));
  size_t node = places(s, 1) + m->shape.vocabulary * sizeof(float);
  int nodes = (int)(REMEMBERED / node < TABLE / 2 ? REMEMBERED / node : TABLE / 2);
  int whole = s->temperature && s->prefix && s->offsets && s->prefix_cache && s->prefix_logits && s->seat &&
              s->order && s->token && s->place && s->weight && s->texts && make_tree(&s->tree, prefixes, nodes) &&
              make_work(&s->work, m, seats, longest + most);
  if (whole) {
    memcpy(s->prefix, prefix, offsets[prefixes] * sizeof(int32_t));
    memcpy(s->offsets, offsets, (prefixes + 1) * sizeof(int32_t));
    for (int i = 0; i < seats; i++) s->order[i] = i;
    for (int p = 0; whole && p < prefixes; p++) whole = learn_prefix(s, p);
  }
  if (whole) return s;
  sampler_free(s);
  return NULL;
}

/* What a run returns, one entry a text, with room for `want + seats` of them. */
typedef struct {
  int64_t *number;
  int32_t *length, *status, *tokens; /* tokens [text][most], the end token among them */
  float *logprob;                    /* mean, nats a token */
  float *hardest;                    /* of the least probable token */
} Texts;

enum { NO_NUMBERS = -1 };

/* Draw the next token of a seat from `logits`. Returns 1 when the text is at its end. */
static int draw(Sampler *s, int index, const float *logits, int *status) {
  Seat *seat = &s->seat[index];
  float logprob;
  double u = uniform(s->seed, (uint64_t)seat->number, (uint64_t)seat->drawn);
  int token = pick(logits, s->model->shape.vocabulary, seat->temperature, s->top_k, s->top_p, u, s->weight, &logprob);
  if (token < 0) {
    *status = NO_NUMBERS;
    return 1;
  }
  s->texts[(size_t)index * s->most + seat->drawn++] = token;
  seat->logprob += logprob, seat->token = token, seat->place++;
  if (logprob < seat->hardest) seat->hardest = logprob;
  if (token == s->model->shape.end) *status = FINISHED;
  else if (s->watch && (*status = follow(s->watch, &seat->reader, token))) return 1;
  else if (seat->drawn < s->most) return 0;
  else *status = UNFINISHED;
  return 1;
}

static void leave(const Sampler *s, int index, int status, Texts *out, int at) {
  const Seat *seat = &s->seat[index];
  out->number[at] = seat->number, out->length[at] = seat->drawn, out->status[at] = status;
  out->logprob[at] = (float)(seat->logprob / seat->drawn), out->hardest[at] = seat->hardest;
  memcpy(out->tokens + (size_t)at * s->most, s->texts + (size_t)index * s->most, seat->drawn * sizeof(int32_t));
}

/* Draw from `logits`, and continue as long as the tree knows what follows. Returns 1 when the text is at its end. */
static int walk(Sampler *s, int index, const float *logits, int *status) {
  Seat *seat = &s->seat[index];
  while (!draw(s, index, logits, status)) {
    if (seat->node == UNKNOWN) return 0;
    int child = child_of(&s->tree, seat->node, seat->token);
    if (child < 0) {
      seat->wanted = child == SEEN;
      if (!seat->wanted) seat->node = UNKNOWN;
      return 0;
    }
    copy_places(&s->work, index, seat->place, 1, s->tree.node[child].cache, 1);
    seat->node = child, logits = s->tree.node[child].logits;
  }
  return 1;
}

/* Add the model's results for a seat's newest token to the tree, if that was wanted. */
static void remember(Sampler *s, int index, const float *logits) {
  Seat *seat = &s->seat[index];
  if (!seat->wanted) return;
  int fresh;
  size_t row = s->model->shape.vocabulary * sizeof(float);
  seat->node = grow(&s->tree, seat->node, seat->token, places(s, 1), row, &fresh), seat->wanted = 0;
  if (!fresh) return;
  copy_places(&s->work, index, seat->place, 1, s->tree.node[seat->node].cache, 0);
  memcpy(s->tree.node[seat->node].logits, logits, row);
}

/* Seat text `number` and draw its first token. Returns 1 when that was its last, too. */
static int sit_down(Sampler *s, int index, int64_t number, int *status) {
  Seat *seat = &s->seat[index];
  memset(seat, 0, sizeof *seat);
  int pair = (int)(number % ((int64_t)s->temperatures * s->prefixes));
  seat->number = number, seat->prefix = pair % s->prefixes, seat->temperature = s->temperature[pair / s->prefixes];
  int length = s->offsets[seat->prefix + 1] - s->offsets[seat->prefix];
  copy_places(&s->work, index, 0, length, s->prefix_cache[seat->prefix], 1);
  seat->place = length - 1, seat->node = seat->prefix;
  /* The bot asked for this prefix: the watch reads it but does not judge it. */
  for (int i = 1; s->watch && i < length; i++) follow(s->watch, &seat->reader, s->prefix[s->offsets[seat->prefix] + i]);
  return walk(s, index, s->prefix_logits + (size_t)seat->prefix * s->model->shape.vocabulary, status);
}

/* Sample until `want` texts have ended, or no number below `limit` is left, or *stop is set. `next` is shared by
 * all samplers of a run: the next number that none of them has taken. Unfinished texts stay seated for the next
 * call. Returns how many texts were written to `out`, or NO_NUMBERS where the model's logits are none. */
int sampler_run(Sampler *s, int64_t *next, int64_t limit, int want, const volatile int32_t *stop, Texts *out) {
  int done = 0, status = 0;
  LAP(&s->work, PARTS);
  while (done < want && !*stop) {
    while (s->taken < s->seats && done < want) {
      if (__atomic_load_n(next, __ATOMIC_RELAXED) >= limit) break;
      int64_t number = __atomic_fetch_add(next, 1, __ATOMIC_RELAXED);
      if (number >= limit || number < 0) break;
      if (!sit_down(s, s->order[s->taken], number, &status)) s->taken++;
      else if (status == NO_NUMBERS) return NO_NUMBERS;
      else leave(s, s->order[s->taken], status, out, done++);
    }
    if (!s->taken) break;
    int n = s->taken;
    LAP(&s->work, SEATS);
    for (int i = 0; i < n; i++) s->token[i] = s->seat[s->order[i]].token, s->place[i] = s->seat[s->order[i]].place;
    forward(&s->work, n, s->order, s->token, s->place);
    for (int i = n - 1; i >= 0; i--) {
      int index = s->order[i];
      const float *logits = s->work.logits + (size_t)i * s->model->shape.vocabulary;
      remember(s, index, logits);
      if (!walk(s, index, logits, &status)) continue;
      if (status == NO_NUMBERS) return NO_NUMBERS;
      leave(s, index, status, out, done++);
      s->order[i] = s->order[--s->taken], s->order[s->taken] = index;
    }
    LAP(&s->work, DRAWING);
  }
  return done;
}

/* Forget the unfinished texts. */
void sampler_reset(Sampler *s) { s->taken = 0; }

/* Seconds spent in each part so far, [PARTS]: norms and rounding, products, attention, output layer, drawing, seats. */
void sampler_spent(const Sampler *s, double *out) { memcpy(out, s->work.spent, PARTS * sizeof(double)); }

/* Logits after each token of some given texts, [count, vocabulary]; offsets [texts + 1]. The texts take a seat each, side
 * by side. Returns 0 where there are too few seats, or the texts do not fit the sampler. */
int sampler_logits(Sampler *s, const int32_t *tokens, int64_t count, const int32_t *offsets, int texts, float *out) {
  size_t v = s->model->shape.vocabulary;
  int longest;
  if (!within(texts, s->seats) || !are_texts(s->model, tokens, count, offsets, texts, s->work.longest, &longest))
    return 0;
  s->taken = 0;
  for (int place = 0, n = 1; n; place++) {
    n = 0;
    for (int t = 0; t < texts; t++) {
      int at = offsets[t] + place;
      if (at >= offsets[t + 1]) continue;
      if (place) {
        s->order[n] = t, s->token[n] = tokens[at], s->place[n++] = place;
        continue;
      }
      forward_one(&s->work, t, tokens[at], 0);
      memcpy(out + (size_t)at * v, s->work.logits, v * sizeof(float));
      n = 1;
    }
    if (!place || !n) continue;
    forward(&s->work, n, s->order, s->token, s->place);
    for (int i = 0; i < n; i++)
      memcpy(out + (size_t)(offsets[s->order[i]] + place) * v, s->work.logits + i * v, v * sizeof(float));
  }
  for (int i = 0; i < s->seats; i++) s->order[i] = i;
  return 1;
}
