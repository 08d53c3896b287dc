/**
 * What the runtime needs of the process it runs in: signals, fatal errors, standard error, the end.
 * It stands alone so that start and stop can be tested without ending the test.
 */
export interface ProcessHost {
  onSignal(signal: 'SIGTERM' | 'SIGINT', listener: () => void): void;
  /** Errors that nobody caught, promises included. */
  onFatal(listener: (error: unknown) => void): void;
  writeError(text: string): void;
  /** Takes log lines; standard output when absent. */
  readonly writeLog?: ((line: string) => void) | undefined;
  exit(code: number): void;
}

/** The real process. */
export const hostProcess: ProcessHost = {
  onSignal: (signal, listener) => void process.on(signal, listener),
  onFatal: (listener) => {
    process.on('uncaughtException', listener);
    process.on('unhandledRejection', listener);
  },
  writeError: (text) => void process.stderr.write(text),
  exit: (code) => process.exit(code),
};
