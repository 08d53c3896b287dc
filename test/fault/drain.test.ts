// SIGTERM during traffic that cannot be repeated: what is under way completes, nothing new begins, nothing is lost.
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '#mesh/ids';
import type { Part } from '../../bench/proofs/part.ts';
import { readLedger } from '../../bench/proofs/ledger.ts';
import { eventually, startOutageBed, type OutageBed } from './outage-bed.ts';

let bed: OutageBed;

beforeAll(async () => {
  bed = await startOutageBed();
});

afterAll(async () => bed[Symbol.asyncDispose]());

afterEach(async () => {
  for (const name of ['sts', 'gateway'] as const) {
    const part = bed.installation.part(name);
    if (!part.isRunning()) await part.start();
  }
  await bed.recovered();
});

const exit = async (part: Part): Promise<unknown> => part.exited();

async function takesConnections(url: string): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port) });
  try {
    return await new Promise((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}

interface Stream {
  readonly requestId: string;
  /** What has arrived so far. */
  text(): string;
  /** Resolves to what has arrived in the end, or to how it broke. */
  readonly ended: Promise<string>;
}

async function openStream(): Promise<{ stream: Stream; upstream: ServerResponse }> {
  const opened = new Promise<ServerResponse>((resolve) => {
    bed.zone.upstream.handle = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('first;');
      resolve(response);
    };
  });
  const requestId = newId();
  const response = await request(`${bed.installation.urls.gateway}${bed.newPath()}`, {
    dispatcher: bed.zone.dispatcher,
    headers: {
      authorization: `Bearer ${bed.mandate}`,
      'x-caracal-resource': bed.zone.facts.resource,
      'x-request-id': requestId,
    },
  });
  expect(response.statusCode).toBe(200);
  let text = '';
  const ended = (async () => {
    for await (const chunk of response.body) text += String(chunk);
    return text;
  })().catch((error: unknown) => `broken: ${String(error)}`);
  const upstream = await opened;
  bed.zone.upstream.handle = (incoming, answer) => {
    incoming.resume().once('end', () => answer.writeHead(200).end('{"ok":true}'));
  };
  await eventually('the first chunk', async () => text === 'first;');
  return { stream: { requestId, text: () => text, ended }, upstream };
}

/** Sends a body slowly; `finish` sends the rest and gives the answer's status. */
function startUpload(): { requestId: string; finish: () => Promise<number> } {
  const requestId = newId();
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const body = Readable.from(
    (async function* () {
      yield Buffer.from('one;');
      await held;
      yield Buffer.from('two');
    })(),
  );
  const answered = request(`${bed.installation.urls.gateway}/reports`, {
    method: 'POST',
    dispatcher: bed.zone.dispatcher,
    headers: {
      authorization: `Bearer ${bed.mandate}`,
      'x-caracal-resource': bed.zone.facts.resource,
      'x-request-id': requestId,
    },
    body,
  }).then(async (response) => {
    await response.body.dump();
    return response.statusCode;
  });
  return {
    requestId,
    finish: async () => {
      release();
      return answered;
    },
  };
}

async function evidenceOf(requestId: string): Promise<string[]> {
  const events = (await readLedger(bed.zone)).filter((event) => event.requestId === requestId);
  return events
    .map(({ type, decision, metadata }) => [type, decision, metadata['reason']].filter(Boolean).join(' '))
    .toSorted();
}

async function expectWholeEvidence(requestId: string): Promise<void> {
  const whole = ['gateway.decision allow', 'gateway.outcome'];
  await eventually('its evidence', async () => (await evidenceOf(requestId)).length >= whole.length);
  expect(await evidenceOf(requestId)).toEqual(whole);
}

describe('SIGTERM of the Gateway', () => {
  it('during a streamed answer and an upload: both complete, nothing new begins, exit code 0, evidence of both', async () => {
    const gateway = bed.installation.part('gateway');
    const { stream, upstream } = await openStream();
    const upload = startUpload();
    await eventually('the upload', async () => (bed.zone.upstream.seen.get(upload.requestId) ?? 0) > 0);
    gateway.signal('SIGTERM');
    await eventually(
      'refusal of new connections',
      async () => !(await takesConnections(bed.installation.urls.gateway)),
    );
    upstream.write('second;');
    await eventually('the second chunk', async () => stream.text() === 'first;second;');
    expect(await upload.finish()).toBe(200);
    upstream.end('last');
    expect(await stream.ended).toBe('first;second;last');
    expect(await exit(gateway)).toEqual({ code: 0, signal: null });
    await gateway.start();
    await expectWholeEvidence(stream.requestId);
    await expectWholeEvidence(upload.requestId);
  });

  it('under load: every call is answered by the upstream or refused, and all evidence is there', async () => {
    const gateway = bed.installation.part('gateway');
    bed.zone.upstream.handle = (_request, response) => {
      setTimeout(() => response.writeHead(200).end('{"ok":true}'), 50);
    };
    let isOver = false;
    const load = Array.from({ length: 6 }, async () => {
      while (!isOver) {
        await bed.call(bed.mandate, { path: bed.newPath() });
        await sleep(5);
      }
    });
    await sleep(300);
    gateway.signal('SIGTERM');
    expect(await exit(gateway)).toEqual({ code: 0, signal: null });
    isOver = true;
    await Promise.all(load);
    await gateway.start();
    await bed.recovered();
    await bed.settled();
  }, 120_000);
});

describe('SIGTERM of the STS', () => {
  it('during calls: the Gateway goes on by what it holds, exit code 0, no evidence is lost', async () => {
    const sts = bed.installation.part('sts');
    const { stream, upstream } = await openStream();
    const asking = Array.from({ length: 20 }, async () => bed.call(bed.mandate, { path: bed.newPath() }));
    sts.signal('SIGTERM');
    for (const { status, reason } of await Promise.all(asking)) {
      expect(['200 served', '503 sts_unavailable', '503 draining']).toContain(`${status} ${reason}`);
    }
    expect(await exit(sts)).toEqual({ code: 0, signal: null });
    upstream.end('last');
    expect(await stream.ended).toBe('first;last');
    await sts.start();
    await bed.recovered();
    await bed.settled();
    await expectWholeEvidence(stream.requestId);
  }, 120_000);

  it('lets the barrier go on without it, because it has left in order', async () => {
    const session = await bed.startSession();
    const sts = bed.installation.part('sts');
    sts.signal('SIGTERM');
    expect(await exit(sts)).toEqual({ code: 0, signal: null });
    expect(await bed.endSession(session, { timeoutMs: 5000 })).toBe(true);
  });
});
