/** A JSON document of about `bytes` bytes, the same at each call: orders of a shop. */
export function documentMake(bytes: number): string {
  let seed = 1;
  const draw = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return seed % below;
  };
  const orders: string[] = [];
  for (let size = 0; size < bytes; size += (orders.at(-1) as string).length + 2) {
    const items = Array.from({ length: draw(5) }, () => ({
      product: `Größe ${draw(50)} "${draw(10000)}"\n`,
      price: draw(100000) / 100,
      count: draw(9) - 4,
    }));
    const order = { id: orders.length, paid: draw(2) === 1, note: null, factor: draw(99) * 1e-9 };
    orders.push(JSON.stringify({ ...order, tags: ["a", "é", "日本", "𝄞"], items }));
  }
  return `[${orders.join(",\n")}]`;
}
