// Topology: which services exist, who calls what, and who writes and reads which stream. Data only.
export { isServiceName, ports, services, type ServiceName } from './services.ts';
export { rpcs, type RpcCaller, type RpcRule } from './rpcs.ts';
export { isStreamName, streams, type StreamName, type StreamRule } from './streams.ts';
