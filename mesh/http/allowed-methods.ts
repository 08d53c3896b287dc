/**
 * Tells "no such path" from "not with this method" (RFC 9110 §15.5.6), which the framework's router does not.
 * It stands alone because it must be right only for requests that already failed, and costs the others nothing.
 */
export interface MethodTable {
  add(url: string, methods: readonly string[]): void;
  /** The methods that some route has for this path, sorted; empty when no route has the path. */
  methodsFor(path: string): readonly string[];
}

export function createMethodTable(): MethodTable {
  const routes = new Map<string, { readonly pattern: RegExp; readonly methods: Set<string> }>();
  return {
    add: (url, methods) => {
      const route = routes.get(url) ?? { pattern: patternOf(url), methods: new Set<string>() };
      for (const method of methods) route.methods.add(method);
      routes.set(url, route);
    },
    methodsFor: (path) => {
      const found = new Set<string>();
      for (const { pattern, methods } of routes.values()) {
        if (pattern.test(path)) for (const method of methods) found.add(method);
      }
      return [...found].sort();
    },
  };
}

/** `/zones/:id/x` and a trailing `*`, the forms the framework's routes have here. */
function patternOf(url: string): RegExp {
  const source = url
    .split('/')
    .map((segment) => {
      if (segment.startsWith(':')) return '[^/]+';
      return segment === '*' ? '.*' : segment.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
    })
    .join('/');
  return new RegExp(`^${source}$`);
}
