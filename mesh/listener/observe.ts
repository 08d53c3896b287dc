/**
 * What the listener counts: connections, what it turned away, and how long its certificate lasts.
 * It stands alone so that the names of these series are decided in one place for all services.
 */
import type { Connection } from '#mesh/identity';
import type { Metrics } from '#mesh/telemetry';

export interface ListenerMetrics {
  opened(connection: Connection): void;
  closed(connection: Connection): void;
  refused(why: string): void;
  unreadable(reason: string): void;
  certificateNotAfter(notAfterMs: number): void;
}

export function listenerMetrics(metrics: Metrics): ListenerMetrics {
  const connections = metrics.gauge({
    name: 'connections',
    help: 'Open connections by protocol.',
    labels: ['protocol'],
  });
  const opened = metrics.counter({
    name: 'connections_total',
    help: 'Connections by protocol and by what their certificate said.',
    labels: ['protocol', 'peer'],
  });
  const refused = metrics.counter({
    name: 'connections_refused_total',
    help: 'Connections that were closed before any request.',
    labels: ['reason'],
  });
  const unreadable = metrics.counter({
    name: 'requests_unreadable_total',
    help: 'Requests that no handler could answer.',
    labels: ['reason'],
  });
  const expiry = metrics.gauge({
    name: 'certificate_not_after_seconds',
    help: 'When the certificate of this port expires, seconds since the epoch.',
  });
  return {
    opened: ({ protocol, peer }) => {
      connections.add(1, { protocol });
      opened.inc({ protocol, peer: peer.kind });
    },
    closed: ({ protocol }) => connections.add(-1, { protocol }),
    refused: (reason) => refused.inc({ reason }),
    unreadable: (reason) => unreadable.inc({ reason }),
    certificateNotAfter: (notAfterMs) => expiry.set(Math.floor(notAfterMs / 1000)),
  };
}
