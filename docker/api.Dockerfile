# The HTTP API. It never imports torch, and this image has none.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/olad
ENV PATH=/opt/olad/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# Dependencies first: a change of the code does not install them again.
COPY requirements requirements
RUN pip install --require-hashes -r requirements/api.txt
COPY pyproject.toml README.md LICENSE ./
COPY olad_core olad_core
COPY service service
RUN pip install --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
RUN groupadd --system --gid 10001 olad \
    && useradd --system --uid 10001 --gid olad --home-dir /var/lib/olad --create-home --shell /usr/sbin/nologin olad
COPY --from=build /opt/olad /opt/olad
ENV PATH=/opt/olad/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OLAD_DATA_DIR=/var/lib/olad \
    OLAD_HOST=0.0.0.0 \
    OLAD_PORT=8000
WORKDIR /var/lib/olad
USER 10001:10001
EXPOSE 8000
CMD ["olad", "api"]
