// Opens the way out of the STS by its settings: which hosts may be private, which on loopback, and what is the
// installation itself.
import { readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';
import { createOwnAddresses, type Resolve } from '#mesh/dial';
import { parseHostEntries } from '#mesh/egress';
import type { Logger } from '#mesh/telemetry';
import type { Egress } from '../../ports/egress.ts';
import { createEgress } from './egress-undici.ts';

export interface OpenEgressOptions {
  readonly settings: {
    readonly upstreamHostDenylist: readonly string[];
    readonly upstreamDevLoopbackHosts: readonly string[];
    readonly privateEgressHosts: readonly string[];
    readonly egressCaFile: string | undefined;
  };
  /** Every URL this process was given: what is behind them is never called for a tenant. */
  readonly ownUrls: readonly (string | undefined)[];
  readonly ownPort: number;
  readonly logger: Pick<Logger, 'warn'>;
  readonly resolve?: Resolve | undefined;
}

export interface OpenEgress extends AsyncDisposable {
  readonly egress: Egress;
}

/** Names of the installation are resolved anew this often: a database that fails over gets another address. */
const refreshMs = 5000;

export function openEgress({ settings, ownUrls, ownPort, logger, resolve }: OpenEgressOptions): OpenEgress {
  const denied = parseHostEntries(settings.upstreamHostDenylist);
  const urls = ownUrls.filter((url) => url !== undefined);
  const own = createOwnAddresses({ urls, denied, ownPorts: [ownPort], logger });
  const { egressCaFile } = settings;
  const egress = createEgress({
    denied,
    own: () => own.current(),
    rules: {
      loopbackHosts: parseHostEntries(settings.upstreamDevLoopbackHosts),
      privateHosts: parseHostEntries(settings.privateEgressHosts),
      plaintext: 'loopback',
    },
    resolve,
    ca: egressCaFile === undefined ? undefined : [...rootCertificates, readFileSync(egressCaFile, 'utf8')],
  });
  // Until the installation's own names are known nothing may be called.
  const known = own.refresh();
  const timer = setInterval(() => void own.refresh(), refreshMs);
  timer.unref();
  return {
    egress: {
      async request(request) {
        await known;
        return egress.request(request);
      },
    },
    [Symbol.asyncDispose]: async () => clearInterval(timer),
  };
}
