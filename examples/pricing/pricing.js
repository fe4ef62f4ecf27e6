// A customer's pricing rules: `sjs call examples/pricing quote '{"items":[{"sku":"a","qty":2}]}'`.
const PRICES = { a: 1250, b: 400 };

export function quote({ items }) {
  const lines = items.map(({ sku, qty }) => {
    if (!(sku in PRICES)) throw new RangeError(`there is no article ${JSON.stringify(sku)}`);
    return { sku, qty, cents: PRICES[sku] * qty };
  });
  console.log(`priced ${lines.length} lines`);
  return { lines, totalCents: lines.reduce((sum, { cents }) => sum + cents, 0) };
}

export default quote;
