/* One step of many texts through the model.
 *
 * A step takes the newest token of each text, adds its keys and values to the text's cache, and gives the logits of
 * the next one. Rows are independent of each other, so a text's results do not depend on the texts beside it.
 */
#ifndef STEP_H
#define STEP_H

#include "attention.h"

/* Round a row for the next product. */
static void set_rounded(const Work *w, Rows *rows, int i, float *x, int k) {
  if (w->model->shape.llama) set_spread_row(rows, i, x, k);
  else set_row(rows, i, x, k);
}

/* Normalize the rows of x and round them. */
static void set_normed_rows(Work *w, int n, const float *gamma, const float *beta) {
  const Shape *s = &w->model->shape;
  for (int i = 0; i < n; i++) {
    const float *x = w->x + (size_t)i * s->width;
    if (s->llama) rms_norm(x, gamma, w->normed, s->width, s->epsilon);
    else layer_norm(x, gamma, beta, w->normed, s->width);
    set_rounded(w, &w->rows, i, w->normed, s->width);
  }
  LAP(w, NORMS);
}

static void embed(const Work *w, int n, const int *tokens, const int *places) {
  const Model *m = w->model;
  int d = m->shape.width;
  for (int i = 0; i < n; i++) {
    float *x = w->x + (size_t)i * d;
    memcpy(x, m->tokens + (size_t)tokens[i] * d, d * sizeof *x);
    for (int j = 0; m->places && j < d; j++) x[j] += m->places[(size_t)places[i] * d + j];
  }
}

/* Take n texts one token further. In: their seats, newest tokens and those tokens' positions; out: w->logits. */
static void forward(Work *w, int n, const int *seat, const int *tokens, const int *places) {
  const Model *m = w->model;
  const Shape s = m->shape;
  embed(w, n, tokens, places);
  for (int l = 0; l < s.layers; l++) {
    const Layer *layer = &m->layer[l];
    set_normed_rows(w, n, layer->ln1_gamma, layer->ln1_beta);
    matmul(&layer->qkv, &w->rows, n, w->wide, m->wide, STORE);
    LAP(w, PRODUCTS);
    for (int i = 0; i < n; i++) {
      attend(w, w->wide + (size_t)i * m->wide, seat[i], l, places[i], w->normed);
      set_rounded(w, &w->rows, i, w->normed, s.heads * s.size);
    }
    LAP(w, ATTENTION);
    matmul(&layer->out, &w->rows, n, w->x, s.width, ADD);
    LAP(w, PRODUCTS);
    set_normed_rows(w, n, layer->ln2_gamma, layer->ln2_beta);
    if (s.llama) matmul(&layer->gate, &w->rows, n, w->wide, m->wide, STORE);
    matmul(&layer->up, &w->rows, n, w->wide, m->wide, s.llama ? GATED : GELU);
    LAP(w, PRODUCTS);
    for (int i = 0; i < n; i++) set_rounded(w, &w->wide_rows, i, w->wide + (size_t)i * m->wide, s.hidden);
    LAP(w, NORMS);
    matmul(&layer->down, &w->wide_rows, n, w->x, s.width, ADD);
    LAP(w, PRODUCTS);
  }
  set_normed_rows(w, n, m->gamma, m->beta);
  matmul(&m->head, &w->rows, n, w->logits, s.vocabulary, STORE);
  LAP(w, HEAD);
}

/* Take one text one token further; the end token at its start has been computed with the weights. */
static void forward_one(Work *w, int seat, int token, int place) {
  const Model *m = w->model;
  if (!m->start || place || token != m->shape.end) {
    forward(w, 1, &seat, &token, &place);
    return;
  }
  copy_places(w, seat, 0, 1, m->start, 1);
  memcpy(w->logits, m->start_logits, m->shape.vocabulary * sizeof(float));
}

#endif
