# Small, without root, pip or a compiler, and with a health check. The build needs an index of Python packages only.
# A release gives the base image with its digest: --build-arg PYTHON=python:3.13-slim@sha256:…
ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS build
WORKDIR /src
# An index of your own, if you have one.
ARG PIP_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore SOURCE_DATE_EPOCH=1700000000
COPY requirements/landing.txt requirements/build.txt requirements/
RUN pip install --only-binary :all: --require-hashes --requirement requirements/build.txt \
 && python -m venv --without-pip /opt/dataexport \
 && pip --python /opt/dataexport install --no-compile --only-binary :all: --require-hashes --requirement requirements/landing.txt
COPY pyproject.toml README.md LICENSE ./
COPY alerts alerts
COPY deploy deploy
COPY grafana grafana
COPY exporter exporter
COPY scripts/slim_environment.py scripts/
# Bytecode is written now, because nothing can be written later, and is the same in every build.
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && pip --python /opt/dataexport install --no-compile --no-deps /wheels/*.whl \
 && python scripts/slim_environment.py /opt/dataexport dataexport-exporter \
 && python -m compileall -q --invalidation-mode unchecked-hash /opt/dataexport/lib

FROM ${PYTHON}
# pip is in the base image. User 10047 has a name for the log of the machine, and no shell.
RUN rm -r "$(python -c 'import ensurepip; print(*ensurepip.__path__)')" \
 && python -m pip uninstall --quiet --yes --root-user-action ignore pip \
 && useradd --uid 10047 --gid 0 --home-dir /data --no-create-home --shell /usr/sbin/nologin --no-log-init dataexport \
 && install -d -m 2770 -o 10047 -g 0 /data
COPY --from=build /opt/dataexport /opt/dataexport
# By number, which Kubernetes can tell from root. Any other user works as well if its group is 0.
USER 10047:0
WORKDIR /data
VOLUME /data
ARG VERSION=0.1.0
ARG REVISION=""
ARG PYTHON
ARG BASE_DIGEST=""
LABEL org.opencontainers.image.title="dataexport-exporter" \
      org.opencontainers.image.description="Prometheus exporter for scheduled CleverTap data exports" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="https://github.com/dataexport/dataexport-exporter" \
      org.opencontainers.image.documentation="https://github.com/dataexport/dataexport-exporter/blob/main/docs/how-to/install-container.md" \
      org.opencontainers.image.base.name="docker.io/library/${PYTHON}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}"
# In a container loopback is the container's own; publish the ports you mean to. Addresses in a file win.
# Both listeners need a credential: set DATAEXPORT_TOKENS and DATAEXPORT_ADMIN_TOKENS, or a configuration.
ENV PATH=/opt/dataexport/bin:$PATH \
    DATAEXPORT_DEFAULT_HOST=0.0.0.0 \
    DATAEXPORT_REVISION=${REVISION}
EXPOSE 8080 10047
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --start-interval=1s \
  CMD ["dataexport-exporter", "healthcheck"]
ENTRYPOINT ["dataexport-exporter"]
CMD ["serve"]
