// Lists as Postgres takes them in its binary format: lengths and bytes. As text each element would be searched for quotes here
// and freed of them there, which for the canonical text of an event is half of what sending it costs.

// pg_type.dat: the types' own ids, the same in every release.
const textType = 25;
const int8Type = 20;

/** array_recv: dimensions, whether there are nulls, element type, then length and lower bound of the one dimension. */
const headBytes = 20;
const lengthBytes = 4;
const int8Bytes = 8;

function writeHead(buffer: Buffer, elementType: number, length: number): void {
  buffer.writeInt32BE(1, 0);
  buffer.writeInt32BE(0, 4);
  buffer.writeInt32BE(elementType, 8);
  buffer.writeInt32BE(length, 12);
  buffer.writeInt32BE(1, 16);
}

/** A parameter for `text[]`. Elements hold no NUL, which Postgres refuses. */
export function textArray(values: readonly string[]): Buffer {
  const sizes = values.map((value) => Buffer.byteLength(value));
  const buffer = Buffer.allocUnsafe(sizes.reduce((sum, size) => sum + lengthBytes + size, headBytes));
  writeHead(buffer, textType, values.length);
  let at = headBytes;
  for (const [index, value] of values.entries()) {
    at = buffer.writeInt32BE(sizes[index] ?? 0, at);
    at += buffer.write(value, at, 'utf8');
  }
  return buffer;
}

/** A parameter for `bigint[]`. */
export function int8Array(values: readonly number[]): Buffer {
  const buffer = Buffer.allocUnsafe(headBytes + values.length * (lengthBytes + int8Bytes));
  writeHead(buffer, int8Type, values.length);
  let at = headBytes;
  for (const value of values) {
    at = buffer.writeInt32BE(int8Bytes, at);
    at = buffer.writeBigInt64BE(BigInt(value), at);
  }
  return buffer;
}
