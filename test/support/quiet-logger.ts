/** A logger that keeps what it was told, for tests that ask what an operator would have read. */
import type { Logger, LogFields } from '#mesh/telemetry';

export interface QuietLogger extends Logger {
  readonly lines: { readonly level: string; readonly fields: LogFields; readonly message: string }[];
}

export function quietLogger(): QuietLogger {
  const lines: { level: string; fields: LogFields; message: string }[] = [];
  const at =
    (level: string) =>
    (fields: LogFields, message: string): void => {
      lines.push({ level, fields, message });
    };
  const logger: QuietLogger = {
    lines,
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => logger,
  };
  return logger;
}
