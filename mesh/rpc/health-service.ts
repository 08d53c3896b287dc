/**
 * grpc.health.v1 on top of the replica's health, so that gRPC probes and HTTP probes tell the same story.
 * It stands alone because Watch must end by itself when a drain begins, or it would hold the drain up.
 */
import type { ServiceImpl } from '@connectrpc/connect';
import { HealthCheckResponse_ServingStatus as Status } from '#gen/grpc/health/v1/health_pb';
import type { Health as HealthService } from '#gen/grpc/health/v1/health_pb';
import { fail } from '#mesh/failure';
import type { Health } from '#mesh/health';

/** How often a watcher's status is looked at again; readiness itself is bounded to two seconds. */
const watchMs = 2000;

type ServingStatus = typeof Status.SERVING | typeof Status.NOT_SERVING | typeof Status.SERVICE_UNKNOWN;

/** `names` are the services this port serves; the empty name means the replica as a whole. */
export function healthImplementation(
  health: Health,
  names: () => readonly string[],
): Partial<ServiceImpl<typeof HealthService>> {
  const isKnown = (service: string) => service === '' || names().includes(service);
  const status = async (): Promise<ServingStatus> => {
    const { ready } = await health.ready();
    return ready ? Status.SERVING : Status.NOT_SERVING;
  };
  return {
    check: async ({ service }) => {
      if (!isKnown(service)) throw fail('not_found');
      return { status: await status() };
    },
    list: async () => {
      const current = await status();
      return { statuses: Object.fromEntries(['', ...names()].map((name) => [name, { status: current }])) };
    },
    async *watch({ service }, { signal }) {
      // The protocol asks for SERVICE_UNKNOWN on an open stream here, not for an error.
      if (!isKnown(service)) yield { status: Status.SERVICE_UNKNOWN };
      let last: ServingStatus | undefined;
      while (!signal.aborted) {
        const current = isKnown(service) ? await status() : undefined;
        if (current !== undefined && current !== last) yield { status: current };
        last = current;
        if (health.isDraining()) return;
        await pause(health, signal);
      }
    },
  };
}

/** Until the next look, the drain, or the end of the call. */
async function pause(health: Health, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer);
      stopListening();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, watchMs);
    let stopListening = () => {};
    signal.addEventListener('abort', done, { once: true });
    stopListening = health.onDrain(done);
  });
}
