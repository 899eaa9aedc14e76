// A gateway as the requirement document's stack would have it: Express, a limit in Redis, a proxy middleware.
const http = require("http");
const express = require("express");
const { rateLimit } = require("express-rate-limit");
const { RedisStore } = require("rate-limit-redis");
const { createProxyMiddleware } = require("http-proxy-middleware");
const { Redis } = require("ioredis");

const { PORT, UPSTREAM, REDIS_URL } = process.env;
const redis = new Redis(REDIS_URL);
const app = express();
app.use(
  rateLimit({
    windowMs: 60_000,
    limit: 1_000_000_000,
    standardHeaders: true,
    store: new RedisStore({ sendCommand: (command, ...rest) => redis.call(command, ...rest), prefix: "peer:" }),
  }),
);
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
app.use(createProxyMiddleware({ target: UPSTREAM, agent, xfwd: true }));
app.listen(Number(PORT), "127.0.0.1");
