/*
 * After cfrac, which factors integers: very many short-lived, reference-counted big numbers of
 * 8..64 bytes. A step combines two of 16 variables through two temporaries, which die at once,
 * into a result that replaces a variable; now and then a variable is copied by reference.
 */
#include "workload.h"

enum { VARIABLES = 16, COUNT = 0, VALUE = 4 };

static inline u32 new_number(u32 random, u32 value) {
  u32 number = allocate(8 + (random % 15) * 4, 1);
  store(number + VALUE, value);
  return number;
}

static inline u32 let_go(u32 number) {
  u32 count = load(number + COUNT) - 1;
  if (count) {
    store(number + COUNT, count);
    return 0;
  }
  u32 value = load(number + VALUE);
  heap_free(number);
  return value;
}

static inline u32 copy_reference(u32 table, u32 to, u32 from) {
  u32 shared = slot(table, from), old = slot(table, to);
  store(shared + COUNT, load(shared + COUNT) + 1);
  set_slot(table, to, shared);
  return let_go(old);
}

static inline u32 combine(u32 table, u32 to, u32 from, u32 random) {
  u32 old = slot(table, to), a = load(old + VALUE), b = load(slot(table, from) + VALUE);
  u32 product = new_number(random, a * b);
  u32 quotient = new_number(random >> 8, load(product + VALUE) + random);
  u32 rest = new_number(random >> 16, load(quotient + VALUE) ^ b);
  u32 sum = let_go(quotient) + let_go(product);
  set_slot(table, to, rest);
  return sum + let_go(old);
}

/* One operation is one number's life: a step makes three. */
EXPORT(cfrac)(u32 table, u32 aux, u32 seed, u32 n) {
  u32 sum = 0;
  for (u32 i = 0; i < VARIABLES; i++) set_slot(table, i, new_number(i, i + 3));
  for (u32 i = 0; i < n / 3; i++) {
    seed = xorshift(seed);
    u32 to = seed % VARIABLES, from = (seed >> 4) % VARIABLES;
    if ((seed >> 28) == 0) sum += copy_reference(table, to, from);
    sum += combine(table, to, from, seed);
  }
  for (u32 i = 0; i < VARIABLES; i++) sum += let_go(slot(table, i));
  return sum;
}
