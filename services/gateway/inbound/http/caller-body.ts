// The body of an incoming request as a stream of its own. Giving the request itself to a client would let that client
// destroy it, and with it the connection on which the caller still waits for an answer.
import { Readable } from 'node:stream';
import { fail } from '#mesh/failure';
import type { RawRequest } from '#mesh/identity';

export class CallerBody extends Readable {
  readonly #source: RawRequest;
  readonly #limitBytes: number;
  #bytes = 0;
  #ended = false;

  constructor(source: RawRequest, limitBytes: number) {
    super();
    this.#source = source;
    this.#limitBytes = limitBytes;
    source.on('data', this.#onData);
    source.on('end', this.#onEnd);
    source.on('close', this.#onClose);
    source.on('error', this.#onClose);
    source.pause();
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** True while more is to come from the caller and nothing that came waits to be read. */
  get awaitsCaller(): boolean {
    return !this.#ended && !this.destroyed && this.readableLength === 0;
  }

  override _read(): void {
    this.#source.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const source = this.#source;
    source.off('data', this.#onData);
    source.off('end', this.#onEnd);
    source.off('close', this.#onClose);
    // 'error' stays: a request that fails after nobody reads it any more must not end the process.
    done(error);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#limitBytes) this.destroy(fail('payload_too_large'));
    else if (!this.push(chunk)) this.#source.pause();
  };

  readonly #onEnd = (): void => {
    this.#ended = true;
    this.push(null);
  };

  readonly #onClose = (): void => {
    if (!this.#ended) this.destroy(fail('request_timeout', { privateDetail: 'the caller left within its body' }));
  };
}
