/**
 * The three metadata functions that the dependency container inside @peculiar/x509 insists on finding on `Reflect`.
 * It stands alone because it has to be imported before that library is.
 */

interface MetadataReflect {
  defineMetadata?: (key: unknown, value: unknown, target: object) => void;
  getOwnMetadata?: (key: unknown, target: object) => unknown;
  getMetadata?: (key: unknown, target: object) => unknown;
}

const metadata = new WeakMap<object, Map<unknown, unknown>>();

function ownMetadata(key: unknown, target: object): unknown {
  return metadata.get(target)?.get(key);
}

function inheritedMetadata(key: unknown, target: object): unknown {
  let current: object | null = target;
  while (current !== null) {
    if (metadata.get(current)?.has(key) === true) return ownMetadata(key, current);
    current = Object.getPrototypeOf(current) as object | null;
  }
  return undefined;
}

function defineMetadata(key: unknown, value: unknown, target: object): void {
  const entries = metadata.get(target) ?? new Map<unknown, unknown>();
  entries.set(key, value);
  metadata.set(target, entries);
}

const reflect = Reflect as MetadataReflect;
reflect.defineMetadata ??= defineMetadata;
reflect.getOwnMetadata ??= ownMetadata;
reflect.getMetadata ??= inheritedMetadata;
