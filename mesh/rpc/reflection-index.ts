/**
 * Which descriptor file answers which question of server reflection.
 * It stands alone as a plain index over generated descriptors; the two versions of the protocol ask the same.
 */
import { toBinary } from '@bufbuild/protobuf';
import type { DescFile, DescMessage, DescService } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';

export interface ReflectionIndex {
  /** Fully qualified names of the served services, sorted. */
  readonly services: readonly string[];
  /** The serialized file and everything it imports, dependencies last; undefined when unknown. */
  byFileName(name: string): Uint8Array[] | undefined;
  bySymbol(symbol: string): Uint8Array[] | undefined;
  isMessage(typeName: string): boolean;
}

export function createReflectionIndex(services: readonly DescService[]): ReflectionIndex {
  const files = new Map<string, DescFile>();
  const symbols = new Map<string, DescFile>();
  const messages = new Set<string>();
  for (const service of services) addFile(service.file, files);
  for (const file of files.values()) {
    for (const name of symbolsOf(file)) symbols.set(name, file);
    for (const message of nestedMessages(file.messages)) messages.add(message.typeName);
  }
  const answer = (file: DescFile | undefined) => (file === undefined ? undefined : withImports(file));
  return {
    services: services.map(({ typeName }) => typeName).sort(),
    byFileName: (name) => answer(files.get(name)),
    bySymbol: (symbol) => answer(symbols.get(symbol)),
    isMessage: (typeName) => messages.has(typeName),
  };
}

function fileName(file: DescFile): string {
  return file.proto.name;
}

function addFile(file: DescFile, files: Map<string, DescFile>): void {
  if (files.has(fileName(file))) return;
  files.set(fileName(file), file);
  for (const dependency of file.dependencies) addFile(dependency, files);
}

function withImports(file: DescFile): Uint8Array[] {
  const all = new Map<string, DescFile>();
  addFile(file, all);
  return [...all.values()].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
}

function nestedMessages(messages: readonly DescMessage[]): DescMessage[] {
  return messages.flatMap((message) => [message, ...nestedMessages(message.nestedMessages)]);
}

function symbolsOf(file: DescFile): string[] {
  const messages = nestedMessages(file.messages);
  const enums = [...file.enums, ...messages.flatMap(({ nestedEnums }) => nestedEnums)];
  return [
    ...file.services.flatMap((service) => [
      service.typeName,
      ...service.methods.map((method) => `${service.typeName}.${method.name}`),
    ]),
    ...messages.flatMap((message) => [
      message.typeName,
      ...message.fields.map((field) => `${message.typeName}.${field.name}`),
    ]),
    ...enums.flatMap((each) => [each.typeName, ...each.values.map((value) => `${each.typeName}.${value.name}`)]),
  ];
}
