import { createGraphiQLFetcher, type Fetcher, type FetcherOpts } from '@graphiql/toolkit';
import { createClient } from 'graphql-ws';

const url = new URL('/graphql', location.href).href;

/** A browser cannot set headers on a WebSocket: the token travels in connection_init. */
function connectionParams(options?: FetcherOpts) {
  const authorization = new Headers(options?.headers).get('Authorization');
  return authorization ? { Authorization: authorization } : {};
}

/**
 * Queries and mutations by POST, subscriptions over graphql-transport-ws.
 *
 * Every operation has a client of its own, so that a subscription opens its socket with the headers of its tab;
 * the client connects at the first subscription only.
 */
export const fetcher: Fetcher = (operation, options) =>
  createGraphiQLFetcher({
    url,
    enableIncrementalDelivery: false, // the server has no @defer; plain answers keep the Accept header simple
    wsClient: createClient({
      url: url.replace(/^http/, 'ws'),
      connectionParams: connectionParams(options),
      retryAttempts: 0, // whoever tries out a subscription wants to see at once why it was closed
    }),
  })(operation, options);
