// Writes gen/: the TypeScript of our own contracts and of the gRPC services every server answers (health, reflection).
// It stands alone because `npm run check` runs the same generation into another folder and compares.
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';

const help = `Usage: npm run generate

Writes gen/ anew from proto/ and from the health and reflection contracts of gRPC.
Commit what it wrote; \`npm run check\` fails when gen/ and the contracts differ.
`;

/** The .proto files of the services gRPC itself defines, from the packages of that project which carry them. */
const grpcProtos: readonly { readonly from: string; readonly to: string }[] = [
  { from: 'grpc-health-check/proto/health/v1/health.proto', to: 'grpc/health/v1/health.proto' },
  {
    from: '@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto',
    to: 'grpc/reflection/v1/reflection.proto',
  },
  {
    from: '@grpc/reflection/build/proto/grpc/reflection/v1alpha/reflection.proto',
    to: 'grpc/reflection/v1alpha/reflection.proto',
  },
];

/** Folds generated files away in reviews and keeps them out of language statistics. */
const attributes = '* linguist-generated=true\n';

/** Runs buf in the current folder, with the installed plugins on its path; rejects with buf's own words. */
export async function buf(args: readonly string[]): Promise<void> {
  const bin = resolve('node_modules/.bin');
  const env = { ...process.env, PATH: [bin, process.env['PATH']].join(delimiter) };
  await promisify(execFile)(join(bin, 'buf'), [...args], { env });
}

/** Writes the whole of gen/ below `out`, as `<out>/gen`; the folder must not hold a gen yet. */
export async function generateInto(out: string): Promise<void> {
  const contracts = join(out, 'grpc-contracts');
  for (const { from, to } of grpcProtos) {
    await cp(join('node_modules', from), join(contracts, to));
  }
  await buf(['generate', '--output', out]);
  await buf(['generate', contracts, '--template', 'buf.gen.yaml', '--output', out]);
  await rm(contracts, { recursive: true });
  await writeFile(join(out, 'gen', '.gitattributes'), attributes);
}

/** Runs `use` with a fresh folder under .caracal/ and removes it afterwards, whatever happens. */
export async function withScratch<T>(use: (folder: string) => Promise<T>): Promise<T> {
  await mkdir('.caracal', { recursive: true });
  const folder = await mkdtemp(join('.caracal', 'generate-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function replaceGen(): Promise<void> {
  await withScratch(async (folder) => {
    await generateInto(folder);
    await rm('gen', { recursive: true, force: true });
    await rename(join(folder, 'gen'), 'gen');
  });
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { help: { type: 'boolean', short: 'h' } } });
  if (values.help === true) {
    process.stdout.write(help);
  } else {
    await replaceGen();
    process.stdout.write('gen/ is written.\n');
  }
}
