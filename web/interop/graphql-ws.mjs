/**
 * The reference client of graphql-transport-ws, for the Python tests:
 *
 *     node graphql-ws.mjs URL '{"query": "…", "variables": {}, "token": "…", "count": 2}'
 *
 * Each result is one line of JSON on stdout. Ends with 0 after `count` results (without a count: when the server
 * completes), else with 1 and one line of JSON on stderr: {code, reason} of the close, {errors}, {error} or {results}.
 */
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [url, options] = process.argv.slice(2);
const { query, variables, operationName, token, count, retryAttempts = 0 } = JSON.parse(options);

const client = createClient({
  url,
  webSocketImpl: WebSocket,
  retryAttempts,
  connectionParams: token ? { Authorization: `Bearer ${token}` } : {},
});

function fail(reason) {
  console.error(JSON.stringify(reason));
  process.exit(1);
}

function describe(error) {
  if (Array.isArray(error)) return { errors: error };
  if (typeof error.code === 'number') return { code: error.code, reason: error.reason };
  return { error: error.message || error.code || String(error) };
}

let results = 0;
try {
  for await (const result of client.iterate({ query, variables, operationName })) {
    console.log(JSON.stringify(result));
    results += 1;
    if (results === count) break;
  }
} catch (error) {
  fail(describe(error));
}
if (count !== undefined && results < count) fail({ results });
await client.dispose();
process.exit(0);
