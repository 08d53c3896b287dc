/** Decides on which ports a stack listens: the familiar ones when all are free, else free ones; kept from then on. */
import { existsSync, readFileSync } from 'node:fs';
import { ports as seedPorts, services } from '#mesh/topology';
import { allOrFree, findFreePort, isPortFree } from '../components/ports.ts';
import { writePrivate } from '../secrets.ts';

/** Parts that have no familiar port, in the order in which `CARACAL_PORT_BASE` counts them after the services. */
const otherParts = ['upstream', 'postgres', 'redis', 'opa'] as const;
const allParts = [...services, ...otherParts] as const;

export type PortName = (typeof allParts)[number];
export type StackPorts = Record<PortName, number>;

/** The highest base that leaves room for every part. */
const highestBase = 65_535 - allParts.length + 1;
/** Below are the ports that only root may open. */
const lowestBase = 1_024;

export interface ChosenPorts {
  ports: StackPorts;
  /** `seed`: the familiar ones; `free`: others, because one of those was taken; `kept`: as before; `base`: as told. */
  origin: 'seed' | 'free' | 'kept' | 'base';
}

/**
 * Chooses while nothing of this stack runs. Rejects when the base is malformed or one of its ports is taken: what was
 * asked for by number is not silently replaced.
 */
export async function choosePorts(path: string, base: string | undefined): Promise<ChosenPorts> {
  const chosen = base === undefined || base === '' ? await keptOrNew(path) : await fromBase(base);
  writePrivate(path, `${JSON.stringify(chosen.ports, null, 2)}\n`);
  return chosen;
}

async function fromBase(text: string): Promise<ChosenPorts> {
  const base = Number(text);
  if (!Number.isInteger(base) || base < lowestBase || base > highestBase) {
    throw new Error(`CARACAL_PORT_BASE must be a number from ${lowestBase} to ${highestBase}`);
  }
  const ports = Object.fromEntries(allParts.map((name, index) => [name, base + index])) as StackPorts;
  for (const [name, port] of Object.entries(ports)) {
    if (!(await isPortFree(port))) throw new Error(`port ${port} (${name}) is taken; choose another CARACAL_PORT_BASE`);
  }
  return { ports, origin: 'base' };
}

async function keptOrNew(path: string): Promise<ChosenPorts> {
  const kept = readKept(path);
  if (kept !== undefined) {
    const free = await Promise.all(services.map((service) => isPortFree(kept[service])));
    if (free.every(Boolean)) return { ports: { ...kept, ...(await otherPorts(kept)) }, origin: 'kept' };
  }
  const { ports: chosen, asWanted } = await allOrFree(services.map((service) => seedPorts[service]));
  const servicePorts = Object.fromEntries(services.map((service, index) => [service, chosen[index] ?? 0]));
  const ports = { ...servicePorts, ...(await otherPorts(kept)) } as StackPorts;
  return { ports, origin: asWanted ? 'seed' : 'free' };
}

/** Each of these may change by itself: nothing outside the stack remembers it. */
async function otherPorts(kept: StackPorts | undefined): Promise<Partial<StackPorts>> {
  const chosen: Partial<StackPorts> = {};
  for (const name of otherParts) {
    const before = kept?.[name];
    let port = before !== undefined && (await isPortFree(before)) ? before : await findFreePort();
    while (Object.values(chosen).includes(port)) port = await findFreePort();
    chosen[name] = port;
  }
  return chosen;
}

function readKept(path: string): StackPorts | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const value = JSON.parse(readFileSync(path, 'utf8')) as Partial<StackPorts>;
    return allParts.every((name) => Number.isInteger(value[name])) ? (value as StackPorts) : undefined;
  } catch {
    return undefined;
  }
}
