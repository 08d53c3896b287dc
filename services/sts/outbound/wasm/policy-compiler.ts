// Compiles one policy set to WebAssembly by OPA's own compiler, as a process of its own, and keeps what came out: a file is
// read again in a millisecond where compiling takes forty.
import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, constants, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { canonicalJson, sha256Hex } from '#mesh/canonical';
import { LRUCache } from 'lru-cache';
import { compiledModules, entryPoint, hostFunctions } from '../../domain/compiled-modules.ts';
import { permittedBuiltins } from '../../domain/rego-builtins.ts';
import { createZoneTurns } from '../../domain/zone-turns.ts';
import type { ModuleSet } from '../opa/module-set.ts';
import { wasm } from './web-assembly.ts';
import type { WasmModule } from './web-assembly.ts';

export interface PolicyCompiler extends AsyncDisposable {
  /** Undefined when OPA cannot compile it, or the zone has too many under way. */
  compile(set: ModuleSet): Promise<WasmModule | undefined>;
}

/** Forty milliseconds are usual for five policies; what takes this long was written to. */
const compileTimeoutMs = 5000;
/** The library alone is 130 KiB; five policies add 30. */
const largestModuleBytes = 4 * 1024 * 1024;
/** About 60 KiB each, packed as OPA packs them. */
const keptFiles = 2048;
const waitingPerZone = 4;
const maxWaiting = 4096;
const maxOutputBytes = 1024 * 1024;

const run = promisify(execFile);
const unpack = promisify(gunzip);

/** Whoever waits for a compilation waits at a first use; everyone else's decisions come first. */
function giveWay(pid: number | undefined): void {
  try {
    if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_LOW);
  } catch {
    // It has ended already, or the platform does not let us.
  }
}

const headerBytes = 512;
const nameEnd = 100;
const sizeAt = { start: 124, end: 136 };
const octal = 8;

/** The member of a tar archive whose name ends so (POSIX ustar). */
function memberOf(archive: Buffer, ending: string): Buffer | undefined {
  for (let at = 0; at + headerBytes <= archive.length;) {
    const name = archive.toString('latin1', at, at + nameEnd).replace(/\0.*$/s, '');
    const size = Number.parseInt(archive.toString('latin1', at + sizeAt.start, at + sizeAt.end), octal) || 0;
    const start = at + headerBytes;
    if (name.endsWith(ending)) return archive.subarray(start, start + size);
    at = start + Math.ceil(size / headerBytes) * headerBytes;
  }
  return undefined;
}

interface Capabilities {
  readonly builtins: readonly { readonly name: string }[];
}

/** What policies may call, the functions of the host and what the compiler itself needs: nothing else compiles. */
function narrowed(all: Capabilities): object {
  const own = hostFunctions.map(({ name, arity }) => ({
    name,
    decl: { type: 'function', args: Array.from({ length: arity }, () => ({ type: 'any' })), result: { type: 'any' } },
  }));
  return {
    ...all,
    builtins: [...all.builtins.filter(({ name }) => permittedBuiltins.has(name)), ...own],
    allow_net: [],
  };
}

class Compiler implements PolicyCompiler {
  readonly #binary: string;
  readonly #folder = mkdtempSync(join(tmpdir(), 'caracal-policies-'));
  readonly #turns = createZoneTurns({
    places: Math.max(1, Math.floor(availableParallelism() / 2)),
    perZone: 1,
    maxWaiting,
    maxWaitingPerZone: waitingPerZone,
  });
  /** Digests of the packed modules by set; the files are named likewise. */
  readonly #files = new LRUCache<string, string>({
    max: keptFiles,
    disposeAfter: (digest, _key, reason) => {
      if (reason === 'evict') void rm(join(this.#folder, digest), { force: true });
    },
  });
  #capabilities: Promise<string> | undefined;

  constructor(binary: string) {
    this.#binary = binary;
  }

  async compile(set: ModuleSet): Promise<WasmModule | undefined> {
    try {
      const packed = (await this.#kept(set.sentinel)) ?? (await this.#buildInTurn(set));
      if (packed === undefined) return undefined;
      const module = memberOf(await unpack(packed, { maxOutputLength: largestModuleBytes }), '/policy.wasm');
      return module && (await wasm.compile(Uint8Array.from(module)));
    } catch {
      // A set that does not compile here is OPA's server's to judge, which says why.
      return undefined;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #kept(key: string): Promise<Buffer | undefined> {
    const digest = this.#files.get(key);
    if (digest === undefined) return undefined;
    const packed = await readFile(join(this.#folder, digest)).catch(() => undefined);
    return packed && sha256Hex(packed) === digest ? packed : undefined;
  }

  async #buildInTurn(set: ModuleSet): Promise<Buffer | undefined> {
    const entered = this.#turns.enter(set.zoneId);
    if (entered === undefined) return undefined;
    const leave = await entered;
    try {
      return await this.#build(set);
    } finally {
      leave();
    }
  }

  async #build(set: ModuleSet): Promise<Buffer> {
    const capabilities = await (this.#capabilities ??= this.#writeCapabilities());
    const { base, sources, params, sentinel } = set;
    const folder = join(this.#folder, `build-${sha256Hex(sentinel)}`);
    await mkdir(folder, { mode: 0o700, recursive: true });
    try {
      const modules = compiledModules({ base, sources, paramsJson: canonicalJson(params) });
      await Promise.all(modules.map(async ({ file, text }) => writeFile(join(folder, file), text)));
      const files = modules.map(({ file }) => join(folder, file));
      const output = join(folder, 'bundle.tar.gz');
      const options = ['--target=wasm', `--capabilities=${capabilities}`, `--entrypoint=${entryPoint(base)}`];
      await this.#opa(['build', ...options, `--output=${output}`, ...files]);
      const packed = await readFile(output);
      const digest = sha256Hex(packed);
      await writeFile(join(this.#folder, digest), packed, { mode: 0o600 });
      this.#files.set(sentinel, digest);
      return packed;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async #writeCapabilities(): Promise<string> {
    const { stdout } = await this.#opa(['capabilities', '--current']);
    const file = join(this.#folder, 'capabilities.json');
    await writeFile(file, JSON.stringify(narrowed(JSON.parse(stdout) as Capabilities)));
    return file;
  }

  async #opa(args: readonly string[]): Promise<{ stdout: string }> {
    const running = run(this.#binary, [...args], {
      env: {},
      cwd: this.#folder,
      timeout: compileTimeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: maxOutputBytes,
    });
    giveWay(running.child.pid);
    return running;
  }
}

/** A compiler by the OPA binary at this path. */
export function createPolicyCompiler(binary: string): PolicyCompiler {
  return new Compiler(binary);
}
