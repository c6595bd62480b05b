/** `strftime_now`: the local time in the C locale, as in glibc. */
import { failure } from "./errors.ts";
import type { Run } from "./run.ts";

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

/** The meaning of a letter: a number with its width and padding, text, or another format. */
type Part = readonly [value: number, width: number, fill: string] | string;

export function strftime(run: Run, format: string, date: Date): string {
  run.spend(1 + format.length);
  run.admitText(20 * format.length);
  if (!Number.isFinite(date.getTime())) throw failure("ValueError", "the clock does not show a time");
  return expand(format, date);
}

function expand(format: string, date: Date): string {
  return format.replace(
    /%([-_0^#]*)(\d*)([EO]?)([\s\S])/g,
    (all, flags: string, width: string, _: string, letter: string) => {
      const part = partOf(letter, date);
      if (part === undefined) return all;
      let text: string;
      if (typeof part === "string") text = part.padStart(Math.min(Number(width), 100), flags.includes("0") ? "0" : " ");
      else {
        const [value, usual, filling] = part;
        const fill = flags.includes("_") ? " " : flags.includes("0") ? "0" : filling;
        text = flags.includes("-")
          ? String(value)
          : String(value).padStart(Math.min(Number(width) || usual, 100), fill);
      }
      if (flags.includes("#")) return letter === "p" ? text.toLowerCase() : text.toUpperCase();
      return flags.includes("^") ? text.toUpperCase() : text;
    },
  );
}

function partOf(letter: string, date: Date): Part | undefined {
  const year = date.getFullYear();
  const hour = date.getHours();
  const weekday = date.getDay();
  const monday = (weekday + 6) % 7;
  switch (letter) {
    case "a":
      return (DAYS[weekday] as string).slice(0, 3);
    case "A":
      return DAYS[weekday] as string;
    case "b":
    case "h":
      return (MONTHS[date.getMonth()] as string).slice(0, 3);
    case "B":
      return MONTHS[date.getMonth()] as string;
    case "c":
      return expand("%a %b %e %H:%M:%S %Y", date);
    case "C":
      return [Math.floor(year / 100), 2, "0"];
    case "d":
      return [date.getDate(), 2, "0"];
    case "D":
    case "x":
      return expand("%m/%d/%y", date);
    case "e":
      return [date.getDate(), 2, " "];
    case "f":
      return `${String(date.getMilliseconds()).padStart(3, "0")}000`;
    case "F":
      return expand("%Y-%m-%d", date);
    case "g":
      return [isoWeek(date).year % 100, 2, "0"];
    case "G":
      return [isoWeek(date).year, 4, "0"];
    case "H":
      return [hour, 2, "0"];
    case "I":
      return [hour % 12 || 12, 2, "0"];
    case "j":
      return [dayOfYear(date) + 1, 3, "0"];
    case "k":
      return [hour, 2, " "];
    case "l":
      return [hour % 12 || 12, 2, " "];
    case "m":
      return [date.getMonth() + 1, 2, "0"];
    case "M":
      return [date.getMinutes(), 2, "0"];
    case "n":
      return "\n";
    case "p":
      return hour < 12 ? "AM" : "PM";
    case "P":
      return hour < 12 ? "am" : "pm";
    case "r":
      return expand("%I:%M:%S %p", date);
    case "R":
      return expand("%H:%M", date);
    case "s":
      return [Math.floor(date.getTime() / 1000), 1, "0"];
    case "S":
      return [date.getSeconds(), 2, "0"];
    case "t":
      return "\t";
    case "T":
    case "X":
      return expand("%H:%M:%S", date);
    case "u":
      return [monday + 1, 1, "0"];
    case "U":
      return [Math.floor((dayOfYear(date) + 7 - weekday) / 7), 2, "0"];
    case "V":
      return [isoWeek(date).week, 2, "0"];
    case "w":
      return [weekday, 1, "0"];
    case "W":
      return [Math.floor((dayOfYear(date) + 7 - monday) / 7), 2, "0"];
    case "y":
      return [year % 100, 2, "0"];
    case "Y":
      return [year, 1, "0"];
    case "z":
    case "Z":
      // Python's datetime.now() carries no time zone.
      return "";
    case "%":
      return "%";
    default:
      return undefined;
  }
}

function dayOfYear(date: Date): number {
  const year = date.getFullYear();
  return Math.round((Date.UTC(year, date.getMonth(), date.getDate()) - Date.UTC(year, 0, 1)) / 86_400_000);
}

function isoWeek(date: Date): { year: number; week: number } {
  const thursday = new Date(date.getFullYear(), date.getMonth(), date.getDate() + 3 - ((date.getDay() + 6) % 7));
  return { year: thursday.getFullYear(), week: Math.floor(dayOfYear(thursday) / 7) + 1 };
}
