# One image for each service and for the gateway: docker build --build-arg APP=academic .
# BASE is any image with Python 3.11 and a shell; the lock holds wheels for glibc and for musl.
ARG BASE=python:3.11-slim

FROM ${BASE} AS packages
COPY requirements.lock /tmp/requirements.lock
RUN python -m venv /opt/homeroom \
    && /opt/homeroom/bin/pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes \
        --requirement /tmp/requirements.lock \
    && /opt/homeroom/bin/pip uninstall --yes pip setuptools
# A base without the CAs of the system (ca-certificates) trusts no server: that is found here, not at the first request.
RUN test -s /etc/ssl/certs/ca-certificates.crt

FROM ${BASE} AS app
ARG APP
COPY deploy/pick-app.sh /tmp/pick-app.sh
COPY shared /source/shared
COPY services /source/services
COPY gateway /source/gateway
RUN sh /tmp/pick-app.sh "${APP}" /source /app && python -m compileall -q /app

FROM ${BASE}
ENV PATH=/opt/homeroom/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# The libpq of the wheel knows no other place: its OpenSSL was built to look where no image has anything.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
COPY --from=packages /opt/homeroom /opt/homeroom
COPY --from=app /app /app
WORKDIR /app
USER 10001:10001
# `python -m services.<app> <verb>`, or `python -m gateway`; health is asked for by whoever runs the container.
ENTRYPOINT ["/app/start"]
