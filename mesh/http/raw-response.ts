/**
 * The response of either protocol, as Node hands it to a handler.
 * It stands alone because raw handlers and the framework share it and neither owns it.
 */
import type { ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';

export type RawResponse = ServerResponse | Http2ServerResponse;
