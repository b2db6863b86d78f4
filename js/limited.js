// Work at the same time, but not too much of it.

/** The results of an action on each item, some of them at the same time. */
export async function limited(items, most, action) {
  const results = new Array(items.length);
  let next = 0;
  const work = async () => {
    while (next < items.length) {
      const i = next++;
      results[i] = await action(items[i]);
    }
  };
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, work));
  return results;
}
