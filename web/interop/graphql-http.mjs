/**
 * The audits of "GraphQL over HTTP", for the Python tests:
 *
 *     node graphql-http.mjs URL TOKEN
 *
 * Each audit is one line of JSON on stdout: {id, name, status, reason}. Ends with 0 when all were run.
 */
import { serverAudits } from 'graphql-http';

const [url, token] = process.argv.slice(2);
const fetchFn = (address, init = {}) =>
  fetch(address, { ...init, headers: { ...init.headers, ...(token ? { authorization: `Bearer ${token}` } : {}) } });

for (const audit of serverAudits({ url, fetchFn })) {
  const result = await audit.fn();
  console.log(JSON.stringify({ id: audit.id, name: audit.name, status: result.status, reason: result.reason }));
}
