/**
 * Tells HTTP/2 with prior knowledge from HTTP/1.1 on a plaintext socket by its first bytes.
 * It stands alone because three bytes must be waited for (PROPFIND begins with PR), under a deadline of its own.
 */
import type { Socket } from 'node:net';

/** RFC 9113 §3.4: the client preface begins `PRI * HTTP/2.0`; no HTTP/1.1 method has the name PRI. */
const preface = Buffer.from('PRI', 'latin1');

export interface PrefaceOutcome {
  /** `late` is a client that sent something undecided and stopped; `gone` one that sent nothing or closed. */
  readonly kind: 'h2' | 'http/1.1' | 'late' | 'gone';
  readonly head: Buffer;
}

/**
 * Calls `decided` once. The socket is paused then, with `head` taken out of it; the caller puts it back where the
 * protocol's server can read it.
 */
export function sniffPreface(socket: Socket, deadlineMs: number, decided: (outcome: PrefaceOutcome) => void): void {
  let head: Buffer = Buffer.alloc(0);
  const timer = setTimeout(() => finish(head.length === 0 ? 'gone' : 'late'), deadlineMs);
  const finish = (kind: PrefaceOutcome['kind']) => {
    clearTimeout(timer);
    socket.off('data', onData);
    socket.off('close', onEnd);
    socket.off('end', onEnd);
    socket.pause();
    decided({ kind, head });
  };
  const onData = (chunk: Buffer) => {
    head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
    const seen = Math.min(head.length, preface.length);
    if (!head.subarray(0, seen).equals(preface.subarray(0, seen))) finish('http/1.1');
    else if (seen === preface.length) finish('h2');
  };
  const onEnd = () => finish('gone');
  socket.on('data', onData);
  socket.once('end', onEnd);
  socket.once('close', onEnd);
}
