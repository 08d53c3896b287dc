/**
 * The life of a service process: configuration, wiring, start, drain on a signal, stop in reverse, exit code.
 * It stands alone because every service must live and die by the same rules, and only main.ts calls it.
 */
import { ConfigError, printConfigErrorAndExitCode } from '#mesh/config';
import type { Environment } from '#mesh/config';
import type { Health } from '#mesh/health';
import type { Listener } from '#mesh/listener';
import { createLogger } from '#mesh/telemetry';
import type { Logger, LogLevel } from '#mesh/telemetry';
import type { ServiceName } from '#mesh/topology';
import { hostProcess } from './process-host.ts';
import type { ProcessHost } from './process-host.ts';

/** What the runtime reads of a service's configuration; every service's table has these groups. */
export interface RunConfig {
  readonly mode: { readonly mode: 'dev' | 'rc' | 'stable' };
  readonly listener: {
    readonly shutdownGraceMs: number;
    readonly logLevel: LogLevel;
    readonly replicaId?: string | undefined;
  };
}

/** A wired service. Disposal stops everything that `wire` and `start` opened, last opened first. */
export interface Wired extends AsyncDisposable {
  readonly health: Health;
  /** Opened by the runtime, after `start`. */
  readonly listener: Listener;
  /** Opens stores and background work. A rejection ends the process with 1, after disposal. */
  start(): Promise<void>;
  /** After the port has drained: hand over what is still in memory (journals, relays). */
  drain?(): Promise<void>;
}

export interface RunOptions<Config extends RunConfig> {
  readonly name: ServiceName;
  readonly env: Environment;
  /** Throws ConfigError with every problem. */
  readonly load: (env: Environment) => Config;
  readonly wire: (config: Config) => Promise<Wired> | Wired;
  readonly host?: ProcessHost;
}

/** After the grace, so much for closing stores and files; then the process ends whatever still hangs. */
const stopMs = 5_000;
/** Between "not ready" and the closed port, so that load balancers have looked; a share of the grace in published modes. */
const lameDuckShare = 0.2;
const maxLameDuckMs = 3_000;

/**
 * Runs until a signal has stopped the service. Exit codes: 0 after a complete stop, 1 when starting failed, an error was
 * caught by nobody, the stop took longer than the grace, or a second signal came; 78 when the configuration was refused.
 */
export async function runService<Config extends RunConfig>(options: RunOptions<Config>): Promise<void> {
  const host = options.host ?? hostProcess;
  const config = loadOrRefuse(options, host);
  if (config === undefined) return;
  const { logLevel: level, replicaId: replica } = config.listener;
  const logger = createLogger({ service: options.name, level, replica, write: host.writeLog });
  const stopping = stopSignal(host, logger);
  const ended = await lifetime({ options, config, logger, stopping }).catch((error: unknown) => {
    logger.error({ error }, 'the service could not run');
    return 1;
  });
  host.exit(ended);
}

function loadOrRefuse<Config extends RunConfig>(
  { env, load }: RunOptions<Config>,
  host: ProcessHost,
): Config | undefined {
  try {
    return load(env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    host.exit(printConfigErrorAndExitCode(error, (text) => host.writeError(text)));
    return undefined;
  }
}

interface Life<Config extends RunConfig> {
  readonly options: RunOptions<Config>;
  readonly config: Config;
  readonly logger: Logger;
  readonly stopping: AbortSignal;
}

async function lifetime<Config extends RunConfig>({
  options,
  config,
  logger,
  stopping,
}: Life<Config>): Promise<number> {
  const host = options.host ?? hostProcess;
  await using wired = await options.wire(config);
  await wired.start();
  if (!stopping.aborted) {
    const { port } = await wired.listener.listen();
    logger.info({ port, mode: config.mode.mode }, 'listening');
  }
  await aborted(stopping);
  const graceMs = config.listener.shutdownGraceMs;
  const hard = setTimeout(() => {
    logger.error({ graceMs }, 'the stop took too long');
    host.exit(1);
  }, graceMs + stopMs);
  hard.unref();
  await drain(wired, { config, logger });
  return 0;
}

async function drain(wired: Wired, { config, logger }: { config: RunConfig; logger: Logger }): Promise<void> {
  const graceMs = config.listener.shutdownGraceMs;
  const startedMs = performance.now();
  wired.health.drain();
  const lameDuckMs = config.mode.mode === 'dev' ? 0 : Math.min(graceMs * lameDuckShare, maxLameDuckMs);
  if (lameDuckMs > 0) await new Promise((resolve) => setTimeout(resolve, lameDuckMs));
  const { closed, forced } = await wired.listener.drain(Math.max(0, graceMs - lameDuckMs));
  await wired.drain?.();
  logger.info({ closed, forced, durationMs: Math.round(performance.now() - startedMs) }, 'drained');
}

/** Aborted by the first signal. A second one, and an error that nobody caught, end the process at once. */
function stopSignal(host: ProcessHost, logger: Logger): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    host.onSignal(signal, () => {
      if (controller.signal.aborted) return host.exit(1);
      logger.info({ signal }, 'stopping');
      controller.abort();
    });
  }
  host.onFatal((error) => {
    logger.error({ error }, 'an error was caught by nobody');
    host.exit(1);
  });
  return controller.signal;
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
