// A reverse proxy of nothing but Node's http and http-proxy: no limit, no token, one upstream.
const http = require("http");
const httpProxy = require("http-proxy");

const { PORT, UPSTREAM } = process.env;
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
const proxy = httpProxy.createProxyServer({ target: UPSTREAM, agent, xfwd: true });
proxy.on("error", (_error, _request, response) => response.writeHead(502).end());
http.createServer((request, response) => proxy.web(request, response)).listen(Number(PORT), "127.0.0.1");
