/* Beginnings that many texts share, kept with the model's results for them.
 *
 * A node is a prefix of the run, or a node and one token more: the keys and values of that token, and the logits after
 * it. A text that begins like an earlier one takes them from here instead of through the model: with proverbs one
 * token in ten. They are the very numbers that the model would give again, so no text changes.
 */
#ifndef TREE_H
#define TREE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { UNKNOWN = -1, SEEN = -2 };
#define TABLE (1u << 16)

typedef struct {
  uint16_t *cache; /* [layer][kv head][2][size] */
  float *logits;   /* [vocabulary] */
} Node;

typedef struct {
  int count, most, roots; /* the first `roots` numbers are the prefixes, which are kept elsewhere */
  Node *node;
  uint64_t *key; /* [TABLE], (parent, token) + 1 */
  int32_t *value; /* the node, or SEEN */
  unsigned used;
} Tree;

static int make_tree(Tree *tree, int roots, int most) {
  tree->roots = tree->count = roots, tree->most = roots + most;
  tree->node = calloc(tree->most, sizeof(Node));
  tree->key = calloc(TABLE, sizeof *tree->key), tree->value = calloc(TABLE, sizeof *tree->value);
  return tree->node && tree->key && tree->value;
}

static void free_tree(Tree *tree) {
  for (int i = tree->roots; tree->node && i < tree->count; i++) free(tree->node[i].cache), free(tree->node[i].logits);
  free(tree->node), free(tree->key), free(tree->value);
}

static unsigned place_of(const Tree *tree, int parent, int token) {
  uint64_t key = ((uint64_t)parent << 32 | (uint32_t)token) + 1, hash = key * 0x9e3779b97f4a7c15u;
  unsigned at = (unsigned)(hash >> 48) % TABLE;
  while (tree->key[at] && tree->key[at] != key) at = (at + 1) % TABLE;
  return at;
}

/* The node of `token` after `parent`; SEEN where this is at least the second text that goes this way and there is room
 * for a node; UNKNOWN otherwise. */
static int child_of(Tree *tree, int parent, int token) {
  unsigned at = place_of(tree, parent, token);
  if (tree->key[at]) return tree->value[at] >= 0 || tree->count < tree->most ? tree->value[at] : UNKNOWN;
  if (tree->count < tree->most && 2 * tree->used < TABLE) {
    tree->key[at] = ((uint64_t)parent << 32 | (uint32_t)token) + 1, tree->value[at] = SEEN, tree->used++;
  }
  return UNKNOWN;
}

/* A new node of `token` after `parent`, or the one that is there, or UNKNOWN where there is no room or memory. */
static int grow(Tree *tree, int parent, int token, size_t cache, size_t logits, int *fresh) {
  unsigned at = place_of(tree, parent, token);
  *fresh = 0;
  if (tree->key[at] && tree->value[at] >= 0) return tree->value[at];
  if (!tree->key[at] || tree->count == tree->most) return UNKNOWN;
  Node *node = &tree->node[tree->count];
  node->cache = malloc(cache), node->logits = malloc(logits);
  if (!node->cache || !node->logits) {
    free(node->cache), free(node->logits);
    return UNKNOWN;
  }
  *fresh = 1;
  return tree->value[at] = tree->count++;
}

#endif
