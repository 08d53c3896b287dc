// A process that emits evidence until it is killed, saying on standard output which events are durable. Started by the tests
// of the trail, which end it in the middle.
import { newId } from '#mesh/ids';
import { createRedis, createStreamSigner } from '#mesh/redis';
import { createClock } from '#mesh/time';
import { createTrail } from '#mesh/trail';
import { quietLogger } from '#test/quiet-logger';

const [url = '', journalDirectory = ''] = process.argv.slice(2);
const clock = createClock();
const redis = createRedis({ url, db: 0, name: 'producer', logger: quietLogger() });
const trail = await createTrail({
  producer: 'gateway',
  redis,
  journalDirectory,
  auditKey: Buffer.alloc(32, 2),
  streamSigner: createStreamSigner({ current: Buffer.alloc(32, 1) }),
  watermarks: () => Promise.resolve([]),
  clock,
  newId,
  logger: quietLogger(),
});
await redis.untilUp(AbortSignal.timeout(10_000));
process.stdout.write(`${trail.incarnation}\n`);
for (;;) {
  const batch = Array.from({ length: 20 }, () =>
    trail.emit({ zoneId: 'z', eventType: 'gateway.decision', requestId: newId(), decision: 'allow' }),
  );
  for (const { eventId } of await Promise.all(batch)) process.stdout.write(`${eventId}\n`);
  await clock.sleep(1);
}
