//! Programs that mostly allocate, as Rust writes them. Each answers a checksum.
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;

struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1664525).wrapping_add(1013904223);
        self.0 >> 8
    }
}

enum Tree {
    Leaf,
    Node(Box<Tree>, Box<Tree>, u32),
}

fn tree(depth: u32) -> Tree {
    if depth == 0 {
        return Tree::Leaf;
    }
    Tree::Node(Box::new(tree(depth - 1)), Box::new(tree(depth - 1)), depth)
}

fn count(tree: &Tree) -> u32 {
    match tree {
        Tree::Leaf => 1,
        Tree::Node(left, right, value) => count(left) + count(right) + value,
    }
}

#[no_mangle]
pub extern "C" fn rust_trees(n: u32) -> u32 {
    (0..n).fold(0, |sum, i| sum.wrapping_add(count(&tree(9 + i % 3))))
}

#[no_mangle]
pub extern "C" fn rust_btree(n: u32) -> u32 {
    let mut random = Random(1);
    let mut map: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for i in 0..n {
        let key = format!("key {}", random.next() % 4000);
        let list = map.entry(key.clone()).or_default();
        list.push(i);
        if list.len() > 20 {
            map.remove(&key);
        }
    }
    map.values().map(|list| list.len() as u32).sum()
}

#[no_mangle]
pub extern "C" fn rust_hash(n: u32) -> u32 {
    let mut random = Random(2);
    let mut map: HashMap<u32, Box<[u8]>> = HashMap::new();
    let mut sum: u32 = 0;
    for _ in 0..n {
        let key = random.next() % 5000;
        match map.remove(&key) {
            Some(bytes) => sum = sum.wrapping_add(bytes.len() as u32),
            None => {
                map.insert(key, vec![1; 10 + (key % 300) as usize].into_boxed_slice());
            }
        }
    }
    sum
}

#[no_mangle]
pub extern "C" fn rust_strings(n: u32) -> u32 {
    let mut random = Random(3);
    let mut lines: VecDeque<String> = VecDeque::new();
    let mut sum: u32 = 0;
    for _ in 0..n {
        let words: Vec<String> = (0..5).map(|_| (random.next() % 100000).to_string()).collect();
        lines.push_back(words.join(" "));
        if lines.len() > 500 {
            sum = sum.wrapping_add(lines.pop_front().map_or(0, |line| line.len() as u32));
        }
    }
    sum
}

#[no_mangle]
pub extern "C" fn rust_graph(n: u32) -> u32 {
    struct Node {
        value: u32,
        next: Option<Rc<Node>>,
    }
    let mut random = Random(4);
    let mut heads: Vec<Option<Rc<Node>>> = vec![None; 256];
    let mut sum: u32 = 0;
    for i in 0..n {
        let at = (random.next() % 256) as usize;
        let next = heads[(random.next() % 256) as usize].clone();
        let depth = next.as_ref().map_or(0, |node| node.value);
        let next = if depth < 50 { next } else { None };
        heads[at] = Some(Rc::new(Node { value: next.as_ref().map_or(0, |node| node.value) + 1, next }));
        sum = sum.wrapping_add(depth ^ i);
        if let Some(inner) = heads[at].as_ref().and_then(|node| node.next.as_ref()) {
            sum = sum.wrapping_add(inner.value);
        }
    }
    sum
}
