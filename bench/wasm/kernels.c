/* Eight small programs that spend their time on memory, to measure what checking costs. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KERNEL(name) __attribute__((export_name(#name))) uint32_t name(uint32_t n)

static uint32_t seed;
static uint32_t next(void) { return seed = seed * 1664525u + 1013904223u; }

static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

KERNEL(sort) {
  seed = 1;
  uint32_t *items = malloc(n * 4);
  for (uint32_t i = 0; i < n; i++) items[i] = next();
  qsort(items, n, 4, compare);
  uint32_t sum = items[0] ^ items[n / 2] ^ items[n - 1];
  free(items);
  return sum;
}

KERNEL(matmul) {
  double *a = malloc(n * n * 8), *b = malloc(n * n * 8), *c = calloc(n * n, 8);
  for (uint32_t i = 0; i < n * n; i++) a[i] = i % 7, b[i] = i % 5;
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t k = 0; k < n; k++) {
      double x = a[i * n + k];
      for (uint32_t j = 0; j < n; j++) c[i * n + j] += x * b[k * n + j];
    }
  uint32_t sum = (uint32_t)c[n * n / 2];
  free(a), free(b), free(c);
  return sum;
}

struct node {
  struct node *left, *right;
  uint32_t key;
};

static void treeFree(struct node *node) {
  if (!node) return;
  treeFree(node->left);
  treeFree(node->right);
  free(node);
}

KERNEL(tree) {
  seed = 2;
  struct node *root = NULL;
  uint32_t sum = 0;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t key = next() >> 8, depth = 0;
    struct node **at = &root;
    while (*at) {
      at = key < (*at)->key ? &(*at)->left : &(*at)->right;
      depth++;
    }
    *at = calloc(1, sizeof **at);
    (*at)->key = key;
    sum += depth;
  }
  treeFree(root);
  return sum;
}

KERNEL(crc) {
  uint32_t table[256], c = ~0u;
  uint8_t *bytes = malloc(n);
  for (uint32_t i = 0; i < n; i++) bytes[i] = (uint8_t)(i * 31);
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t v = i;
    for (int k = 0; k < 8; k++) v = v & 1 ? 0xedb88320u ^ (v >> 1) : v >> 1;
    table[i] = v;
  }
  for (uint32_t i = 0; i < n; i++) c = table[(c ^ bytes[i]) & 255] ^ (c >> 8);
  free(bytes);
  return ~c;
}

KERNEL(hash) {
  seed = 3;
  uint32_t size = 1, found = 0;
  while (size < n * 2) size *= 2;
  uint32_t *keys = calloc(size, 4), *values = calloc(size, 4);
  for (uint32_t i = 0; i < n * 2; i++) {
    uint32_t key = (next() % n) + 1, at = key * 2654435761u & (size - 1);
    while (keys[at] && keys[at] != key) at = (at + 1) & (size - 1);
    found += keys[at] == key;
    keys[at] = key;
    values[at] += i;
  }
  free(keys), free(values);
  return found;
}

KERNEL(text) {
  char *all = malloc(n * 12 + 1);
  char *end = all;
  for (uint32_t i = 0; i < n; i++) end += sprintf(end, "%u;", i * 7919u % 100003u);
  uint32_t sum = 0;
  for (char *at = all; *at; at = strchr(at, ';') + 1) sum += (uint32_t)atoi(at) + strlen(at) % 3;
  free(all);
  return sum;
}

KERNEL(bodies) {
  struct body {
    double x, y, z, vx, vy, vz;
  } *all = malloc(64 * sizeof *all);
  for (int i = 0; i < 64; i++) all[i] = (struct body){i, i * 2 % 7, i * 3 % 11, 0, 0, 0};
  for (uint32_t step = 0; step < n; step++)
    for (int i = 0; i < 64; i++) {
      for (int j = 0; j < 64; j++) {
        double dx = all[j].x - all[i].x, dy = all[j].y - all[i].y, dz = all[j].z - all[i].z;
        double f = 0.001 / (dx * dx + dy * dy + dz * dz + 1);
        all[i].vx += dx * f, all[i].vy += dy * f, all[i].vz += dz * f;
      }
      all[i].x += all[i].vx, all[i].y += all[i].vy, all[i].z += all[i].vz;
    }
  uint32_t sum = (uint32_t)(all[5].x * 1000);
  free(all);
  return sum;
}

KERNEL(sieve) {
  uint8_t *marks = calloc(n, 1);
  uint32_t count = 0;
  for (uint32_t i = 2; i < n; i++) {
    if (marks[i]) continue;
    count++;
    for (uint32_t k = i * 2; k < n; k += i) marks[k] = 1;
  }
  free(marks);
  return count;
}
