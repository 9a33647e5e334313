# The embedded model: a small language model as a server, for hives that have no model key.
#
#   docker build -f agent/model.Dockerfile -t ghcr.io/bzzz-hive/model .        (in the repository's root)
#
# docs/images.md: what the stages are for, and how to build behind a proxy or without a registry.

FROM docker.io/library/debian:trixie-slim AS python
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*

# Which packages: the lock, cut down to this component. The next stage sees the result only, so that packages are
# installed again when they change, and not whenever pyproject.toml does.
FROM python AS lock
WORKDIR /src
COPY tools/images/lock_of.py pyproject.toml requirements.lock ./
RUN python3 lock_of.py embedded >requirements.txt && python3 lock_of.py --metadata METADATA

FROM python AS packages
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/bzzz/venv
COPY --from=lock /src/requirements.txt /src/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    /opt/pip/bin/pip --python /opt/bzzz/venv/bin/python install --no-deps --no-cache-dir --quiet \
      --disable-pip-version-check --root-user-action ignore -r /src/requirements.txt \
 && cd /opt/bzzz/venv/lib/python3*/site-packages && echo /opt/bzzz/lib >bzzz.pth \
 && find . -depth -type d \( -name tests -o -name _tests -o -name SelfTest -o -name trio-stubs -o -path ./examples \) -exec rm -rf {} +

FROM python AS code
COPY --from=lock /src/METADATA /opt/bzzz/lib/bzzz.dist-info/METADATA
COPY protocol/hmmm /opt/bzzz/lib/hmmm
COPY agent/bzzz_agent /opt/bzzz/lib/bzzz_agent
RUN mkdir /opt/bzzz/bin \
 && printf '#!/bin/sh\nexec /opt/bzzz/venv/bin/python -m bzzz_agent.reasoning.embedded "$@"\n' >/opt/bzzz/bin/bzzz-model \
 && chmod 0755 /opt/bzzz/bin/bzzz-model \
 && python3 -m compileall -q /opt/bzzz/lib

FROM python
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin bzzz
COPY --from=packages /opt/bzzz/venv /opt/bzzz/venv
COPY --from=code /opt/bzzz /opt/bzzz
ENV PATH=/opt/bzzz/bin:/opt/bzzz/venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["bzzz-model"]
LABEL org.opencontainers.image.title="Bzzz embedded model" \
      org.opencontainers.image.source="https://github.com/bzzz-hive/bzzz" \
      org.opencontainers.image.licenses="Apache-2.0"
