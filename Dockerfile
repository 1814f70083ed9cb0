# deskpulse in an image: the worker and every other command. `docker build -t deskpulse .`
ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /build
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
# What deskpulse stands on changes seldom: a layer of its own, at the versions and hashes of the lock file.
COPY pyproject.toml requirements.lock ./
RUN uv venv /opt/deskpulse \
    && uv pip install --python /opt/deskpulse --only-binary :all: --constraint requirements.lock --requirements pyproject.toml
COPY README.md LICENSE ./
COPY schemas schemas
COPY streams streams
COPY sinks sinks
COPY sources sources
COPY deskpulse deskpulse
COPY deploy deploy
RUN uv pip install --python /opt/deskpulse --no-deps .

FROM ${PYTHON}
RUN useradd --system --uid 10001 --home-dir /var/lib/deskpulse --create-home \
    --shell /usr/sbin/nologin deskpulse
COPY --from=build /opt/deskpulse /opt/deskpulse
ENV PATH=/opt/deskpulse/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /var/lib/deskpulse
EXPOSE 6066
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:6066/healthz', timeout=2)"]
ENTRYPOINT ["deskpulse"]
CMD ["worker"]
