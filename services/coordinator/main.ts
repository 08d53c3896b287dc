// The Coordinator process: environment, configuration, wiring, run.
import { runService } from '#mesh/runtime';
import { loadCoordinatorConfig } from './config.ts';
import { wire } from './wiring.ts';

await runService({ name: 'coordinator', env: process.env, load: loadCoordinatorConfig, wire });
