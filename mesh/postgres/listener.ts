// One connection that listens for all channels of a process and comes back by itself. It stands alone because a connection
// that waits cannot be one of the pool's.
import type { Logger } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';
import type { Client } from 'pg';
import { endConnection, openConnection, type ConnectionSettings } from './connections.ts';

/** Called with the payload of each notification, and with '' after every reconnection, because some may have been missed. */
export type NotificationHandler = (payload: string) => void;

export interface Listener extends AsyncDisposable {
  on(channel: string, handler: NotificationHandler): AsyncDisposable;
}

export interface ListenerOptions {
  readonly settings: ConnectionSettings;
  readonly clock: Clock;
  readonly logger: Logger;
}

const firstPauseMs = 100;
const longestPauseMs = 5_000;

/** Which handlers wait for which channel; shared by the connection that comes and goes. */
class Channels {
  readonly #handlers = new Map<string, Set<NotificationHandler>>();

  /** True when the channel is new. */
  add(channel: string, handler: NotificationHandler): boolean {
    const known = this.#handlers.get(channel);
    if (known === undefined) this.#handlers.set(channel, new Set([handler]));
    else known.add(handler);
    return known === undefined;
  }

  remove(channel: string, handler: NotificationHandler): void {
    this.#handlers.get(channel)?.delete(handler);
  }

  names(): string[] {
    return [...this.#handlers.keys()];
  }

  tell(channel: string, payload: string): void {
    for (const handler of this.#handlers.get(channel) ?? []) handler(payload);
  }
}

/** Resolves with the error that ended the connection, or with undefined when `stopped` fires first. */
async function untilEnded(ended: Promise<Error>, stopped: AbortSignal): Promise<Error | undefined> {
  const aborted = Promise.withResolvers<undefined>();
  const onAbort = (): void => aborted.resolve(undefined);
  stopped.addEventListener('abort', onAbort);
  if (stopped.aborted) onAbort();
  try {
    return await Promise.race([ended, aborted.promise]);
  } finally {
    stopped.removeEventListener('abort', onAbort);
  }
}

/** Connects when the first channel is asked for. A notification is a hint: whoever needs certainty polls as well. */
export function createListener({ settings, clock, logger }: ListenerOptions): Listener {
  const channels = new Channels();
  const stopped = new AbortController();
  let client: Client | undefined;
  let running: Promise<void> | undefined;

  async function connectOnce(): Promise<void> {
    const ended = Promise.withResolvers<Error>();
    const opened = await openConnection(settings, '-listen', ended.resolve);
    try {
      opened.on('notification', ({ channel, payload }) => channels.tell(channel, payload ?? ''));
      client = opened;
      for (const channel of channels.names()) await opened.query(`LISTEN ${channel}`);
      for (const channel of channels.names()) channels.tell(channel, '');
      const reason = await untilEnded(ended.promise, stopped.signal);
      if (reason !== undefined) logger.warn({ error: reason.message }, 'the listening connection was lost');
    } finally {
      client = undefined;
      await endConnection(opened);
    }
  }

  async function run(): Promise<void> {
    let pauseMs = firstPauseMs;
    while (!stopped.signal.aborted) {
      try {
        await connectOnce();
        pauseMs = firstPauseMs;
      } catch (error) {
        logger.warn({ error: error instanceof Error ? error.message : String(error) }, 'cannot listen to the database');
        pauseMs = Math.min(pauseMs * 2, longestPauseMs);
      }
      await clock.sleep(pauseMs, stopped.signal).catch(() => {});
    }
  }

  return {
    on(channel, handler) {
      if (!/^[a-z_]{1,63}$/.test(channel)) throw new Error('a channel is at most 63 lower-case letters and _');
      // A failure ends the connection, and the next one listens to every channel.
      if (channels.add(channel, handler)) client?.query(`LISTEN ${channel}`).catch(() => {});
      running ??= run();
      return { [Symbol.asyncDispose]: async () => channels.remove(channel, handler) };
    },
    [Symbol.asyncDispose]: async () => {
      stopped.abort();
      await running;
    },
  };
}
