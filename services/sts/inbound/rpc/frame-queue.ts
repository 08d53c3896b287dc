// Frames on their way out: pushed from anywhere, read by the one stream, ended once.
import type { AuthorizeResponse } from '#gen/caracal/sts/v1/sts_pb';

export class FrameQueue implements AsyncIterable<AuthorizeResponse> {
  readonly #frames: AuthorizeResponse[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  push(frame: AuthorizeResponse): void {
    if (this.#ended) return;
    this.#frames.push(frame);
    this.#wake?.();
  }

  /** What was pushed before is still read. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<AuthorizeResponse> {
    for (;;) {
      for (let frame = this.#frames.shift(); frame; frame = this.#frames.shift()) yield frame;
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}
