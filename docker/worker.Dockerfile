# The worker: graph, students, training, predictions.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/olad
ENV PATH=/opt/olad/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# cpu, or another local version that PyTorch builds (cu130, ...); empty: the build on the package index, on Linux for CUDA.
ARG TORCH_VARIANT=cpu
ARG TORCH_VERSION=2.13.0
ARG TORCH_INDEX=https://download.pytorch.org/whl
COPY requirements requirements
# Torch is the largest layer and changes least. A local folder of wheels (PIP_FIND_LINKS) replaces PyTorch's index.
RUN if [ -z "$TORCH_VARIANT" ]; then \
      pip install -c requirements/lock.txt "torch==$TORCH_VERSION"; \
    elif [ -n "$PIP_FIND_LINKS" ]; then \
      pip install -c requirements/lock.txt "torch==$TORCH_VERSION+$TORCH_VARIANT"; \
    else \
      pip install -c requirements/lock.txt --extra-index-url "$TORCH_INDEX/$TORCH_VARIANT" "torch==$TORCH_VERSION+$TORCH_VARIANT"; \
    fi

# Dependencies first, from the metadata alone: a change of the code does not install them again.
COPY pyproject.toml README.md LICENSE ./
RUN pip install -c requirements/lock.txt ".[worker]" && pip install --no-deps -r requirements/no-deps.txt
COPY olad_core olad_core
COPY service service
RUN pip install --no-deps --force-reinstall .

FROM python:3.11-slim-bookworm
RUN groupadd --system --gid 10001 olad \
    && useradd --system --uid 10001 --gid olad --home-dir /var/lib/olad --create-home --shell /usr/sbin/nologin olad
COPY --from=build /opt/olad /opt/olad
ENV PATH=/opt/olad/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    OLAD_DATA_DIR=/var/lib/olad
WORKDIR /var/lib/olad
USER 10001:10001
CMD ["olad", "worker"]
