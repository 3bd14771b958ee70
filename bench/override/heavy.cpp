// Programs that mostly allocate, as C++ writes them. Each answers a checksum.
#include <cstdint>
#include <cstdio>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#define KERNEL(name) extern "C" __attribute__((export_name(#name))) uint32_t name(uint32_t n)

static uint32_t seed;

static uint32_t next() {
  seed = seed * 1664525u + 1013904223u;
  return seed >> 8;
}

static std::string text(uint32_t number) {
  char word[48];
  snprintf(word, sizeof word, "a key that is not short: %u", (unsigned)number);
  return word;
}

KERNEL(cpp_map) {
  std::map<uint32_t, std::string> map;
  uint32_t sum = 0;
  seed = 1;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t key = next() % 5000;
    auto found = map.find(key);
    if (found == map.end()) map.emplace(key, std::string(20 + key % 60, 'x'));
    else {
      sum += found->second.size();
      map.erase(found);
    }
  }
  return sum + map.size();
}

KERNEL(cpp_strings) {
  std::vector<std::string> words;
  uint32_t sum = 0;
  seed = 2;
  for (uint32_t i = 0; i < n; i++) {
    words.push_back(text(next()));
    if (words.size() < 1000) continue;
    std::string all;
    for (auto &each : words) all += each.substr(8) + ", ";
    sum += all.size();
    words.clear();
  }
  return sum + words.size();
}

struct Node {
  std::unique_ptr<Node> left, right;
  uint32_t value;
};

static std::unique_ptr<Node> tree(uint32_t depth) {
  auto made = std::make_unique<Node>();
  made->value = depth;
  if (depth > 0) {
    made->left = tree(depth - 1);
    made->right = tree(depth - 1);
  }
  return made;
}

KERNEL(cpp_trees) {
  uint32_t sum = 0;
  for (uint32_t i = 0; i < n; i++) sum += tree(8 + i % 3)->left->value;
  return sum;
}

KERNEL(cpp_lists) {
  std::vector<std::list<uint32_t>> lists(64);
  uint32_t sum = 0;
  seed = 3;
  for (uint32_t i = 0; i < n; i++) {
    auto &list = lists[next() % lists.size()];
    list.push_back(i);
    if (list.size() < 200) continue;
    sum += list.front();
    list.pop_front();
    auto &other = lists[next() % lists.size()];
    other.splice(other.end(), list, list.begin());
    list.resize(100);
  }
  return sum;
}

KERNEL(cpp_shared) {
  std::vector<std::shared_ptr<std::vector<uint32_t>>> shared(2000);
  uint32_t sum = 0;
  seed = 4;
  for (uint32_t i = 0; i < n; i++) {
    auto &slot = shared[next() % shared.size()];
    if (slot && i % 3) shared[next() % shared.size()] = slot;
    else slot = std::make_shared<std::vector<uint32_t>>(1 + next() % 30, i);
    sum += (*slot)[0];
  }
  return sum;
}
