import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './style.css';

import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';

import defaultQuery from './default-query.graphql?raw';
import { fetcher } from './fetcher';

createRoot(document.getElementById('root')!).render(
  <GraphiQL fetcher={fetcher} defaultQuery={defaultQuery} defaultEditorToolsVisibility="headers">
    <GraphiQL.Logo>Comptoir</GraphiQL.Logo>
  </GraphiQL>,
);
