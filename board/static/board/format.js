// Numbers, money and times as text.

export const whole = new Intl.NumberFormat("en");
export const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const language = document.documentElement.lang;

// Staff read UTC, as at the desk and in logs; customers their own zone, written as in mails.
const ofStaff = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone: "UTC", timeZoneName: "short" };
const clocks = { staff: new Intl.DateTimeFormat("en-GB", ofStaff), customer: clockOf({ hour: "numeric", minute: "2-digit", timeZoneName: "short" }) };
const day = clockOf({ dateStyle: "long" });
export const clock = (moment) => clocks[document.body.dataset.page === "track" ? "customer" : "staff"].format(moment);
export const localDay = (moment) => `${day.format(moment)}, ${clocks.customer.format(moment)}`;

function clockOf(options) {
  return new Intl.DateTimeFormat(language, options);
}

// By ISO 4217: the browser's own are those of cash, such as none of COP, and would round the amount.
const decimals = JSON.parse(document.getElementById("decimals")?.textContent ?? "{}");
const moneyFormats = new Map();

export function money(amount, currency) {
  if (!moneyFormats.has(currency)) {
    const digits = decimals[currency] ?? 2;
    const style = { style: "currency", currency, currencyDisplay: "narrowSymbol", minimumFractionDigits: digits, maximumFractionDigits: digits };
    moneyFormats.set(currency, new Intl.NumberFormat("en", style));
  }
  return moneyFormats.get(currency).format(amount);
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  return value < 120 ? `${value.toFixed(1)} s` : `${Math.round(value / 60)} min`;
}

// An axis has room for a few characters.
export function axisSeconds(value) {
  if (value < 1) return value ? `${Math.round(value * 1000)} ms` : "0";
  return value < 120 ? `${short.format(value)} s` : `${short.format(value / 60)} min`;
}

export function age(milliseconds) {
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} min`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h` : `${whole.format(Math.floor(minutes / 1440))} d`;
}

export function rate(value) {
  return value >= 100 ? whole.format(Math.round(value)) : value.toFixed(1);
}

export function approximate(count, isEstimate) {
  return (isEstimate ? "≈ " : "") + (count < 100_000 ? whole.format(count) : short.format(count));
}
