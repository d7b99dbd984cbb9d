# Small, without root, and with a health check. The build needs a registry of Python packages only.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements/run.txt requirements/
RUN python -m venv /opt/dataexport \
 && /opt/dataexport/bin/pip install --no-cache-dir --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY exporter exporter
RUN /opt/dataexport/bin/pip install --no-cache-dir --no-deps .

FROM python:3.13-slim
ARG REVISION=""
COPY --from=build /opt/dataexport /opt/dataexport
RUN useradd --system --uid 10047 --home-dir /data --create-home dataexport
USER dataexport
WORKDIR /data
VOLUME /data
# In a container loopback is the container's own; publish the ports you mean to. Addresses in a file win.
# Both listeners need a credential: set DATAEXPORT_TOKENS and DATAEXPORT_ADMIN_TOKENS, or a configuration.
ENV PATH=/opt/dataexport/bin:$PATH \
    DATAEXPORT_DEFAULT_HOST=0.0.0.0 \
    DATAEXPORT_REVISION=$REVISION
EXPOSE 8080 10047
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s \
  CMD ["dataexport-exporter", "healthcheck"]
ENTRYPOINT ["dataexport-exporter"]
CMD ["serve"]
