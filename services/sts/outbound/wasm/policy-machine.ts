// One compiled policy set inside a thread: memory, the few functions the compiled code calls in its host, and one
// evaluation after another on a heap that is put back each time (OPA's WebAssembly interface, version 1.3).
import { giveUp } from '../../domain/compiled-modules.ts';
import { hostFunction } from './host-functions.ts';
import { wasm } from './web-assembly.ts';
import type { WasmInstance, WasmMemory, WasmModule } from './web-assembly.ts';

/** Everything an evaluation may use is a number to WebAssembly: an address, a length or an identifier. */
type Call = (...args: readonly number[]) => number;

interface Instance {
  readonly memory: WasmMemory;
  readonly evaluate: Call;
  readonly names: ReadonlyMap<number, string>;
  readonly dataAddress: number;
  readonly heapStart: number;
}

export interface Machine {
  /** The results by policy, JSON unless there is a set in them; undefined when OPA's server has to say. */
  evaluate(inputJson: string): string | undefined;
}

const pageBytes = 65_536;
/** What the library of compiled code takes before anything is evaluated, twice over. */
const initialPages = 8;
/** 32 MiB, far more than a decision needs; OPA's server has its own bound. */
const maximumPages = 512;
/** An instance whose memory has grown beyond this is made anew, because memory of WebAssembly never shrinks. */
const keptPages = 32;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function textAt(memory: WasmMemory, address: number): string {
  const bytes = new Uint8Array(memory.buffer);
  return decoder.decode(bytes.subarray(address, bytes.indexOf(0, address)));
}

function exported(instance: WasmInstance, name: string): Call {
  const found = instance.exports[name];
  if (typeof found !== 'function') throw new Error(`compiled policy without ${name}`);
  return found as Call;
}

function placeJson({ memory, allocate, parse }: { memory: WasmMemory; allocate: Call; parse: Call }) {
  return (json: string): number => {
    const bytes = encoder.encode(json);
    const address = allocate(bytes.length);
    new Uint8Array(memory.buffer).set(bytes, address);
    return parse(address, bytes.length);
  };
}

function instantiate(module: WasmModule): Instance {
  const memory = new wasm.Memory({ initial: initialPages, maximum: maximumPages });
  const names = new Map<number, string>();
  const builtin = (id: number, _context: number, ...addresses: readonly number[]): number => {
    const args = addresses.map((address): unknown => JSON.parse(textAt(memory, dump(address))));
    return place(JSON.stringify(hostFunction(names.get(id) ?? giveUp, args)));
  };
  const abort = (address: number): never => {
    throw new Error(textAt(memory, address));
  };
  const builtins = Object.fromEntries([0, 1, 2, 3, 4].map((arity) => [`opa_builtin${arity}`, builtin]));
  const instance = new wasm.Instance(module, {
    env: { memory, opa_abort: abort, opa_println: () => undefined, ...builtins },
  });
  const dump = exported(instance, 'opa_json_dump');
  const parse = exported(instance, 'opa_json_parse');
  const place = placeJson({ memory, allocate: exported(instance, 'opa_malloc'), parse });
  const declared = JSON.parse(textAt(memory, dump(exported(instance, 'builtins')()))) as Record<string, number>;
  for (const [name, id] of Object.entries(declared)) names.set(id, name);
  const dataAddress = place('{}');
  const heapStart = exported(instance, 'opa_heap_ptr_get')();
  return { memory, evaluate: exported(instance, 'opa_eval'), names, dataAddress, heapStart };
}

const alignment = 8;
/** As JSON a set would be an array in no order; in Rego's notation it is no JSON, and seen. */
const regoNotation = 1;

function run({ memory, evaluate, dataAddress, heapStart }: Instance, inputJson: string): string {
  const bytes = encoder.encode(inputJson);
  const missing = heapStart + bytes.length + pageBytes - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / pageBytes));
  new Uint8Array(memory.buffer).set(bytes, heapStart);
  const heap = Math.ceil((heapStart + bytes.length) / alignment) * alignment;
  return textAt(memory, evaluate(0, 0, dataAddress, heapStart, bytes.length, heap, regoNotation));
}

/** `{{"result":…}}`, a set of one, is what one entry point answers in Rego's notation; anything else is none. */
function resultOf(answer: string): string | undefined {
  const [head, tail] = ['{{"result":', '}}'];
  return answer.startsWith(head) && answer.endsWith(tail) ? answer.slice(head.length, -tail.length) : undefined;
}

/** A machine for the compiled set. The instance is made at the first question. */
export function createMachine(module: WasmModule): Machine {
  let instance: Instance | undefined;
  return {
    evaluate(inputJson) {
      instance ??= instantiate(module);
      const { memory } = instance;
      let whole = false;
      try {
        const result = resultOf(run(instance, inputJson));
        whole = true;
        return result;
      } catch {
        // Given up, in conflict, out of memory or of stack: what the server says about it counts.
        return undefined;
      } finally {
        // Whatever broke off in the middle left an instance nobody should trust.
        if (!whole || memory.buffer.byteLength > keptPages * pageBytes) instance = undefined;
      }
    },
  };
}
