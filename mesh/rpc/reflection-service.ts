/**
 * Server reflection v1 and v1alpha over generated descriptors, so that grpcurl and buf curl need no files.
 * It stands alone because Connect brings none, and one answer serves both versions: their messages are equal.
 */
import type { ConnectRouter } from '@connectrpc/connect';
import { Code } from '@connectrpc/connect';
import { ServerReflection } from '#gen/grpc/reflection/v1/reflection_pb';
import type { ServerReflectionRequest } from '#gen/grpc/reflection/v1/reflection_pb';
import { ServerReflection as ServerReflectionAlpha } from '#gen/grpc/reflection/v1alpha/reflection_pb';
import type { ServerReflectionRequest as ServerReflectionRequestAlpha } from '#gen/grpc/reflection/v1alpha/reflection_pb';
import type { ReflectionIndex } from './reflection-index.ts';

type Asked = (ServerReflectionRequest | ServerReflectionRequestAlpha)['messageRequest'];

/** A tool asks some dozens of questions; a stream that goes on longer is not a tool. */
const maxQuestions = 10_000;

export function addReflection(router: ConnectRouter, index: () => ReflectionIndex): void {
  router.service(ServerReflection, {
    async *serverReflectionInfo(requests) {
      for await (const { host, messageRequest } of bounded(requests)) {
        yield { validHost: host, messageResponse: answer(messageRequest, index()) };
      }
    },
  });
  router.service(ServerReflectionAlpha, {
    async *serverReflectionInfo(requests) {
      for await (const { host, messageRequest } of bounded(requests)) {
        yield { validHost: host, messageResponse: answer(messageRequest, index()) };
      }
    },
  });
}

async function* bounded<T>(requests: AsyncIterable<T>): AsyncGenerator<T> {
  let count = 0;
  for await (const request of requests) {
    count += 1;
    if (count > maxQuestions) return;
    yield request;
  }
}

function answer(asked: Asked, index: ReflectionIndex) {
  switch (asked.case) {
    case 'listServices':
      return found('listServicesResponse', { service: index.services.map((name) => ({ name })) });
    case 'fileByFilename':
      return files(index.byFileName(asked.value));
    case 'fileContainingSymbol':
      return files(index.bySymbol(asked.value.replace(/^\./, '')));
    case 'allExtensionNumbersOfType':
      return index.isMessage(asked.value)
        ? found('allExtensionNumbersResponse', { baseTypeName: asked.value, extensionNumber: [] })
        : notFound();
    // Our contracts are proto3 without extensions.
    case 'fileContainingExtension':
      return notFound();
    case undefined:
      return refused(Code.InvalidArgument, 'the request asks nothing');
  }
}

function found<C extends string, V>(name: C, value: V): { case: C; value: V } {
  return { case: name, value };
}

function files(serialized: Uint8Array[] | undefined) {
  return serialized === undefined ? notFound() : found('fileDescriptorResponse', { fileDescriptorProto: serialized });
}

function notFound() {
  return refused(Code.NotFound, 'not served here');
}

function refused(errorCode: Code, errorMessage: string) {
  return found('errorResponse', { errorCode, errorMessage });
}
