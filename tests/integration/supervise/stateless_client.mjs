// The reference client of MCP's revision without sessions against the server at URL, as sdk_client.mjs is of those with them.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
const [modules, url, question] = process.argv.slice(2);
const require = createRequire(pathToFileURL(modules + "/"));
const { Client, StreamableHTTPClientTransport } = await import(pathToFileURL(require.resolve("@modelcontextprotocol/client")));
const say = (value) => console.log(JSON.stringify(value));

const client = new Client({ name: "second-opinion", version: "2" }, { versionNegotiation: { mode: "auto" } });
const transport = new StreamableHTTPClientTransport(new URL(url));
await client.connect(transport);
say({ server: client.getServerVersion(), session: Boolean(transport.sessionId), version: client.getNegotiatedProtocolVersion() });
say({ tools: (await client.listTools()).tools.map((tool) => tool.name) });
say({ routes: await client.callTool({ name: "list-egress-routes", arguments: {} }) });
try {
  await client.callTool({ name: "no-such", arguments: {} });
  say({ unknown: "answered" });
} catch (error) {
  say({ unknown: error.code });
}
let progress = 0;
const answer = await client.callTool({ name: "ask-operator", arguments: { question } }, {
  onprogress: () => { progress += 1; }, resetTimeoutOnProgress: true, timeout: 60000 });
say({ answer, progress });
// Given up: its stream is closed.
const gone = new AbortController();
const call = client.callTool({ name: "ask-operator", arguments: { question: "never mind" } }, { signal: gone.signal });
setTimeout(() => gone.abort("changed my mind"), 200);
say({ cancelled: await call.then(() => false, () => true) });
await client.close();
say({ closed: true });
