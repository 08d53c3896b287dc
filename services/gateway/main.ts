// Starts the Gateway: environment, configuration, wiring, run.
import { runService } from '#mesh/runtime';
import { loadGatewayConfig } from './config.ts';
import { wire } from './wiring.ts';

await runService({ name: 'gateway', env: process.env, load: loadGatewayConfig, wire });
