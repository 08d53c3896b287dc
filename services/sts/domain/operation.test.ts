import { describe, expect, it } from 'vitest';
import { matchOperation, requiredScopes } from './operation.ts';

const operations = [
  { method: 'GET', path: '/items/*', scope: 'one' },
  { method: 'GET', path: '/items/**', scope: 'below' },
  { method: 'GET', path: '/items/special', scope: 'special' },
  { method: '*', path: '/items/special', scope: 'any' },
  { method: 'POST', path: '/items', scope: 'create' },
  { method: 'GET', path: '/**', scope: 'rest' },
];
const scopeOf = (method: string, path: string): string | undefined => matchOperation(operations, method, path)?.scope;

describe('an operation', () => {
  it.each([
    ['GET', '/items/special', 'special'],
    ['PUT', '/items/special', 'any'],
    ['GET', '/items/7', 'one'],
    ['GET', '/items/7/x', 'below'],
    ['POST', '/items', 'create'],
    ['POST', '/items/', undefined],
    ['GET', '/items', 'rest'],
    ['GET', '/items/', 'below'],
    ['GET', '/ITEMS/special', 'rest'],
    ['get', '/items/special', 'any'],
    ['DELETE', '/items/7', undefined],
  ])('%s %s is %s', (method, path, scope) => {
    expect(scopeOf(method, path)).toBe(scope);
  });

  it('that is not declared is everything, or nothing where the resource insists', () => {
    const open = { operations, operationEnforcement: false };
    expect(requiredScopes(open, 'DELETE', '/x')).toEqual({ kind: 'unmatched' });
    expect(requiredScopes({ ...open, operationEnforcement: true }, 'DELETE', '/x')).toEqual({ kind: 'undeclared' });
    expect(requiredScopes(open, 'POST', '/items')).toEqual({ kind: 'needs', scopes: ['create'] });
  });
});
