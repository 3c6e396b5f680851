import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './style.css';

import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';

import defaultQuery from './default-query.graphql?raw';
import { fetcher } from './fetcher';

// No history plugin: it writes the headers of every operation, tokens included, into the browser's storage.
createRoot(document.getElementById('root')!).render(
  <GraphiQL fetcher={fetcher} defaultQuery={defaultQuery} defaultEditorToolsVisibility="headers" plugins={[]}>
    <GraphiQL.Logo>Comptoir</GraphiQL.Logo>
  </GraphiQL>,
);
