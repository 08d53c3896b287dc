// The built-in functions a policy may call: pure functions of their arguments with bounded cost. What is not on this
// list does not exist for policies: I/O, time, randomness, the runtime, tracing, anything with a network or a clock
// inside (http, net, time, rand, uuid.rfc4122, opa, rego, crypto.x509, io.jwt, json.verify_schema, print, trace).
export const permittedBuiltins: ReadonlySet<string> = new Set([
  // Operators as the syntax tree names them.
  ...['eq', 'equal', 'neq', 'lt', 'lte', 'gt', 'gte', 'assign', 'plus', 'minus', 'mul', 'div', 'rem', 'and', 'or'],
  ...['internal.member_2', 'internal.member_3'],
  // Numbers.
  ...[
    'abs',
    'ceil',
    'floor',
    'round',
    'to_number',
    'bits.and',
    'bits.lsh',
    'bits.negate',
    'bits.or',
    'bits.rsh',
    'bits.xor',
  ],
  // Aggregates and collections.
  ...['count', 'max', 'min', 'product', 'sort', 'sum', 'array.concat', 'array.flatten', 'array.reverse', 'array.slice'],
  ...['intersection', 'union', 'object.filter', 'object.get', 'object.keys', 'object.remove', 'object.subset'],
  ...['object.union', 'object.union_n', 'json.filter', 'json.patch', 'json.remove', 'graph.reachable'],
  ...['graph.reachable_paths', 'walk'],
  // Strings.
  ...['concat', 'contains', 'endswith', 'format_int', 'indexof', 'indexof_n', 'lower', 'replace', 'split', 'sprintf'],
  ...['startswith', 'strings.any_prefix_match', 'strings.any_suffix_match', 'strings.count', 'strings.replace_n'],
  ...[
    'strings.reverse',
    'substring',
    'trim',
    'trim_left',
    'trim_prefix',
    'trim_right',
    'trim_space',
    'trim_suffix',
    'upper',
  ],
  ...['glob.match', 'glob.quote_meta', 'regex.find_all_string_submatch_n', 'regex.find_n', 'regex.is_valid'],
  ...[
    'regex.match',
    'regex.replace',
    'regex.split',
    'semver.compare',
    'semver.is_valid',
    'units.parse',
    'units.parse_bytes',
  ],
  // Types and encodings.
  ...['is_array', 'is_boolean', 'is_null', 'is_number', 'is_object', 'is_set', 'is_string', 'type_name'],
  ...['base64.decode', 'base64.encode', 'base64.is_valid', 'base64url.decode', 'base64url.encode'],
  ...['base64url.encode_no_pad', 'hex.decode', 'hex.encode', 'json.is_valid', 'json.marshal', 'json.unmarshal'],
  ...['urlquery.decode', 'urlquery.encode'],
  // Digests.
  ...['crypto.sha256', 'crypto.hmac.equal', 'crypto.hmac.sha256', 'crypto.hmac.sha512'],
]);

/** The first words of every name OPA gives a meaning to; a rule of this name would make a reader take one for another. */
export const reservedRoots: ReadonlySet<string> = new Set([
  ...[
    'input',
    'data',
    'params',
    'caracal',
    'http',
    'net',
    'opa',
    'rego',
    'rand',
    'time',
    'uuid',
    'io',
    'crypto',
    'yaml',
  ],
  ...[
    'graphql',
    'providers',
    'internal',
    'print',
    'trace',
    'bits',
    'json',
    'object',
    'array',
    'strings',
    'regex',
    'glob',
  ],
  ...['semver', 'units', 'numbers', 'graph', 'base64', 'base64url', 'hex', 'urlquery', 'cidr'],
]);
