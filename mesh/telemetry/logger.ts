// How a process says what happened: one JSON object a line, on standard output, without secrets.
// It stands alone so that the logging library is named here only and code elsewhere takes a small interface.
import { pino, type DestinationStream } from 'pino';
import { redactFields, redactText } from './redact.ts';

/** From most to least talkative. */
export const logLevels = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Facts of a line by name. Errors go under any name and are described with their causes. */
export type LogFields = Readonly<Record<string, unknown>>;

/** What code writes to. Never throws; a line below the level costs nothing but the call. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** A logger that adds these fields to each line. */
  child(fields: LogFields): Logger;
}

export interface LoggerOptions {
  readonly service: string;
  readonly level: LogLevel;
  /** Tells the replicas of a service apart. */
  readonly replica?: string | undefined;
  /** Where lines go instead of standard output. */
  readonly write?: ((line: string) => void) | undefined;
}

/** Names the line itself uses; a field of that name is written with a trailing underscore instead. */
const reserved: ReadonlySet<string> = new Set(['level', 'time', 'message', 'service', 'replica']);

function safe(fields: LogFields): Record<string, unknown> {
  const clean = redactFields(fields);
  for (const name of Object.keys(clean)) {
    if (reserved.has(name)) {
      clean[`${name}_`] = clean[name];
      delete clean[name];
    }
  }
  return clean;
}

/** A Logger whose lines are `{level, time, service, replica?, …fields, message}`; `time` is ISO 8601 in UTC. */
export function createLogger({ service, level, replica, write }: LoggerOptions): Logger {
  const destination: DestinationStream | undefined = write === undefined ? undefined : { write };
  const options = {
    level,
    messageKey: 'message',
    base: replica === undefined ? { service } : { service, replica },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const lines = destination === undefined ? pino(options) : pino(options, destination);

  function wrap(bound: Record<string, unknown>): Logger {
    function at(lineLevel: LogLevel) {
      return (fields: LogFields, message: string): void => {
        if (!lines.isLevelEnabled(lineLevel)) return;
        lines[lineLevel]({ ...bound, ...safe(fields) }, redactText(message));
      };
    }
    return {
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      child: (fields) => wrap({ ...bound, ...safe(fields) }),
    };
  }
  return wrap({});
}

function ignore(): void {}

/** A Logger that writes nothing; for tests and tools. */
export const silentLogger: Logger = {
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
  child: () => silentLogger,
};
