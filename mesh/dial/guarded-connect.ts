// Opens connections to one host and judges every address at the moment it is about to be dialled: what a name meant
// when it was checked says nothing about what it means now (DNS rebinding).
import { lookup as systemLookup } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { buildConnector } from 'undici';
import { judgeDestination, type Destination, type DestinationRules, type OwnAddresses } from '#mesh/egress';

export interface ResolvedAddress {
  readonly address: string;
  readonly family: number;
}

export type Resolve = (hostname: string) => Promise<readonly ResolvedAddress[]>;

/** Where a connection is meant to go. */
export interface DialTarget {
  /** scheme://host[:port] */
  readonly origin: string;
  /** Lower-case host without brackets. */
  readonly host: string;
  readonly port: number;
}

export interface GuardOptions {
  /** The installation's own endpoints as they are now. */
  readonly own: () => OwnAddresses;
  readonly rules: DestinationRules;
  /** The system's resolver unless given. */
  readonly resolve?: Resolve | undefined;
  /** More trust anchors than the system's, PEM. */
  readonly ca?: readonly string[] | undefined;
  readonly connectTimeoutMs: number;
}

/** The address may not be dialled. Nothing was sent. */
export class DestinationRefused extends Error {
  readonly rule: string;

  constructor(rule: string) {
    super('the destination is refused');
    this.name = 'DestinationRefused';
    this.rule = rule;
  }
}

const systemResolve: Resolve = async (hostname) => await systemLookup(hostname, { all: true });

// A host with more addresses than this is one we do not need all of, and each is judged.
const maxAddresses = 32;

type Judge = (address: string) => DestinationRefused | undefined;

function createJudge({ origin, host, port }: DialTarget, options: GuardOptions): Judge {
  const encrypted = !origin.startsWith('http:');
  return (address) => {
    const destination: Destination = { host, port, address, encrypted };
    const verdict = judgeDestination(destination, options.own(), options.rules);
    return verdict.kind === 'refused' ? new DestinationRefused(verdict.rule) : undefined;
  };
}

// One unsafe address refuses the name: whoever answers for it has shown what it is for.
async function safeAddresses(hostname: string, resolve: Resolve, judge: Judge): Promise<readonly ResolvedAddress[]> {
  const found = (await resolve(hostname)).slice(0, maxAddresses);
  for (const { address } of found) {
    const refused = judge(address);
    if (refused !== undefined) throw refused;
  }
  if (found.length === 0) throw new Error('the name has no address');
  return found;
}

function createLookup(resolve: Resolve, judge: Judge): LookupFunction {
  async function answer(hostname: string, wantsAll: boolean, callback: Parameters<LookupFunction>[2]): Promise<void> {
    let found: readonly ResolvedAddress[];
    try {
      found = await safeAddresses(hostname, resolve, judge);
    } catch (error) {
      callback(error as NodeJS.ErrnoException, '');
      return;
    }
    const [first] = found;
    if (wantsAll || first === undefined) callback(null, [...found]);
    else callback(null, first.address, first.family);
  }
  return (hostname, { all }, callback) => void answer(hostname, all === true, callback);
}

/** A connector for one host. `http2` also offers (TLS) or assumes (plaintext) HTTP/2. */
export function createGuardedConnect(
  target: DialTarget,
  http2: boolean,
  options: GuardOptions,
): buildConnector.connector {
  const judge = createJudge(target, options);
  const plaintextHttp2 = http2 && target.origin.startsWith('http:');
  const connect = buildConnector({
    lookup: createLookup(options.resolve ?? systemResolve, judge),
    timeout: options.connectTimeoutMs,
    allowH2: http2,
    preferH2: http2,
    keepAlive: true,
    ...(options.ca === undefined ? {} : { ca: [...options.ca] }),
  });
  return (wanted, callback) => {
    // No lookup happens for a literal address.
    const refused = isIP(target.host) === 0 ? undefined : judge(target.host);
    if (refused !== undefined) return callback(refused, null);
    connect(wanted, (error, socket) => {
      if (error !== null || socket === null) return callback(error ?? new Error('no connection'), null);
      // What was really dialled, should a proxy of the platform or a resolver behind ours have changed it.
      const late = judge(socket.remoteAddress ?? '');
      if (late !== undefined) {
        socket.destroy();
        return callback(late, null);
      }
      // Without TLS nothing negotiates HTTP/2: it is known beforehand (RFC 9113 §3.3), and the client reads it here.
      if (plaintextHttp2) Object.assign(socket, { alpnProtocol: 'h2' });
      return callback(null, socket);
    });
  };
}
