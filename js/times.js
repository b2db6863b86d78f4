// Times as text in ISO 8601, as NumPy writes them.

const CLOCK = ["h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"];

/** The text of a number of units since the beginning of 1970. */
export function timeText(count, unit) {
  if (unit === "Y") return year(1970n + count);
  if (unit === "M") return month(count);
  if (unit === "W") return date(count * 7n);
  if (unit === "D") return date(count);
  const digits = BigInt(Math.max(0, 3 * (CLOCK.indexOf(unit) - 2)));
  const inHour = { h: 1n, m: 60n }[unit] ?? 3600n * 10n ** digits;
  const [days, rest] = divided(count, 24n * inHour);
  const [hours, inside] = divided(rest, inHour);
  let text = `${date(days)}T${pad(hours, 2)}`;
  if (unit === "h") return text;
  const [minutes, more] = divided(inside, unit === "m" ? 1n : inHour / 60n);
  text += `:${pad(minutes, 2)}`;
  if (unit === "m") return text;
  const [seconds, fraction] = divided(more, 10n ** digits);
  text += `:${pad(seconds, 2)}`;
  return digits === 0n ? text : `${text}.${pad(fraction, Number(digits))}`;
}

function divided(number, by) {
  const rest = ((number % by) + by) % by;
  return [(number - rest) / by, rest];
}

const pad = (number, width) => String(number).padStart(width, "0");

function year(number) {
  return number < 0n ? `-${pad(-number, 4)}` : pad(number, 4);
}

function month(count) {
  const [years, months] = divided(count, 12n);
  return `${year(1970n + years)}-${pad(months + 1n, 2)}`;
}

// Days are counted from the 1st of March of the year 0, so that leap days come last; in cycles of 400 years.
function date(count) {
  const [cycle, day] = divided(count + 719468n, 146097n);
  const inCycle = (day - day / 1460n + day / 36524n - day / 146096n) / 365n;
  const inYear = day - (365n * inCycle + inCycle / 4n - inCycle / 100n);
  const fromMarch = (5n * inYear + 2n) / 153n;
  const dayOfMonth = inYear - (153n * fromMarch + 2n) / 5n + 1n;
  const monthOfYear = fromMarch < 10n ? fromMarch + 3n : fromMarch - 9n;
  const found = 400n * cycle + inCycle + (monthOfYear <= 2n ? 1n : 0n);
  return `${year(found)}-${pad(monthOfYear, 2)}-${pad(dayOfMonth, 2)}`;
}
