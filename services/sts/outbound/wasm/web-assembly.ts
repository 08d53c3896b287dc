// The platform's WebAssembly, as far as it is used here: Node has it, the compiler's libraries name it for browsers only.

/** Compiled code; it may be sent to a thread, and both then hold the same. */
export interface WasmModule {
  readonly [Symbol.toStringTag]: 'WebAssembly.Module';
}

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  /** By so many pages of 64 KiB; throws beyond the maximum. */
  grow(pages: number): number;
}

export interface WasmInstance {
  readonly exports: Readonly<Record<string, unknown>>;
}

interface Platform {
  /** Off the calling thread. */
  compile(bytes: Uint8Array): Promise<WasmModule>;
  readonly Memory: new (size: { initial: number; maximum: number }) => WasmMemory;
  readonly Instance: new (module: WasmModule, imports: Readonly<Record<string, object>>) => WasmInstance;
}

export const wasm = Reflect.get(globalThis, 'WebAssembly') as Platform;
