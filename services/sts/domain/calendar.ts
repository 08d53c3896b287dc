// The only time policy ever sees: a zone's calendar at one-hour granularity. A calendar that cannot be read is closed.
import type { JsonObject, JsonValue } from '#mesh/failure';

const weekdays = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] as const;

interface Calendar {
  readonly timeZone: string;
  readonly openingHours: Readonly<Record<string, readonly (readonly [number, number])[]>>;
  readonly closedDates: readonly string[];
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function hourOf(value: JsonValue | undefined): number | undefined {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 24) return value;
  const hour = typeof value === 'string' ? /^(\d{2}):00$/.exec(value)?.[1] : undefined;
  return hour === undefined || Number(hour) > 24 ? undefined : Number(hour);
}

function span(value: JsonValue): readonly [number, number] | undefined {
  const pair = isObject(value) ? [value['from'], value['to']] : value;
  if (!Array.isArray(pair) || pair.length !== 2) return undefined;
  const from = hourOf(pair[0]);
  const to = hourOf(pair[1]);
  return from === undefined || to === undefined || from >= to ? undefined : [from, to];
}

function parseCalendar(value: JsonValue): Calendar | undefined {
  if (!isObject(value) || typeof value['time_zone'] !== 'string') return undefined;
  const hours = isObject(value['opening_hours']) ? value['opening_hours'] : {};
  const openingHours: Record<string, readonly (readonly [number, number])[]> = {};
  for (const day of weekdays) {
    const spans = hours[day];
    openingHours[day] = Array.isArray(spans) ? spans.map(span).filter((item) => item !== undefined) : [];
  }
  const closed = Array.isArray(value['closed_dates']) ? value['closed_dates'] : [];
  return {
    timeZone: value['time_zone'],
    openingHours,
    closedDates: closed.filter((date) => typeof date === 'string'),
  };
}

const formatters = new Map<string, Intl.DateTimeFormat>();
/** There are about 600 IANA zones; beyond that a caller is inventing names, which the formatter refuses anyway. */
const maxFormatters = 1024;

function formatter(timeZone: string): Intl.DateTimeFormat {
  const known = formatters.get(timeZone);
  if (known) return known;
  const made = new Intl.DateTimeFormat('en-CA', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
  });
  if (formatters.size < maxFormatters) formatters.set(timeZone, made);
  return made;
}

/** `input.calendar` for a decision at `nowMs`: date, weekday, hour and whether the zone is open; undefined without a calendar. */
export function calendarInput(calendar: JsonValue | undefined, nowMs: number): JsonObject | undefined {
  if (calendar === undefined || calendar === null) return undefined;
  const parsed = parseCalendar(calendar);
  if (!parsed) return { open: false };
  try {
    const parts = Object.fromEntries(
      formatter(parsed.timeZone)
        .formatToParts(nowMs)
        .map((part) => [part.type, part.value]),
    );
    const date = `${parts['year'] ?? ''}-${parts['month'] ?? ''}-${parts['day'] ?? ''}`;
    const weekday = weekdays[new Date(`${date}T00:00:00Z`).getUTCDay()] ?? '';
    const hour = Number(parts['hour']);
    const within = (parsed.openingHours[weekday] ?? []).some(([from, to]) => hour >= from && hour < to);
    return { date, weekday, hour, open: within && !parsed.closedDates.includes(date) };
  } catch {
    return { open: false };
  }
}
