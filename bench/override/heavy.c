/* Programs that mostly allocate, as C writes them. Each answers a checksum. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KERNEL(name) __attribute__((export_name(#name))) uint32_t name(uint32_t n)

static uint32_t seed;

static uint32_t next(void) {
  seed = seed * 1664525u + 1013904223u;
  return seed >> 8;
}

struct node {
  struct node *left, *right;
  uint32_t value;
};

static struct node *tree(uint32_t depth) {
  struct node *made = malloc(sizeof *made);
  made->value = depth;
  made->left = depth ? tree(depth - 1) : 0;
  made->right = depth ? tree(depth - 1) : 0;
  return made;
}

static uint32_t fell(struct node *top) {
  if (!top) return 0;
  uint32_t sum = top->value + fell(top->left) + fell(top->right);
  free(top);
  return sum;
}

/* Binary trees, built and felled, one of them long-lived. */
KERNEL(c_trees) {
  uint32_t sum = 0;
  struct node *old = tree(12);
  for (uint32_t i = 0; i < n; i++) sum += fell(tree(8 + i % 3));
  return sum + fell(old);
}

/* Slots in which blocks of random sizes replace each other. */
KERNEL(c_slots) {
  enum { SLOTS = 4096 };
  static uint8_t *slots[SLOTS];
  uint32_t sum = 0;
  seed = 1;
  for (uint32_t i = 0; i < n; i++) {
    uint8_t **slot = &slots[next() % SLOTS];
    if (*slot) sum += **slot;
    free(*slot);
    size_t size = 8 + next() % (i % 16 ? 120 : 2000);
    *slot = malloc(size);
    (*slot)[0] = (uint8_t)size;
    (*slot)[size - 1] = 1;
  }
  for (uint32_t i = 0; i < SLOTS; i++) {
    free(slots[i]);
    slots[i] = 0;
  }
  return sum;
}

struct entry {
  struct entry *next;
  char *key;
  uint32_t count;
};

/* Words counted in a table with chains. */
KERNEL(c_words) {
  enum { BINS = 2048 };
  struct entry **bins = calloc(BINS, sizeof *bins);
  uint32_t sum = 0;
  seed = 2;
  for (uint32_t i = 0; i < n; i++) {
    char word[24];
    sprintf(word, "word-%u", (unsigned)(next() % 20000));
    uint32_t hash = 5381;
    for (char *c = word; *c; c++) hash = hash * 33 + (uint8_t)*c;
    struct entry **at = &bins[hash % BINS];
    while (*at && strcmp((*at)->key, word)) at = &(*at)->next;
    if (*at && (*at)->count == 3) {
      struct entry *gone = *at;
      *at = gone->next;
      free(gone->key);
      free(gone);
    } else if (*at) (*at)->count++;
    else {
      *at = calloc(1, sizeof **at);
      (*at)->key = strdup(word);
    }
  }
  for (uint32_t i = 0; i < BINS; i++) {
    for (struct entry *each = bins[i]; each;) {
      struct entry *after = each->next;
      sum += each->count + (uint32_t)strlen(each->key);
      free(each->key);
      free(each);
      each = after;
    }
  }
  free(bins);
  return sum;
}

/* Many arrays that grow by a few elements at a time. */
KERNEL(c_arrays) {
  enum { ARRAYS = 512 };
  static uint32_t *arrays[ARRAYS], lengths[ARRAYS], room[ARRAYS];
  uint32_t sum = 0;
  seed = 3;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t k = next() % ARRAYS;
    if (lengths[k] == room[k]) {
      room[k] = room[k] ? room[k] + room[k] / 2 + 1 : 4;
      arrays[k] = realloc(arrays[k], room[k] * sizeof(uint32_t));
    }
    arrays[k][lengths[k]++] = i;
    if (lengths[k] < 500) continue;
    sum += arrays[k][next() % lengths[k]];
    free(arrays[k]);
    arrays[k] = 0;
    lengths[k] = room[k] = 0;
  }
  for (uint32_t k = 0; k < ARRAYS; k++) {
    free(arrays[k]);
    arrays[k] = 0;
    lengths[k] = room[k] = 0;
  }
  return sum;
}

/* A queue of messages: first in, first out, sizes of a protocol. */
KERNEL(c_queue) {
  enum { LENGTH = 1024 };
  static uint8_t *queue[LENGTH];
  uint32_t sum = 0;
  seed = 4;
  for (uint32_t i = 0; i < n; i++) {
    uint8_t **slot = &queue[i % LENGTH];
    if (*slot) sum += (*slot)[3];
    free(*slot);
    *slot = malloc(16 + next() % 240);
    memset(*slot, (int)i, 16);
  }
  for (uint32_t i = 0; i < LENGTH; i++) {
    free(queue[i]);
    queue[i] = 0;
  }
  return sum;
}
