// The life of a service: what is opened and closed in which order, and which exit code it ends with.
import { describe, expect, test } from 'vitest';
import { ConfigError } from '#mesh/config';
import { createHealth } from '#mesh/health';
import type { Listener } from '#mesh/listener';
import type { ProcessHost } from './process-host.ts';
import { runService } from './run-service.ts';
import type { RunConfig, Wired } from './run-service.ts';

interface FakeHost extends ProcessHost {
  readonly exits: number[];
  readonly errors: string[];
  signal(): void;
  crash(error: unknown): void;
}

function fakeHost(): FakeHost {
  const signals: (() => void)[] = [];
  const fatal: ((error: unknown) => void)[] = [];
  const exits: number[] = [];
  const errors: string[] = [];
  return {
    exits,
    errors,
    onSignal: (name, listener) => void (name === 'SIGTERM' && signals.push(listener)),
    onFatal: (listener) => void fatal.push(listener),
    writeError: (text) => void errors.push(text),
    writeLog: (line) => void errors.push(line),
    exit: (code) => void exits.push(code),
    signal: () => signals.forEach((listener) => listener()),
    crash: (error) => fatal.forEach((listener) => listener(error)),
  };
}

const config: RunConfig = { mode: { mode: 'dev' }, listener: { shutdownGraceMs: 200, logLevel: 'error' } };

function wired(steps: string[], overrides: Partial<Wired> = {}): Wired {
  const health = createHealth({ checks: {} });
  const listener: Listener = {
    connectionCount: 0,
    reloadTls: () => false,
    listen: async () => {
      steps.push('listen');
      return { port: 1 };
    },
    drain: async (graceMs) => {
      steps.push(`drain ${health.isDraining() ? 'not ready' : 'ready'} ${graceMs}`);
      return { closed: 0, forced: 0 };
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
  return {
    health,
    listener,
    start: async () => void steps.push('start'),
    drain: async () => void steps.push('hand over'),
    [Symbol.asyncDispose]: async () => void steps.push('dispose'),
    ...overrides,
  };
}

const base = { name: 'audit', env: {}, load: () => config } as const;

describe('runService', () => {
  test('starts, listens, and on a signal drains and disposes in reverse order', async () => {
    const host = fakeHost();
    const steps: string[] = [];
    const running = runService({ ...base, host, wire: () => wired(steps) });
    await expect.poll(() => steps).toContain('listen');
    host.signal();
    await running;
    expect(steps).toEqual(['start', 'listen', 'drain not ready 200', 'hand over', 'dispose']);
    expect(host.exits).toEqual([0]);
  });

  test('refuses a configuration with all its problems and 78', async () => {
    const host = fakeHost();
    const load = (): RunConfig => {
      throw new ConfigError(['A is missing', 'B is malformed']);
    };
    await runService({ ...base, host, load, wire: () => wired([]) });
    expect(host.exits).toEqual([78]);
    expect(host.errors.join('')).toMatch(/A is missing[\s\S]*B is malformed/);
  });

  test('ends with 1, disposed, when starting fails', async () => {
    const host = fakeHost();
    const steps: string[] = [];
    const start = async () => {
      throw new Error('no database');
    };
    await runService({ ...base, host, wire: () => wired(steps, { start }) });
    expect(steps).toEqual(['dispose']);
    expect(host.exits).toEqual([1]);
    expect(host.errors.join('')).toContain('no database');
  });

  test('ends with 1 when wiring fails', async () => {
    const host = fakeHost();
    await runService({ ...base, host, wire: () => Promise.reject(new Error('no file')) });
    expect(host.exits).toEqual([1]);
  });

  test('a signal while starting stops before the port opens', async () => {
    const host = fakeHost();
    const steps: string[] = [];
    const start = async () => {
      host.signal();
      steps.push('start');
    };
    await runService({ ...base, host, wire: () => wired(steps, { start }) });
    expect(steps).not.toContain('listen');
    expect(steps.at(-1)).toBe('dispose');
    expect(host.exits).toEqual([0]);
  });

  test('a second signal, and an error caught by nobody, end at once', async () => {
    const host = fakeHost();
    const steps: string[] = [];
    let finish = () => {};
    const drain = async () => await new Promise<void>((resolve) => (finish = resolve));
    const running = runService({ ...base, host, wire: () => wired(steps, { drain }) });
    await expect.poll(() => steps).toContain('listen');
    host.signal();
    await expect.poll(() => steps.length).toBe(3);
    host.signal();
    expect(host.exits).toEqual([1]);
    host.crash(new Error('x'));
    expect(host.exits).toEqual([1, 1]);
    finish();
    await running;
  });
});
