import { createGraphiQLFetcher, type Fetcher } from '@graphiql/toolkit';
import { getOperationAST } from 'graphql';
import { createClient, type Sink } from 'graphql-ws';

const url = new URL('/graphql', location.href).href;

const post = createGraphiQLFetcher({
  url,
  enableIncrementalDelivery: false, // the server has no @defer: accept plain answers only
});

/** A subscription over graphql-transport-ws, on a socket of its own that is opened with the headers of its tab. */
const subscribe: Fetcher = (operation, options) => {
  const authorization = new Headers(options?.headers).get('Authorization');
  const client = createClient({
    url: url.replace(/^http/, 'ws'),
    connectionParams: authorization ? { Authorization: authorization } : {}, // a browser's WebSocket has no headers
    retryAttempts: 0, // whoever tries out a subscription wants to see at once why it ended
  });
  return {
    subscribe: ({ next, error, complete }: Sink) => ({
      unsubscribe: client.subscribe(operation, { next, complete, error: (reason) => error(readable(reason)) }),
    }),
  } as ReturnType<Fetcher>; // of the overloads of subscribe() GraphiQL calls this one
};

function readable(reason: unknown): unknown {
  if (!(reason instanceof CloseEvent)) return reason;
  return { message: `The socket was closed: ${reason.code} ${reason.reason}`.trim() };
}

export const fetcher: Fetcher = (operation, options) => {
  const definition = options?.documentAST && getOperationAST(options.documentAST, operation.operationName);
  return definition?.operation === 'subscription' ? subscribe(operation, options) : post(operation, options);
};
