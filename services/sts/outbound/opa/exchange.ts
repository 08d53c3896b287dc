// One request and its whole answer over a pool, at the level at which the library itself works: no body stream, no abort
// signal and no headers object for an answer of a few hundred bytes that is asked for thousands of times a second.
import type { Dispatcher } from 'undici';

export interface ExchangeLimits {
  /** From the call to the answer's last byte, the wait for a connection included. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

export interface WholeAnswer {
  readonly status: number;
  readonly text: string;
}

/** The time limit ended the exchange. */
export class TimeLimit extends Error {
  constructor() {
    super('no whole answer in time');
    this.name = 'TimeLimit';
  }
}

class Exchange implements Dispatcher.DispatchHandler {
  readonly #limits: ExchangeLimits;
  readonly #settle: (answer: WholeAnswer) => void;
  readonly #abandon: (error: Error) => void;
  readonly #timer: NodeJS.Timeout;
  readonly #chunks: Buffer[] = [];
  #size = 0;
  #status = 0;
  #controller: Dispatcher.DispatchController | undefined;
  #ended: Error | undefined;

  constructor(limits: ExchangeLimits, settle: (answer: WholeAnswer) => void, abandon: (error: Error) => void) {
    this.#limits = limits;
    this.#settle = settle;
    this.#abandon = abandon;
    this.#timer = setTimeout(() => this.fail(new TimeLimit()), limits.timeoutMs);
  }

  /** Rejects now, whether or not the request has a connection yet. */
  fail(error: Error): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    clearTimeout(this.#timer);
    this.#abandon(error);
    this.#controller?.abort(error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Thrown here, the request is taken back and its connection stays.
    if (this.#ended !== undefined) throw this.#ended;
    this.#controller = controller;
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.#status = status;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#size += chunk.length;
    if (this.#size > this.#limits.maxBytes) this.fail(new RangeError('answer too large'));
    else this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    if (this.#ended !== undefined) return;
    clearTimeout(this.#timer);
    const [first] = this.#chunks;
    const whole = first !== undefined && this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks);
    this.#settle({ status: this.#status, text: whole.toString('utf8') });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.fail(error);
  }
}

/** Rejects with TimeLimit, with RangeError for an answer that is too large, or with what the connection says. */
export function exchange(
  dispatcher: Dispatcher,
  request: Dispatcher.DispatchOptions,
  limits: ExchangeLimits,
): Promise<WholeAnswer> {
  return new Promise((settle, abandon) => {
    const handler = new Exchange(limits, settle, abandon);
    try {
      dispatcher.dispatch(request, handler);
    } catch (error) {
      handler.fail(error instanceof Error ? error : new Error('not dispatched', { cause: error }));
    }
  });
}
