# syntax=docker/dockerfile:1
ARG PYTHON=3.11-slim-bookworm

# The front ends and the wheel, with the tools that development uses: Node.js comes from the same lock file.
FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
RUN python -m venv /tools
COPY requirements-dev.lock ./
RUN --mount=type=cache,target=/root/.cache/pip /tools/bin/pip install --require-hashes -r requirements-dev.lock
COPY . .
RUN /tools/bin/python web/build.py
RUN /tools/bin/pip wheel --no-build-isolation --no-deps --wheel-dir /dist .

# What runs: the locked dependencies and the wheel, nothing that builds.
FROM python:${PYTHON} AS installed
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /venv
COPY requirements.lock ./
RUN --mount=type=cache,target=/root/.cache/pip /venv/bin/pip install --require-hashes -r requirements.lock
COPY --from=build /dist /dist
# Compiled now, because the file system of a running container is read-only.
RUN /venv/bin/pip install --no-index --no-deps --compile /dist/*.whl && /venv/bin/pip uninstall --yes pip

FROM python:${PYTHON}
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    COMPTOIR_ENVIRONMENT=production \
    COMPTOIR_HOST=0.0.0.0 \
    COMPTOIR_PORT=8000
COPY --from=installed /venv /venv
# A name for the user, whom nobody can log in as.
RUN useradd --system --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin comptoir
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['COMPTOIR_PORT'] + '/health/live', timeout=2)"]
ENTRYPOINT ["comptoir"]
CMD ["serve"]
