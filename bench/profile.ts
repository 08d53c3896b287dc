// Samples a running Node process over its inspector and names where its time goes. The process is not restarted, so what is
// profiled is what was measured.
import { setTimeout as sleep } from 'node:timers/promises';

export interface CostlyPlace {
  /** Function and file, as the engine names them. */
  readonly place: string;
  /** Share of the sampled time that was not idle, 0 to 1. */
  readonly share: number;
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
}

interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples?: readonly number[];
  readonly timeDeltas?: readonly number[];
}

/** The port that Node opens for its inspector on SIGUSR1. */
const inspectorUrl = 'http://127.0.0.1:9229/json/list';

/** The costliest places of a process over so many seconds, by their own time. */
export async function profileProcess(pid: number, seconds: number): Promise<CostlyPlace[]> {
  process.kill(pid, 'SIGUSR1');
  const socket = new WebSocket(await inspectorAddress());
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true });
    socket.addEventListener('error', () => reject(new Error('the inspector did not answer')), { once: true });
  });
  const call = commander(socket);
  await call('Profiler.enable');
  await call('Profiler.setSamplingInterval', { interval: 500 });
  await call('Profiler.start');
  await sleep(seconds * 1000);
  const { profile } = (await call('Profiler.stop')) as { profile: Profile };
  // Frees the port for the next process that is profiled.
  const close = "process.getBuiltinModule('node:inspector').close()";
  await Promise.race([call('Runtime.evaluate', { expression: close }), sleep(500)]);
  socket.close();
  return costliest(profile);
}

async function inspectorAddress(): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const [target] = (await (await fetch(inspectorUrl)).json()) as { webSocketDebuggerUrl: string }[];
      if (target !== undefined) return target.webSocketDebuggerUrl;
    } catch (error) {
      if (attempt > 50) throw error;
    }
    await sleep(100);
  }
}

function commander(socket: WebSocket) {
  const waiting = new Map<number, (result: unknown) => void>();
  let last = 0;
  socket.addEventListener('message', ({ data }) => {
    const message = JSON.parse(String(data)) as { id?: number; result?: unknown };
    if (message.id !== undefined) waiting.get(message.id)?.(message.result);
  });
  return async (method: string, params: object = {}): Promise<unknown> => {
    const id = ++last;
    socket.send(JSON.stringify({ id, method, params }));
    return await new Promise((resolve) => waiting.set(id, resolve));
  };
}

/** Time in which the process had nothing to do. */
const notWork = new Set(['(idle)', '(program)', '(root)']);

function costliest({ nodes, samples = [], timeDeltas = [] }: Profile): CostlyPlace[] {
  const names = new Map(nodes.map((node) => [node.id, nameOf(node)]));
  const spent = new Map<string, number>();
  let total = 0;
  for (const [at, id] of samples.entries()) {
    const name = names.get(id) ?? '';
    const delta = timeDeltas[at] ?? 0;
    if (notWork.has(name)) continue;
    total += delta;
    spent.set(name, (spent.get(name) ?? 0) + delta);
  }
  return [...spent]
    .map(([place, time]) => ({ place, share: Math.round((time / total) * 1000) / 1000 }))
    .toSorted((a, b) => b.share - a.share)
    .slice(0, 10);
}

function nameOf({ callFrame }: ProfileNode): string {
  const { functionName, url, lineNumber } = callFrame;
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (url === '') return name;
  const file = url.replace(/^file:\/\//, '').replace(/^.*?\/((?:node_modules|mesh|services)\/)/, '$1');
  return `${name} ${file}:${lineNumber + 1}`;
}
